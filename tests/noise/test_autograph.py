"""`call_with_autograph`: Python control flow over tensors, where AutoGraph is off."""

import dataclasses

import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.noise.autograph import call_with_autograph


def brighten(images, amount=1.0):
    if tf.reduce_sum(images) < 1:
        images = images + amount
    return images


def in_step(function):
    """Keras traces a training step like this."""
    return tf.function(function, autograph=False)


def test_without_it_a_graph_refuses_control_flow_over_tensors():
    with pytest.raises(tf.errors.OperatorNotAllowedInGraphError):
        in_step(brighten)(tf.zeros(2))


def test_control_flow_over_tensors_runs_inside_a_step():
    step = in_step(lambda images: call_with_autograph(brighten, images, amount=2.0))
    assert step(tf.zeros(2)).numpy().tolist() == [2, 2]
    assert step(tf.ones(2)).numpy().tolist() == [1, 1]


def test_structures_and_static_shapes_are_kept():
    def step(images):
        outputs = call_with_autograph(lambda batch: {"images": brighten(batch["images"])}, {"images": images})
        assert outputs["images"].shape == (2, 3)
        return outputs

    assert set(in_step(step)(tf.zeros((2, 3)))) == {"images"}


def test_eager_mode_calls_the_function_as_it_is():
    seen = []
    call_with_autograph(lambda images: seen.append(images), tf.zeros(2))
    assert seen[0].numpy().tolist() == [0, 0]


def test_noise_may_be_an_object_that_cannot_be_hashed():
    @dataclasses.dataclass
    class Brighten:
        amount: float

        def __call__(self, images):
            return brighten(images, self.amount)

    step = in_step(lambda images: call_with_autograph(kns.Noise(Brighten(2.0)).augment, images, tf.range(2)))
    assert step(tf.zeros(2)).numpy().tolist() == [2, 2]
