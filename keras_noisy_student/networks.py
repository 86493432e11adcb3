"""Networks: a new one for every round, and what is checked of it."""

import hashlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_noisy_student.round_settings import value_at
from keras_noisy_student.sources import Source
from keras_noisy_student.tasks.task import Task

_BATCH_SIZE = 256


def new_network(student: Any, round_index: int) -> keras.Model:
    """A newly initialised network for a round.

    Args:
        student: a Keras model to copy without its weights, or a function of the round index that builds one.
        round_index: the round.

    Raises:
        ValueError: when the function returns something else.
    """
    if isinstance(student, keras.Model):
        return keras.models.clone_model(student)
    network = value_at(student, round_index, name="student")
    if not isinstance(network, keras.Model):
        raise ValueError(
            "`student` must be a keras.Model, or a function of the round index that returns one. Received: "
            f"{type(network).__name__} in round {round_index}."
        )
    return network


def check_network(network: keras.Model, x: Any, task: Task) -> None:
    """Calls the network on a batch of examples, which builds it, and has the task check what comes out."""
    task.check_outputs(network(x, training=False))


def check_not_smaller(network: keras.Model, teacher: keras.Model, round_index: int) -> None:
    """A student is at least as large as its teacher, and a model of its own.

    Raises:
        ValueError: when it is not.
    """
    if network is teacher:
        raise ValueError(
            f"`student` must build a new model for every round. Received: the teacher itself in round {round_index}. "
            "Build the model inside the function."
        )
    student_size, teacher_size = network.count_params(), teacher.count_params()
    if student_size < teacher_size:
        raise ValueError(
            f"A student must be at least as large as its teacher. Received: {student_size:,} parameters in round "
            f"{round_index}, its teacher has {teacher_size:,}. Widen or deepen the student, or pass "
            "allow_smaller_student=True."
        )


def check_teacher(teacher: keras.Model, labeled: Source, labels: np.ndarray, task: Task) -> None:
    """Has the task judge a teacher by the classes it predicts, un-noised, for the labelled examples.

    Raises:
        ValueError: when they are no better than chance.
    """
    batches = labeled.batches(_BATCH_SIZE).map(lambda x, y: x).prefetch(tf.data.AUTOTUNE)
    predict = tf.function(lambda x: task.annotate(teacher(x, training=False)).class_id)
    predict_in_graph = predict.get_concrete_function(batches.element_spec)
    class_ids = [predict_in_graph(x).numpy() for x in batches]
    task.check_teacher(labels, np.concatenate(class_ids))


def weights_digest(network: keras.Model) -> str:
    """A hash of all weights: tells one trained model from another."""
    digest = hashlib.sha256()
    for weight in network.weights:
        digest.update(np.ascontiguousarray(weight.numpy()).tobytes())
    return digest.hexdigest()
