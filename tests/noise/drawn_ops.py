"""Finds out, from pixels alone, what `kns.RandAugment` drew for a key.

It noises one tiny image, of which every op, sign and place of the cut makes something else.
"""

import functools
import itertools

import numpy as np
import tensorflow as tf

import keras_noisy_student as kns
from tests.noise import reference_policy

# At lower magnitudes the cut is empty on 8 pixels; without the overflow Posterize and Solarize both keep the image.
_MAGNITUDE, _OVERFLOW = 27, "paper"
_IMAGE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def layer(**config):
    """A layer of one op, to be called on `images(num)`."""
    return kns.RandAugment(1, _MAGNITUDE, overflow=_OVERFLOW, jit_compile=False, **config)


def images(num):
    """Copies of the tiny image."""
    return np.broadcast_to(_IMAGE, (num, *_IMAGE.shape))


def recognize(noised):
    """For each noised image `(op, sign, center)`; the sign is 0 and the centre None where the op has none."""
    return [_nearest_choice(pixels.tobytes()) for pixels in np.asarray(noised)]


@functools.cache
def keys_of_choices():
    """Keys by the `(op, sign)` that they draw: one for each, and six for Cutout."""
    keys, layer_of_one_op = np.arange(600), layer()
    augment = tf.function(lambda images: layer_of_one_op(images, noise_seed=keys))
    drawn = recognize(augment(images(len(keys))))
    chosen = {}
    for key, (op, sign, _) in zip(keys, drawn, strict=True):
        keys_of_choice = chosen.setdefault((op, sign), [])
        if len(keys_of_choice) < (6 if op == "Cutout" else 1):
            keys_of_choice.append(key)
    return chosen


@functools.cache
def _nearest_choice(pixels):
    """Nearest, so that an op which is slightly wrong fails in the test of that op, not wherever ops are recognized."""
    choices, outcomes = _choices_and_outcomes()
    distances = np.abs(outcomes - np.frombuffer(pixels, np.uint8)).mean(1)
    assert distances.min() < 5, "no op makes this image"
    return choices[distances.argmin()]


@functools.cache
def _choices_and_outcomes():
    height, width, _ = _IMAGE.shape
    choices = [(op, 0, None) for op in reference_policy.OPS if op not in (*reference_policy.SIGNED_OPS, "Cutout")]
    choices += [(op, sign, None) for op in reference_policy.SIGNED_OPS for sign in (-1, 1)]
    choices += [("Cutout", 0, center) for center in itertools.product(range(height), range(width))]
    outcomes = [_outcome(*choice) for choice in choices]
    assert len({outcome.tobytes() for outcome in outcomes}) == len(choices)
    return choices, np.stack(outcomes).astype(np.int64)


def _outcome(op, sign, center):
    noised = reference_policy.augment(_IMAGE, op, _MAGNITUDE, sign=sign, center=center or (0, 0), overflow=_OVERFLOW)
    return noised.ravel()
