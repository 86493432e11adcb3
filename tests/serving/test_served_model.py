"""The names of a served model's inputs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.serving.served_model import ServedModel

NUMBER = tf.TensorSpec((), tf.float32)


@pytest.mark.parametrize(
    ("element_spec", "names"),
    [
        (tf.TensorSpec((8, 8, 3), tf.uint8), ["x"]),
        ({"length": NUMBER, "features": NUMBER}, ["features", "length"]),
        ({"audio": {"left": NUMBER, "right": NUMBER}}, ["audio_left", "audio_right"]),
        ((NUMBER, {"audio/wave": NUMBER}), ["x_0", "x_1_audio_wave"]),
    ],
)
def test_inputs_are_called_by_their_keys(element_spec, names):
    served = ServedModel(None, None, element_spec)
    specs = tf.nest.flatten(served.signature)
    assert [spec.name for spec in specs] == names
    assert [spec.shape[0] for spec in specs] == [None] * len(names)
    assert list(served.inputs(element_spec)) == names


def test_tensors_keep_their_names_in_nested_examples():
    spec = {"length": tf.TensorSpec((), tf.int32), "features": tf.TensorSpec((None, 4), tf.float32)}
    served = ServedModel(None, None, spec)
    inputs = served.inputs({"features": "the features", "length": "the length"})
    assert inputs == {"features": "the features", "length": "the length"}
    assert served.signature["features"].shape.as_list() == [None, None, 4]


def test_strings_are_left_out_of_the_numbers():
    network = keras.Sequential([keras.Input((2,)), keras.layers.Softmax()])
    task = kns.Classification(num_classes=2, class_names=["cat", "dog"])
    served = ServedModel(network, task, tf.TensorSpec((2,), tf.float32))
    x = np.array([[0.0, 1.0]], np.float32)
    assert sorted(served(x)) == ["class_ids", "class_names", "probabilities"]
    assert sorted(served.numbers(x)) == ["class_ids", "probabilities"]


def test_tasks_tell_what_their_ids_stand_for():
    assert kns.Classification(num_classes=2).served_names() == {}
    assert kns.Classification(2, class_names=("cat", "dog")).served_names() == {"class_names": ["cat", "dog"]}
    assert kns.Transcription(kns.speech.Vocabulary("ab"), max_tokens=4).served_names() == {"tokens": ["a", "b"]}
