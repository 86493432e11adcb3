import functools
import math

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.feature_masks import FeatureMasks, draw_masks

_NUM_STEPS = 50
_SIZES = np.array([0, 1, 2, 3, 7, 19, 20, 21, 39, 40, 49, 50], np.int32)
_KEYS = seeds.fold(3, tf.range(len(_SIZES)))
_CASES = [
    FeatureMasks(0),
    FeatureMasks(1),
    FeatureMasks(2, max_width=0),
    FeatureMasks(2, max_width=9),
    FeatureMasks(3, max_fraction=0.29),
    FeatureMasks(2, max_width=6, max_fraction=0.2),
    FeatureMasks(5, max_fraction=0.1, masks_per_step=0.07),
    FeatureMasks(3, max_width=4, masks_per_step=10),
]


@functools.cache
def _compiled(masks, jit_compile):
    return tf.function(functools.partial(draw_masks, masks, num_steps=_NUM_STEPS), jit_compile=jit_compile)


def _draw_slowly(masks, key, size):
    """Step by step, from the same draws."""
    draws = seeds.uniform(tf.reshape(key, [1]), 2 * masks.num_masks).numpy().ravel().tolist()
    largest = min(int(masks.max_fraction * size), math.inf if masks.max_width is None else masks.max_width)
    number = masks.num_masks
    if masks.masks_per_step is not None:
        number = min(number, int(masks.masks_per_step * size))
    is_masked = [False] * _NUM_STEPS
    for width_draw, start_draw in list(zip(draws[::2], draws[1::2], strict=True))[:number]:
        width = int(width_draw * (largest + 1))
        start = int(start_draw * (size - width + 1))
        for step in range(start, start + width):
            is_masked[step] = True
    return is_masked


@pytest.mark.parametrize("masks", _CASES, ids=str)
def test_equals_a_loop_over_masks_and_steps(masks):
    drawn = draw_masks(masks, _KEYS, _SIZES, _NUM_STEPS)
    assert drawn.shape == (len(_SIZES), _NUM_STEPS)
    for key, size, actual in zip(_KEYS, _SIZES, drawn, strict=True):
        np.testing.assert_array_equal(actual, _draw_slowly(masks, key, size), f"size {size}")


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_compiled_masks_are_the_eager_masks(jit_compile):
    for masks in (_CASES[0], _CASES[-2]):
        expected = draw_masks(masks, _KEYS, _SIZES, _NUM_STEPS)
        np.testing.assert_array_equal(_compiled(masks, jit_compile)(_KEYS, _SIZES), expected)


def test_widths_and_places_are_uniform():
    num_keys, size, largest = 40_000, 10, 3
    keys, sizes = tf.range(num_keys, dtype=tf.int64), np.full(num_keys, size, np.int32)
    drawn = draw_masks(FeatureMasks(1, max_width=largest), keys, sizes, size).numpy()

    widths, starts = drawn.sum(1), drawn.argmax(1)
    _assert_uniform(np.bincount(widths, minlength=largest + 1))
    for width in range(1, largest + 1):
        _assert_uniform(np.bincount(starts[widths == width], minlength=size - width + 1))


def _assert_uniform(counts):
    expected = counts.sum() / len(counts)
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    degrees = len(counts) - 1
    assert chi_squared < degrees + 4 * np.sqrt(2 * degrees), counts


def test_a_fraction_of_the_size_is_rounded_down_as_in_python():
    keys, sizes = tf.range(500, dtype=tf.int64), np.full(500, 50, np.int32)
    widths = draw_masks(FeatureMasks(1, max_fraction=0.58), keys, sizes, _NUM_STEPS).numpy().sum(1)
    assert widths.max() == int(0.58 * 50) == 28


def test_masks_of_one_utterance_are_independent():
    keys, sizes = tf.range(4000, dtype=tf.int64), np.full(4000, 40, np.int32)
    one, two = (draw_masks(FeatureMasks(num, max_width=4), keys, sizes, 40).numpy() for num in (1, 2))
    second = two & ~one
    assert (one <= two).all()
    correlation = np.corrcoef(one.argmax(1)[second.any(1)], second.argmax(1)[second.any(1)])[0, 1]
    assert abs(correlation) < 4 / np.sqrt(len(keys))


def test_the_number_of_masks_grows_with_the_size_up_to_num_masks():
    keys, num_keys = tf.range(200, dtype=tf.int64), 200
    masks = FeatureMasks(3, max_width=1, masks_per_step=0.01)
    largest = [
        draw_masks(masks, keys, np.full(num_keys, size, np.int32), 1000).numpy().sum(1).max()
        for size in (99, 100, 199, 200, 1000)
    ]
    assert largest == [0, 1, 1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_masks": -1}, r"`num_masks` must be an integer, 0 or more\. Received: num_masks=-1\."),
        ({"num_masks": 2.0}, r"`num_masks` must be an integer, 0 or more\. Received: num_masks=2\.0\."),
        ({"max_width": -1}, r"`max_width` must be an integer of frames or bins, .* Received: max_width=-1\."),
        ({"max_width": 0.1}, r"For a fraction of the size use `max_fraction`\. Received: max_width=0\.1\."),
        ({"max_fraction": 0}, r"`max_fraction` must be in \(0, 1\]\. Received: max_fraction=0\."),
        ({"max_fraction": 1.1}, r"`max_fraction` must be in \(0, 1\]\. Received: max_fraction=1\.1\."),
        ({"masks_per_step": 0}, r"`masks_per_step` must be in \(0, inf\)\. Received: masks_per_step=0\."),
    ],
)
def test_refuses_values_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        FeatureMasks(**{"num_masks": 1, **arguments})
