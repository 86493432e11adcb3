"""`resolve_jit_compile`: what is known of each kind of noise under XLA."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.noise.jit_compile import resolve_jit_compile

KERAS_MIXING = [keras.layers.MixUp(), keras.layers.CutMix()]


class SwapHalves(keras.layers.Layer):
    """A mixing layer that XLA compiles: half of each example is the one at the other end of the batch."""

    def call(self, batch):
        return {name: 0.5 * tensor + 0.5 * tf.reverse(tensor, axis=[0]) for name, tensor in batch.items()}


class SaysNo(SwapHalves):
    def __init__(self):
        super().__init__()
        self.supports_jit = False


class Nested(SwapHalves):
    def __init__(self):
        super().__init__()
        self.inner = keras.layers.MixUp()


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        (kns.Noise(), "auto"),
        (kns.Noise(kns.RandAugment()), "auto"),
        (kns.Noise(keras.layers.RandomRotation(0.1)), False),
        (kns.Noise(keras.layers.RandomRotation(0.1), placement="pipeline"), "auto"),
        (kns.Noise(lambda x: x), False),
        (kns.Noise(lambda x: x, placement="pipeline"), "auto"),
        (kns.Noise(mixing=SwapHalves()), "auto"),
        (kns.Noise(mixing=SaysNo()), False),
        (kns.Noise(mixing=Nested()), False),
        *((kns.Noise(mixing=layer), False) for layer in KERAS_MIXING),
        *((kns.Noise(mixing=layer, placement="pipeline"), False) for layer in KERAS_MIXING),
        (kns.Noise(keras.layers.RandomRotation(0.1), mixing=SwapHalves()), False),
    ],
)
def test_auto_compiles_only_noise_that_says_it_can_be_and_can(noise, expected):
    assert resolve_jit_compile("auto", noise) is expected or expected == resolve_jit_compile("auto", noise) == "auto"


@pytest.mark.parametrize("mixing", [*KERAS_MIXING, Nested(), SaysNo()], ids=lambda layer: layer.name)
def test_a_mixing_layer_that_xla_cannot_compile_is_refused(mixing):
    message = (
        rf"XLA cannot compile `mixing`\. Received: jit_compile=True, mixing=<{type(mixing).__name__} .*no XLA kernel "
        r'for the gamma numbers.*To resolve this, .*pass jit_compile="auto" or False, or a mixing layer of your own'
    )
    for placement in ("step", "pipeline"):
        with pytest.raises(ValueError, match=message):
            resolve_jit_compile(True, kns.Noise(mixing=mixing, placement=placement))
    assert resolve_jit_compile(False, kns.Noise(mixing=mixing)) is False


@pytest.mark.parametrize("value", ["yes", None, 1, np.array([True, False])])
def test_refuses_another_value(value):
    message = rf'`jit_compile` must be True, False or "auto"\. Received: jit_compile={re.escape(repr(value))}\.'
    with pytest.raises(ValueError, match=message):
        resolve_jit_compile(value, kns.Noise())


def test_anything_else_is_compiled_as_the_user_says():
    for noise in (kns.Noise(), kns.Noise(lambda x: x), kns.Noise(mixing=SwapHalves())):
        assert resolve_jit_compile(True, noise) is True
        assert resolve_jit_compile(False, noise) is False


@pytest.mark.parametrize("layer", KERAS_MIXING, ids=lambda layer: layer.name)
def test_tensorflow_has_no_xla_kernel_for_what_keras_draws(layer):
    """Where this test fails, TensorFlow has got one, and `_DRAW_FROM_BETA` can go."""
    batch = {"images": tf.zeros((4, 4, 4, 1)), "labels": tf.zeros((4, 2))}
    assert layer.supports_jit
    with pytest.raises(tf.errors.InvalidArgumentError, match="StatelessRandomGamma"):
        tf.function(layer, jit_compile=True)(batch)


def test_a_mixing_layer_of_your_own_may_compile():
    batch = {"images": tf.ones((4, 4, 4, 1)), "labels": tf.eye(4)}
    mixed = tf.function(SwapHalves(), jit_compile=True)(batch)
    np.testing.assert_array_equal(mixed["labels"], 0.5 * (np.eye(4) + np.eye(4)[::-1]))
