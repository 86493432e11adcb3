"""Every op of `kns.RandAugment` against the slow reference, on photographs, at five magnitudes."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_image

import keras_noisy_student as kns
from tests.noise import drawn_ops, reference_policy

_MAGNITUDES = [1, 5, 9, 10, 27]
# Tracing is what takes the time here, so that the other crops have some of the magnitudes only.
_MAGNITUDES_OF_CROP = {"square": _MAGNITUDES, "wide": [10, 27], "small": [1, 9], "grey": [5, 27]}
_CROPS = list(_MAGNITUDES_OF_CROP)
# The values that float32 rounding may decide otherwise: a rotation has sources halfway between two pixels, and the
# product in TensorFlow's grey image depends on the processor. All other ops are equal in every value.
_SHARE_DECIDED_BY_ROUNDING = {"Rotate": 1e-4, "Color": 1e-4}
# Values that the authors' float32 sum puts one level too low, before the blend.
_SHARE_OF_LOW_SUMS = 0.01


@functools.cache
def _photograph(crop):
    china, flower = load_sample_image("china.jpg"), load_sample_image("flower.jpg")
    if crop == "square":
        return china[100:324, 200:424]
    if crop == "wide":
        return flower[100:340, 150:470]
    if crop == "small":
        return np.asarray(Image.fromarray(china).resize((32, 32)))
    return np.asarray(Image.fromarray(flower[120:220, 200:350]).convert("L"))[..., None]


@functools.cache
def _noised(crop, magnitude, overflow, jit_compile):
    """What the layer makes of a photograph, by `(op, sign)`; and of a black image, to see where Cutout cuts."""
    keys_of_choices = drawn_ops.keys_of_choices()
    photograph = _photograph(crop)
    black = [(key, np.zeros_like(photograph), "black") for key in keys_of_choices["Cutout", 0]]
    rows = [(key, photograph, choice) for choice, keys in keys_of_choices.items() for key in keys] + black
    keys, images, choices = zip(*rows, strict=True)

    layer = kns.RandAugment(1, magnitude, overflow=overflow, jit_compile=jit_compile)
    augment = tf.function(lambda images, keys: layer(images, noise_seed=keys), jit_compile=jit_compile)
    noised = {}
    for choice, pixels in zip(choices, augment(np.stack(images), np.stack(keys)).numpy(), strict=True):
        noised.setdefault(choice, []).append(pixels)
    return noised


def _crops_of_magnitude(magnitude):
    return [crop for crop, magnitudes in _MAGNITUDES_OF_CROP.items() if magnitude in magnitudes]


def _signs(op):
    return (-1, 1) if op in reference_policy.SIGNED_OPS else (0,)


def _check_op(op, crop, magnitude, overflow="clamp", jit_compile=False):
    noised, photograph = _noised(crop, magnitude, overflow, jit_compile), _photograph(crop)
    for sign in _signs(op):
        expected = reference_policy.augment(photograph, op, magnitude, sign=sign, overflow=overflow)
        (actual,) = noised[op, sign]
        assert actual.dtype == np.uint8
        differing = np.mean(actual != expected)
        assert differing <= _SHARE_DECIDED_BY_ROUNDING.get(op, 0), f"{differing:.2%} of {crop}, sign {sign}"


def _check_cutout(crop, magnitude, jit_compile=False):
    noised, photograph = _noised(crop, magnitude, "clamp", jit_compile), _photograph(crop)
    half_size = reference_policy.parameter("Cutout", magnitude, size=min(photograph.shape[:2]))
    for cut, black in zip(noised["Cutout", 0], noised["black"], strict=True):
        center = _center_of_cut(black, half_size)
        assert 0 <= center[0] < photograph.shape[0] and 0 <= center[1] < photograph.shape[1]
        for actual, image in [(cut, photograph), (black, np.zeros_like(photograph))]:
            expected = reference_policy.apply(image, "Cutout", half_size, center=center)
            np.testing.assert_array_equal(actual, expected)


def _center_of_cut(black, half_size):
    """Row and column of the centre of the grey square on a black image, which the border may have cut short."""
    if half_size == 0:
        return (0, 0)
    rows, columns = np.nonzero(black[..., 0])
    return _middle(rows, half_size), _middle(columns, half_size)


def _middle(places, half_size):
    first, last = int(places.min()), int(places.max())
    return first + half_size if first > 0 else last + 1 - half_size


@pytest.mark.parametrize("magnitude", _MAGNITUDES)
@pytest.mark.parametrize("op", reference_policy.OPS[:-1])
def test_op_equals_the_reference(op, magnitude):
    for crop in _crops_of_magnitude(magnitude):
        _check_op(op, crop, magnitude)


@pytest.mark.parametrize("magnitude", _MAGNITUDES)
def test_cutout_equals_the_reference(magnitude):
    for crop in _crops_of_magnitude(magnitude):
        _check_cutout(crop, magnitude)


@pytest.mark.parametrize("magnitude", [10, 27])
@pytest.mark.parametrize("op", ["Posterize", "Solarize"])
def test_the_papers_overflow_equals_the_reference(op, magnitude):
    _check_op(op, "square", magnitude, overflow="paper")


@pytest.mark.parametrize("crop", _CROPS)
def test_contrast_with_the_papers_mean_equals_the_reference(crop):
    photograph, settings = _photograph(crop), kns.OpSettings(contrast_mean="paper")
    layer = kns.RandAugment(1, 9, ops=["Contrast"], op_settings=settings, jit_compile=False)
    actual = tf.function(lambda image: layer(image, noise_seed=0))(photograph)
    np.testing.assert_array_equal(actual, reference_policy.augment(photograph, "Contrast", 9, contrast_mean="paper"))


@pytest.mark.parametrize(("crop", "magnitude"), [("square", 9), ("grey", 27)])
def test_every_op_equals_the_reference_under_xla(crop, magnitude):
    for op in reference_policy.OPS[:-1]:
        _check_op(op, crop, magnitude, jit_compile=True)
    _check_cutout(crop, magnitude, jit_compile=True)


@pytest.mark.parametrize(
    ("crop", "magnitude"), [(crop, magnitude) for crop in _CROPS for magnitude in _MAGNITUDES_OF_CROP[crop]]
)
def test_sharpness_is_near_that_of_the_authors_float32_sum(crop, magnitude):
    (actual,) = _noised(crop, magnitude, "clamp", False)["Sharpness", 0]
    authors = reference_policy.augment(_photograph(crop), "Sharpness", magnitude, smooth_sum="float32")

    factor = reference_policy.parameter("Sharpness", magnitude, size=224)
    assert np.abs(np.int64(actual) - authors).max() <= math.ceil(abs(1 - factor))
    assert np.mean(actual != authors) <= _SHARE_OF_LOW_SUMS


@pytest.mark.parametrize("crop", _CROPS)
def test_the_reference_is_pils_where_the_authors_are(crop):
    photograph = _photograph(crop)
    image = Image.fromarray(photograph[..., 0] if crop == "grey" else photograph)
    of_pil = {
        "Equalize": ImageOps.equalize(image),
        "Invert": ImageOps.invert(image),
        "Posterize": ImageOps.posterize(image, 3),
        "Solarize": ImageOps.solarize(image, 230),
        "SolarizeAdd": image.point(
            [level + 99 if level < 128 else level for level in range(256)] * photograph.shape[-1]
        ),
        "Brightness": ImageEnhance.Brightness(image).enhance(1.72),
        "Contrast": ImageEnhance.Contrast(image).enhance(1.72),
    }
    for op, expected in of_pil.items():
        actual = np.int64(reference_policy.augment(photograph, op, 9))
        # PIL may be compiled with a fused multiply-add, which rounds a blend once instead of twice.
        levels = 1 if op in ("Brightness", "Contrast") else 0
        assert np.abs(actual - np.asarray(expected).reshape(photograph.shape)).max() <= levels, op


def test_the_reference_moves_photographs_by_whole_pixels():
    photograph, grey = _photograph("square"), np.full((224, 90, 3), 128)
    moved = {
        ("TranslateX", 1): np.concatenate([photograph[:, 90:], grey], 1),
        ("TranslateX", -1): np.concatenate([grey, photograph[:, :-90]], 1),
        ("TranslateY", 1): np.concatenate([photograph[90:], grey.transpose(1, 0, 2)]),
        ("TranslateY", -1): np.concatenate([grey.transpose(1, 0, 2), photograph[:-90]]),
    }
    for (op, sign), expected in moved.items():
        np.testing.assert_array_equal(reference_policy.augment(photograph, op, 9, sign=sign), expected)
