"""Networks: a new one for every round, and what is checked of it."""

import hashlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_noisy_student.round_settings import value_at
from keras_noisy_student.tasks.task import Task


def new_network(student: Any, round_index: int) -> keras.Model:
    """A newly initialised network for a round.

    Args:
        student: a Keras model to copy without its weights, or a function of the round index that builds one.
        round_index: the round.

    Raises:
        ValueError: when the function returns something else.
    """
    if isinstance(student, keras.Model):
        return _new_copy(student)
    network = value_at(student, round_index, name="student")
    if not isinstance(network, keras.Model):
        raise ValueError(
            "`student` must be a keras.Model, or a function of the round index that returns one. Received: "
            f"{type(network).__name__} in round {round_index}."
        )
    return network


def _new_copy(model: keras.Model) -> keras.Model:
    """The model with new weights, but for the statistics of its `Normalization` layers, which belong to the data."""
    try:
        copy = keras.models.clone_model(model)
    except (TypeError, NotImplementedError, ValueError) as error:
        raise ValueError(
            f"The model {model.name!r} given as `student` cannot be copied, because it has no complete config. Pass a "
            f"function that builds it: `lambda round_index: {type(model).__name__}(...)`."
        ) from error
    for layer, new_layer in zip(model._flatten_layers(), copy._flatten_layers(), strict=True):
        if isinstance(layer, keras.layers.Normalization) and layer.get_weights():
            new_layer.set_weights(layer.get_weights())
            new_layer.finalize_state()
    return copy


def check_network(network: keras.Model, x: Any, task: Task) -> None:
    """Calls the network on a batch of examples, which builds it, and has the task check what comes out.

    Raises:
        ValueError: when the network does not take such examples, or the task not what it returns.
    """
    try:
        outputs = network(x, training=False)
    except (TypeError, ValueError, tf.errors.OpError) as error:
        received = tf.nest.map_structure(lambda tensor: (tuple(tensor.shape), tensor.dtype.name), x)
        raise ValueError(
            f"The network {network.name!r} must take batches of the labelled examples. Received: a batch of shape and "
            f"dtype {received}, of which it says: {error} Change the input of the network, or the examples."
        ) from error
    task.check_outputs(outputs)


def check_is_new(network: keras.Model, teacher: keras.Model, round_index: int) -> None:
    """A student is a model of its own, not its teacher.

    Raises:
        ValueError: when it is its teacher.
    """
    if network is teacher:
        raise ValueError(
            f"`student` must build a new model for every round. Received: the teacher itself in round {round_index}. "
            "Build the model inside the function."
        )


def check_not_smaller(network: keras.Model, teacher: keras.Model, round_index: int) -> None:
    """A student is at least as large as its teacher.

    Raises:
        ValueError: when it has fewer parameters.
    """
    student_size, teacher_size = network.count_params(), teacher.count_params()
    if student_size < teacher_size:
        raise ValueError(
            f"A student must be at least as large as its teacher. Received: {student_size:,} parameters in round "
            f"{round_index}, its teacher has {teacher_size:,}. Widen or deepen the student, or pass "
            "allow_smaller_student=True."
        )


def check_teacher(teacher: keras.Model, labeled: tf.data.Dataset, task: Task) -> None:
    """Has the task judge a teacher by the classes it predicts, un-noised, for batches of labelled examples.

    Raises:
        ValueError: when they are no better than chance.
    """

    def predict(x: Any, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return y, task.annotate(teacher(x, training=False)).class_id

    predict_in_graph = tf.function(predict).get_concrete_function(*labeled.element_spec)
    batches = [predict_in_graph(x, y) for x, y in labeled.prefetch(tf.data.AUTOTUNE)]
    labels, class_ids = (np.concatenate(column) for column in zip(*batches, strict=True))
    task.check_teacher(labels, class_ids)


def weights_digest(network: keras.Model) -> str:
    """A hash of all weights: tells one trained model from another."""
    digest = hashlib.sha256()
    for weight in network.weights:
        digest.update(np.ascontiguousarray(weight.numpy()).tobytes())
    return digest.hexdigest()
