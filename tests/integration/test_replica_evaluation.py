"""A model that belongs to two replicas is evaluated as one. Runs itself in a process of its own."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from tests.evaluation.toy_images import images
from tests.integration.cluster import run_module


def _model():
    kernel = keras.initializers.RandomNormal(stddev=0.01, seed=1)
    return keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            keras.layers.Flatten(),
            keras.layers.Dense(2, "softmax", kernel_initializer=kernel),
        ]
    )


def _evaluate(strategy):
    given, labels = images(5, side=4), np.arange(5) % 2
    with strategy.scope():
        model = _model()
    corrupted = {("fog", severity): given // severity for severity in (1, 2)}
    report = kns.evaluation.robustness.evaluate(
        model, given, labels, task=kns.Classification(2), corrupted=corrupted, epsilons=[4, 16], batch_size=3
    )
    return {"report": dataclasses.asdict(report), "keras": len(model.predict_on_batch(given))}


def _main():
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategies = {"one": tf.distribute.get_strategy(), "two": tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])}
    print(json.dumps({name: _evaluate(strategy) for name, strategy in strategies.items()}))


@pytest.fixture(scope="module")
def found():
    return run_module("tests.integration.test_replica_evaluation")


@pytest.mark.slow
def test_the_report_is_the_same_on_one_and_on_two_replicas(found):
    assert found["two"]["report"] == found["one"]["report"]


@pytest.mark.slow
def test_keras_still_returns_each_batch_once_for_each_replica(found):
    """When it no longer does, `inference` may be `predict_on_batch`."""
    assert (found["one"]["keras"], found["two"]["keras"]) == (5, 10)


if __name__ == "__main__":
    _main()
