"""The real corruptions, at the smallest size that the library takes."""

import sys

import numpy as np
import pytest

from keras_noisy_student.evaluation.corruptions import CORRUPTIONS, SEVERITIES, SMALLEST_SIDE, corrupt
from tests.evaluation.toy_images import images

IMAGE = images(1, side=SMALLEST_SIDE)[0]


@pytest.fixture
def library():
    return pytest.importorskip("imagecorruptions")


def test_the_corruptions_are_those_of_the_library(library):
    assert list(CORRUPTIONS) == library.get_corruption_names("common")


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_every_corruption_follows_from_its_key_at_every_severity(library, corruption, capsys):
    smooth = np.uint8(np.linspace(20, 230, SMALLEST_SIDE)[:, None, None] + np.zeros((1, SMALLEST_SIDE, 3)))
    drawn = []
    for severity in SEVERITIES:
        once, again = (corrupt(smooth, corruption, severity, key=5) for _ in range(2))
        assert once.shape == smooth.shape
        assert once.dtype == np.uint8
        np.testing.assert_array_equal(once, again)
        assert (once != smooth).any()
        drawn.append(once)
    assert len({array.tobytes() for array in drawn}) == len(SEVERITIES)
    # The library prints where it could not do what it should.
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("corruption", ["gaussian_noise", "impulse_noise", "glass_blur", "frost", "fog"])
def test_another_key_draws_other_numbers(library, corruption):
    first, second = (corrupt(IMAGE, corruption, 3, key=key) for key in (1, 2))
    assert (first != second).any()


def test_the_global_generator_of_numpy_is_left_as_it_was(library):
    np.random.seed(3)
    expected = np.random.random(4)
    np.random.seed(3)
    corrupt(IMAGE, "gaussian_noise", 1, key=0)
    np.testing.assert_array_equal(np.random.random(4), expected)


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_the_library_still_refuses_smaller_images(library, corruption):
    """When it no longer does, `SMALLEST_SIDE` can go."""
    with pytest.raises(AttributeError, match="at least 32 pixels"):
        corrupt(IMAGE[1:], corruption, 1, key=0)


def test_without_the_library_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecorruptions", None)
    with pytest.raises(ImportError, match=r'`pip install "keras-noisy-student\[robustness\]"`'):
        corrupt(IMAGE, "fog", 1, key=0)
