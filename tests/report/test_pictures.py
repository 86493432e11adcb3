import base64
import io

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")

from keras_noisy_student.report.pictures import pictures  # noqa: E402


def opened(uri):
    kind, _, data = uri.partition(";base64,")
    assert kind in ("data:image/png", "data:image/jpeg")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def levels(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype("uint8")


@pytest.mark.parametrize("shape", [(6, 5, 1), (6, 5, 3), (6, 5)])
def test_small_images_are_drawn_to_the_level(shape):
    image = levels(shape)
    np.testing.assert_array_equal(opened(pictures(image)(image)), image[..., 0] if shape[2:] == (1,) else image)


@pytest.mark.parametrize(("scale", "offset"), [(1 / 255, 0.0), (1.0, 0.0), (2 / 255, -1.0)])
def test_floats_are_drawn_by_the_range_of_the_clean_example(scale, offset):
    image = levels((6, 5, 3))
    image[0, 0], image[0, 1] = 0, 255
    example = (image * scale + offset).astype("float32")
    draw = pictures(example)
    np.testing.assert_allclose(opened(draw(example)), image, atol=1)
    np.testing.assert_array_equal(opened(draw(example + 10 * 255 * scale)), np.full((6, 5, 3), 255))


def test_a_constant_image_has_a_picture():
    image = np.full((4, 4, 1), 7.5e6, "float32")
    assert np.unique(opened(pictures(image)(image))).size == 1


def test_a_photograph_is_made_smaller():
    photograph = levels((500, 1000, 3))
    assert opened(pictures(photograph)(photograph)).shape == (160, 320, 3)


def test_a_clip_is_four_frames_from_the_first_to_the_last():
    clip = levels((10, 6, 5, 1))
    expected = np.concatenate([clip[0], clip[3], clip[6], clip[9]], axis=1)[..., 0]
    np.testing.assert_array_equal(opened(pictures(clip)(clip)), expected)
    short = clip[:2]
    np.testing.assert_array_equal(opened(pictures(clip)(short)), np.concatenate(list(short), axis=1)[..., 0])


def test_a_spectrogram_shows_time_to_the_right_bins_upwards_and_no_padding():
    features = np.zeros((9, 4), "float32")
    features[2, 0] = 5.0
    picture = opened(pictures(features)(features))
    assert picture.shape == (4, 9, 3)
    brightest = np.unravel_index(picture.sum(axis=-1).argmax(), (4, 9))
    assert brightest == (3, 2)
    utterance = {"features": features, "length": np.int32(6)}
    np.testing.assert_array_equal(opened(pictures(utterance)(utterance)), picture[:, :6])


@pytest.mark.parametrize(
    "example",
    [
        np.zeros(4, "float32"),
        np.zeros(7, "int32"),
        np.zeros((7, 3), "int32"),
        np.zeros((6, 5, 4), "uint8"),
        np.zeros((2, 6, 5, 2), "uint8"),
        np.array(b"text"),
        {"left": np.zeros((6, 5, 1)), "right": np.zeros(2)},
        (np.zeros((6, 5, 1)),),
    ],
)
def test_other_examples_have_no_picture(example):
    assert pictures(example) is None
