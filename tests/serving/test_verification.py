"""What counts as another answer. The fresh process itself is in `tests/integration/test_serving_export.py`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.serving import verification
from keras_noisy_student.serving.served_model import ServedModel
from keras_noisy_student.serving.verification import VerificationError, verify

TASK = kns.Classification(num_classes=2, from_logits=True, class_names=("cat", "größer"))
X = np.array([[0.0, 1.0], [2.0, 1.0], [1.5, -0.5]], np.float32)


def verified(monkeypatch, change, policy="float32"):
    """Verifies a model whose export answers as it does itself, after a change of each answer by name."""
    dense = keras.layers.Dense(2, kernel_initializer="identity", dtype=policy)
    network = keras.Sequential([keras.Input((2,)), dense])
    network.dtype_policy = keras.dtype_policies.get(policy)
    served = ServedModel(network, TASK, tf.TensorSpec((2,), tf.float32))
    asked = []

    def answers(questions, path, *, file_format, directory):
        asked.extend((question.signature, len(question.inputs["x"])) for question in questions)
        return {
            f"{number}/{name}": array
            for number, question in enumerate(questions)
            for name, array in change({name: array.copy() for name, array in question.expected.items()}).items()
        }

    monkeypatch.setattr(verification, "_answers", answers)
    verify(served, "path", file_format="tf_saved_model", examples=X)
    return asked


def shifted(by):
    def change(answers):
        answers["probabilities"] += np.float32(by)
        return answers

    return change


def test_the_same_answers_to_one_and_to_several_examples_pass(monkeypatch):
    assert verified(monkeypatch, lambda answers: answers) == [("serving_default", 1), ("serving_default", 5)]
    verified(monkeypatch, shifted(5e-5))


def test_half_precision_may_differ_by_its_rounding(monkeypatch):
    verified(monkeypatch, shifted(0.01), policy="mixed_bfloat16")
    verified(monkeypatch, lambda answers: answers | {"class_ids": 1 - answers["class_ids"]}, policy="mixed_bfloat16")
    with pytest.raises(VerificationError, match=r"`probabilities` of 1 examples, .*, differs by up to 0\.5\."):
        verified(monkeypatch, shifted(0.5), policy="mixed_bfloat16")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shifted(0.01), r"`probabilities` of 1 examples, by the signature `serving_default`, differs by up to 0\.01\."),
        (shifted(np.nan), r"`probabilities` of 1 examples, .*, differs by up to nan\."),
        (lambda answers: answers | {"class_ids": 1 - answers["class_ids"]}, r"`class_ids`.* differs in 1 of 1 places"),
        (lambda answers: answers | {"class_names": np.array([b"gr"])}, r"`class_names`.* differs in 1 of 1 places"),
        (lambda answers: answers | {"class_ids": np.zeros((1, 1))}, r"has shape \(1, 1\) instead of \(1,\)"),
        (lambda answers: {"class_ids": answers["class_ids"]}, r"does not return .* Received: \['class_ids'\]\."),
    ],
)
def test_other_answers_are_errors_that_say_what_differs(monkeypatch, change, message):
    with pytest.raises(VerificationError, match=message):
        verified(monkeypatch, change)
