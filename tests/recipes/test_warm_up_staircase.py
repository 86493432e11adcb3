"""The paper's learning rate, against the formula written out."""

import math

import keras
import pytest
import tensorflow as tf

from keras_noisy_student.recipes.warm_up_staircase import WarmUpStaircase


def reference(step, peak, warm_up_steps, decay_steps, decay_rate):
    if step < warm_up_steps:
        return peak * step / warm_up_steps
    return peak * decay_rate ** math.floor(step / decay_steps)


@pytest.mark.parametrize(
    ("peak", "warm_up_steps", "decay_steps", "decay_rate"),
    [(0.128, 3127.8, 1501.4, 0.97), (1.0, 0, 7, 0.5), (0.008, 0.5, 10, 0.9), (2.0, 100, 1e9, 0.97), (0.1, 5, 3, 1)],
)
def test_is_the_formula(peak, warm_up_steps, decay_steps, decay_rate):
    schedule = WarmUpStaircase(peak, warm_up_steps=warm_up_steps, decay_steps=decay_steps, decay_rate=decay_rate)
    in_graph = tf.function(schedule, jit_compile=True)
    for step in [*range(25), 99, 100, 101, 3127, 3128, 12_345, 218_947]:
        expected = reference(step, peak, warm_up_steps, decay_steps, decay_rate)
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-4)
        assert float(in_graph(tf.constant(step, tf.int64))) == pytest.approx(expected, rel=1e-4)


def test_is_saved_with_its_optimizer():
    schedule = WarmUpStaircase(0.5, warm_up_steps=2.5, decay_steps=4, decay_rate=0.9)
    optimizer = keras.optimizers.SGD(schedule)
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert restored._learning_rate.get_config() == schedule.get_config()
    assert restored._learning_rate.get_config() == {
        "peak": 0.5,
        "warm_up_steps": 2.5,
        "decay_steps": 4.0,
        "decay_rate": 0.9,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"peak": 0}, r"`peak` must be in \(0, inf\)\. Received: peak=0\."),
        ({"warm_up_steps": -1}, r"`warm_up_steps` must be in \[0, inf\)\. Received: warm_up_steps=-1\."),
        ({"decay_steps": 0}, r"`decay_steps` must be in \(0, inf\)\. Received: decay_steps=0\."),
        ({"decay_rate": 1.1}, r"`decay_rate` must be in \(0, 1\]\. Received: decay_rate=1\.1\."),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        WarmUpStaircase(**{"peak": 1, "warm_up_steps": 1, "decay_steps": 1, **arguments})
