"""Replicas of a MirroredStrategy draw different masks. Runs itself in a process of its own: two logical CPU devices."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.noise.mask_seeds import assign_mask_seeds, seed_variables
from keras_noisy_student.noise.stochastic_depth import StochasticDepth
from tests.integration.cluster import run_module

NUM_UNITS = 256


class Student(keras.Model):
    """A network whose masks are assigned in each step, or left to Keras."""

    def __init__(self, network, assigns_masks):
        super().__init__()
        self.network = network
        self.assigns_masks = assigns_masks
        self.mask_seeds = seed_variables(network)

    def call(self, inputs, training=False):
        return self.network(inputs, training=training)

    def train_step(self, data):
        if self.assigns_masks:
            assign_mask_seeds(self.mask_seeds, key=11, step=self.optimizer.iterations)
        return super().train_step(data)


def _trained_kernel(strategy, assigns_masks):
    """Trains for one step of one example per replica.

    The gradient of unit j is proportional to the sum of the replicas' masks at j: 0, 1 or 2 times a constant.
    """
    with strategy.scope():
        dense = keras.layers.Dense(NUM_UNITS, use_bias=False, kernel_initializer="zeros")
        network = keras.Sequential([keras.Input((1,)), dense, keras.layers.Dropout(0.5, seed=1)])
        student = Student(network, assigns_masks)
        student.compile(keras.optimizers.SGD(1.0), "mean_absolute_error")
        student.build((None, 1))
    student.fit(np.ones((2, 1)), np.ones((2, NUM_UNITS)), batch_size=2, verbose=0)
    return dense.kernel.numpy()[0]


def _num_masks_at_each_unit(kernel):
    return np.rint(2 * kernel / kernel.max()).astype(int).tolist()


def _masks_of_replicas(strategy, layer, steps):
    """For each step, a list with the outputs of each replica for an input of ones."""
    with strategy.scope():
        network = keras.Sequential([keras.Input((1,)), layer()])
    variables = seed_variables(network)

    @tf.function
    def draw(step):
        if step is not None:
            assign_mask_seeds(variables, key=11, step=step)
        return network(tf.ones((NUM_UNITS, 1)), training=True)

    steps = [None if step is None else tf.constant(step, tf.int64) for step in steps]
    outputs = [strategy.experimental_local_results(strategy.run(draw, [step])) for step in steps]
    return [[replica.numpy()[:, 0].tolist() for replica in replicas] for replicas in outputs]


def _main():
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    report = {
        "fit_assigned": _num_masks_at_each_unit(_trained_kernel(strategy, assigns_masks=True)),
        "fit_assigned_again": _num_masks_at_each_unit(_trained_kernel(strategy, assigns_masks=True)),
        "fit_plain": _num_masks_at_each_unit(_trained_kernel(strategy, assigns_masks=False)),
        "dropout": _masks_of_replicas(strategy, lambda: keras.layers.Dropout(0.5), [0, 1, 0]),
        "stochastic_depth": _masks_of_replicas(strategy, lambda: StochasticDepth(0.5), [0, 1, 0]),
        "plain": _masks_of_replicas(strategy, lambda: keras.layers.Dropout(0.5), [None]),
    }
    print(json.dumps(report))


@pytest.fixture(scope="module")
def report():
    return run_module("tests.integration.test_replica_masks")


def test_replicas_draw_different_masks_in_fit(report):
    """Independent halves: about 1/4, 1/2, 1/4 of the units were kept by no, one, both replicas."""
    counts = np.bincount(report["fit_assigned"], minlength=3) / NUM_UNITS
    np.testing.assert_allclose(counts, [0.25, 0.5, 0.25], atol=0.12)


def test_masks_in_fit_repeat_for_the_same_key_and_step(report):
    assert report["fit_assigned_again"] == report["fit_assigned"]


@pytest.mark.parametrize("layer", ["dropout", "stochastic_depth"])
def test_replicas_draw_different_masks_that_repeat_for_the_same_key_and_step(report, layer):
    first, second, first_again = report[layer]
    assert first == first_again
    masks = [*first, *second]
    for i, mask in enumerate(masks):
        for other in masks[:i]:
            agreement = np.mean(np.equal(mask, other))
            assert abs(agreement - 0.5) < 0.12


def test_keras_still_draws_the_same_mask_on_every_replica(report):
    """When this fails, Keras has cured it: `assign_mask_seeds` is then needed for resuming only."""
    assert set(report["fit_plain"]) == {0, 2}
    ((mask, mask_of_other_replica),) = report["plain"]
    assert mask == mask_of_other_replica
    assert 0 < np.count_nonzero(mask) < NUM_UNITS


if __name__ == "__main__":
    _main()
