"""`docs/magnitudes.md` says what the layers do: this library's in pixels, the others' where they are installed."""

import fractions
import inspect
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_sample_image

import keras_noisy_student as kns
from tests.noise import drawn_ops, reference_policy

_PAGE = (pathlib.Path(kns.__file__).parent.parent / "docs" / "magnitudes.md").read_text()


def _table(heading):
    """`{first cell of a row: {header of a column: cell}}` of the table below a heading."""
    section = _PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}


_MEANINGS = _table("What the number means")
_AT_9 = {row.split(",")[0]: cells for row, cells in _table("The parameter of each op at magnitude 9").items()}
_HERE = {op: cells for row, cells in _table("Here, at other magnitudes").items() for op in row.split(", ")}


def _check_defaults(column, layer_class):
    """Compares each `name=number` of a column with the default of the argument."""
    arguments = [re.fullmatch(r"`(\w+)=([\d./]+)`.*", cells[column]) for cells in _MEANINGS.values()]
    expected = {argument[1]: float(fractions.Fraction(argument[2])) for argument in arguments if argument}
    assert len(expected) >= 2
    parameters = inspect.signature(layer_class).parameters
    assert {name: parameters[name].default for name in expected if name in parameters} == expected


def _check_ops(column, merged, missing):
    """Checks which ops a library has, and how many layers make them where it merges some."""
    ops = {op for op, cells in _AT_9.items() if cells[column] != "-"}
    assert set(reference_policy.OPS) - ops == missing
    assert len(ops - merged) == int(_MEANINGS["number of ops"][column.split(",")[0]])


def _two_numbers(cell):
    """Of `U(0, 360 f) = U(0, 324)`, `N(110 m, 110 s) = N(99, 16.5)` or `1 to int(8 f) - 1 = 1 to 6`."""
    result = cell.split(" = ")[1]
    first, second = re.search(r"(?:[UN]\()?(-?[\d.]+)(?:, | to )(-?[\d.]+)", result.removeprefix("1 - ")).groups()
    return float(first), float(second)


class TestHere:
    @pytest.mark.parametrize("column", _HERE["Rotate"])
    def test_the_layer_applies_the_parameters_of_the_table(self, column):
        image, layer = load_sample_image("china.jpg")[100:324, 200:424], _layer_of_column(column)
        keys = {choice: keys[0] for choice, keys in drawn_ops.keys_of_choices().items() if choice[0] in _HERE}
        augment = tf.function(lambda images, keys: layer(images, noise_seed=keys))
        noised = augment(np.stack([image] * len(keys)), np.stack(list(keys.values()))).numpy()

        for (op, sign), actual in zip(keys, noised, strict=True):
            if op != "Cutout":
                cell = _HERE[op][column]
                assert cell.startswith("±") == (sign != 0)
                number = sign * float(cell[1:]) if sign else float(cell)
                number = int(number) if op in ("Posterize", "SolarizeAdd") else number
                np.testing.assert_array_equal(actual, reference_policy.apply(image, op, number), f"{op} {sign}")

    @pytest.mark.parametrize("column", _HERE["Cutout"])
    def test_the_cut_has_the_size_of_the_table(self, column):
        black, keys = np.zeros((16, 600, 600, 1), np.uint8), np.arange(16)
        layer = _layer_of_column(column, ops=["Cutout"])
        noised = tf.function(lambda: layer(black, noise_seed=keys))().numpy()
        sides = (noised > 0).any((2, 3)).sum(1)
        assert sides.max() == 2 * int(_HERE["Cutout"][column])

    def test_both_tables_agree_and_hold_every_op(self):
        assert list(_AT_9) == list(reference_policy.OPS)
        assert {*_HERE, "AutoContrast", "Equalize", "Invert"} == set(reference_policy.OPS)
        at_9 = {op: _AT_9[op]["here, paper"].split(" = ")[1] for op in _HERE}
        assert at_9 == {op: cells["9"] for op, cells in _HERE.items()}

    def test_the_defaults_are_those_of_the_layer(self):
        _check_defaults("here", kns.RandAugment)

    def test_the_code_runs(self):
        namespace = {}
        for block in re.findall(r"```python\n(.*?)```", _PAGE, flags=re.DOTALL):
            exec(compile(block, "magnitudes.md", "exec"), namespace)
        assert "kns" in namespace


def _layer_of_column(column, **config):
    overflow = "paper" if "paper" in column else "clamp"
    return kns.RandAugment(1, int(re.match(r"\d+", column)[0]), overflow=overflow, jit_compile=False, **config)


@pytest.fixture(scope="module")
def drawn_by_keras():
    """What Keras' layer draws for 1000 images of 8 pixels; private, hence the first to change with a new Keras."""
    if tuple(int(number) for number in keras.__version__.split(".")[:2]) < (3, 15):
        pytest.skip("The page is about Keras 3.15; older ones draw in another way.")
    layer = keras.layers.RandAugment(factor=0.9, seed=0)
    return layer.get_random_transformation(np.zeros((1000, 8, 8, 3), np.float32))


class TestKeras:
    _COLUMN = "Keras, `factor=0.9`"

    def test_the_defaults_are_those_of_the_layer(self):
        _check_defaults("Keras", keras.layers.RandAugment)

    def test_a_factor_above_1_is_refused(self):
        with pytest.raises(ValueError, match=r"in the range \[0, 1\]"):
            keras.layers.RandAugment(factor=1.1)

    def test_the_ops_are_those_of_the_layer(self, drawn_by_keras):
        _check_ops(self._COLUMN, merged={"SolarizeAdd", "ShearY", "TranslateY"}, missing={"Invert", "Cutout"})
        assert len(drawn_by_keras["transforms"]) == int(_MEANINGS["number of ops"]["Keras"])

    def test_a_batch_shares_its_ops_but_not_their_strengths(self, drawn_by_keras):
        assert drawn_by_keras["layer_idxes"].shape == (2,)
        assert len(np.unique(drawn_by_keras["transforms"]["random_rotation"]["angle"])) > 900

    def test_strengths_are_drawn_between_the_numbers_of_the_table(self, drawn_by_keras):
        drawn = drawn_by_keras["transforms"]
        shears, shifts = drawn["random_shear"]["shear_factor"], drawn["random_translation"]["translations"]
        np.testing.assert_array_equal(np.sign(shears[:, 0]), np.sign(shears[:, 1]))
        strengths = {
            "Rotate": drawn["random_rotation"]["angle"],
            "Posterize": 8 - tf.cast(drawn["random_posterization"]["shift_factor"], tf.int32),
            "Solarize": drawn["solarization"]["thresholds"],
            "SolarizeAdd": drawn["solarization"]["additions"],
            "Color": 1 - drawn["random_color_degeneration"]["factor"],
            "Contrast": drawn["random_contrast"]["contrast_factor"],
            "Brightness": drawn["random_brightness"]["rgb_delta"],
            "Sharpness": 2 * drawn["random_sharpness"]["factor"],
            "ShearX": tf.abs(shears[:, 0]),
            "ShearY": tf.abs(shears[:, 1]),
            "TranslateX": shifts[:, 0] * 224 / 8,
            "TranslateY": shifts[:, 1] * 224 / 8,
        }
        for op, strength in strengths.items():
            low, high = _two_numbers(_AT_9[op][self._COLUMN])
            slack = 0.02 * (high - low)
            assert low - 1e-4 <= np.min(strength) <= low + slack, op
            assert high - slack <= np.max(strength) <= high + 1e-4, op


class TestKerasCV:
    _COLUMN = "keras-cv, `magnitude=0.9`"

    @pytest.fixture
    def layer_class(self):
        return pytest.importorskip("keras_cv").layers.RandAugment

    def test_the_defaults_are_those_of_the_layer(self, layer_class):
        _check_defaults("keras-cv", layer_class)

    def test_the_ops_and_strengths_are_those_of_the_layer(self, layer_class):
        _check_ops(
            self._COLUMN, merged={"SolarizeAdd"}, missing={"Invert", "Rotate", "Posterize", "Sharpness", "Cutout"}
        )
        policy = layer_class.get_standard_policy((0, 255), magnitude=0.9, magnitude_stddev=0.15)
        assert len(policy) == int(_MEANINGS["number of ops"]["keras-cv"])
        _, _, solarize, color, contrast, brightness, shear_x, shear_y, translate_x, translate_y = policy
        normal = {
            "Solarize": solarize.threshold_factor,
            "SolarizeAdd": solarize.addition_factor,
            "ShearX": shear_x.x_factor,
            "ShearY": shear_y.y_factor,
        }
        strengths = {op: (sampler.mean, sampler.stddev) for op, sampler in normal.items()}
        strengths["Color"] = (1 - color.factor.mean, color.factor.stddev)
        strengths["Contrast"] = (contrast.factor.lower, contrast.factor.upper)
        strengths["Brightness"] = (255 * brightness.factor.lower, 255 * brightness.factor.upper)
        strengths["TranslateX"] = (224 * translate_x.width_lower, 224 * translate_x.width_upper)
        strengths["TranslateY"] = (224 * translate_y.height_lower, 224 * translate_y.height_upper)
        for op, strength in strengths.items():
            assert _two_numbers(_AT_9[op][self._COLUMN]) == pytest.approx(strength), op
