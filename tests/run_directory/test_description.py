import functools
import json

import keras
import numpy as np
import pytest

from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.run_directory.description import describe, describe_network, differences, digest
from keras_noisy_student.tasks.classification import Classification


def _named_function(x):
    return x


@pytest.mark.parametrize(
    ("value", "description"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.1, 0.1),
        ("soft", "soft"),
        ((1, [2.5, None]), [1, [2.5, None]]),
        ({"a": {1: "b"}}, {"a": {"1": "b"}}),
        (_named_function, "_named_function"),
        (functools.partial(_named_function, 1), {"function": "_named_function", "args": [1], "keywords": {}}),
        (Classification, "Classification"),
    ],
)
def test_describes_values_as_json(value, description):
    assert describe(value) == description
    assert json.loads(json.dumps(describe(value))) == description


@pytest.mark.parametrize(
    ("value", "description"), [(np.float32(0.5), 0.5), (np.int64(3), 3), (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]])]
)
def test_describes_numpy_values_by_what_they_hold(value, description):
    assert json.loads(json.dumps(describe(value))) == description


def test_describes_data_classes_by_their_fields():
    assert describe(PseudoLabeling(temperature=0.5)) == {
        "class": "PseudoLabeling",
        "labels": "soft",
        "temperature": 0.5,
        "confidence_threshold": 0.0,
        "examples_per_class": None,
        "annotate": "stored",
        "corrections": [],
        "averaging": {"class": "TeacherAveraging", "num_teachers": 1, "views": []},
    }


def test_describes_keras_objects_by_their_configuration():
    layers = [keras.layers.GaussianNoise(stddev, seed=1) for stddev in (0.1, 0.1, 0.2)]
    optimizers = [keras.optimizers.Adam(rate) for rate in (0.1, 0.1, 0.2)]
    schedules = [keras.optimizers.schedules.CosineDecay(0.1, steps) for steps in (10, 10, 20)]
    for same, also_same, other in (layers, optimizers, [keras.optimizers.SGD(schedule) for schedule in schedules]):
        assert json.loads(json.dumps(describe(same))) == describe(also_same)
        assert describe(other) != describe(same)


def test_the_names_of_layers_that_count_up_make_no_difference():
    first, second = (keras.Sequential([keras.layers.GaussianNoise(0.1)]) for _ in range(2))
    assert first.name != second.name
    assert describe(first) == describe(second)


def test_nor_do_those_of_a_network_within_a_layer():
    def build(units=3, divisor=2.0):
        inputs = keras.Input((4,))
        inner = keras.Model(inputs, keras.layers.Dense(units)(inputs) / divisor)
        return keras.Sequential([keras.Input((2, 4)), keras.layers.TimeDistributed(inner)])

    assert describe_network(build()) == describe_network(build())
    assert describe_network(build()) != describe_network(build(units=2))
    assert describe_network(build()) != describe_network(build(divisor=3.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.layers.RandomFlip("horizontal"),
        lambda: keras.Sequential([keras.layers.RandomRotation(0.1), keras.layers.GaussianNoise(0.1)]),
        lambda: keras.Sequential([keras.Input((8, 8, 3)), keras.layers.RandomFlip()]),
    ],
)
def test_an_augmentation_is_described_alike_before_and_after_it_was_used(make):
    """A run that is started again restores its first rounds, and uses the augmentation later than it did before."""
    used = make()
    used(np.ones((2, 8, 8, 3), "float32"), training=True)
    assert describe(used) == describe(make())


def test_a_layer_that_has_no_configuration_is_described_by_its_class():
    class Augmentation(keras.layers.Layer):
        def __init__(self, function):
            super().__init__()
            self.function = function

    assert describe(Augmentation(_named_function))["class"] == "Augmentation"


def test_metrics_are_described_by_their_configuration():
    metrics = [keras.metrics.TopKCategoricalAccuracy(k) for k in (3, 3, 5)]
    assert describe(metrics[0]) == describe(metrics[1])
    assert describe(metrics[0]) != describe(metrics[2])


def test_a_digest_tells_descriptions_apart_and_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1, "b": [2]}) != digest({"a": 1, "b": [3]})


def test_differences_are_those_of_the_innermost_settings():
    found, expected = {"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 1, "c": 3}, "e": None}
    assert differences(found, expected) == [
        "  a.c: 2 there, 3 now",
        "  d: [1] there, absent now",
        "  e: absent there, None now",
    ]
    assert differences(found, found) == []
