import pytest

import keras_noisy_student as kns
from tests.layer_contract import check_layer
from tests.noise.noise_contract import check_noise, images_and_keys


@pytest.mark.parametrize("shape", [(12, 17, 3), (6, 6, 1)])
def test_fills_a_square_around_the_drawn_pixel(shape):
    def slowly(image, draws):
        row, column = int(draws[0] * shape[0]), int(draws[1] * shape[1])
        cut = image.copy()
        cut[max(row - 2, 0) : row + 2, max(column - 2, 0) : column + 2] = 5
        return cut

    check_noise(kns.Cutout(2, fill=5), shape, slowly)


def test_keeps_the_contract_of_a_layer(tmp_path):
    config = {"half_size": 2, "fill": 0, "jit_compile": False, "seed": 3}
    check_layer(kns.Cutout, config, images_and_keys(4)[0], tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"half_size": 0}, r"`half_size` must be an integer, 1 or more. Received: half_size=0."),
        ({"half_size": 2, "fill": -1}, r"`fill` must be an integer, 0 to 255. Received: fill=-1."),
    ],
)
def test_refuses_a_wrong_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        kns.Cutout(**arguments)
