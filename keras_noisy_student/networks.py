"""Networks: a new one for every round, copies of it, and what is checked of it."""

import hashlib
import itertools
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
            "`student` must be a keras.Model, a function of the round index that returns one, or a FromTeacher of "
            f"either. Received: {type(network).__name__} in round {round_index}."
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
            copy_weights(layer, new_layer)
    return copy


def copy_weights(source: keras.Layer, target: keras.Layer) -> None:
    """Gives a network or layer the weights of another of the same architecture."""
    for weight, new_weight in zip(source.weights, target.weights, strict=True):
        new_weight.assign(weight)
    for layer in target._flatten_layers():
        if isinstance(layer, keras.layers.Normalization) and layer.get_weights():
            layer.finalize_state()


def first_difference(network: keras.Model, other: keras.Model) -> tuple[str, str] | None:
    """The first weight of each, in words, where the shapes of their weights are not the same; `None` if all are."""
    for weights in itertools.zip_longest(network.weights, other.weights):
        shapes = [None if weight is None else tuple(weight.shape) for weight in weights]
        if shapes[0] != shapes[1]:
            one, two = ("no more" if w is None else f"{w.path} of shape {tuple(w.shape)}" for w in weights)
            return one, two
    return None


def at_resolution(network: keras.Model, size: tuple[int, int]) -> keras.Model:
    """A copy of a network, with its weights, that resizes its images to another size.

    Args:
        network: a functional or sequential model that holds exactly one `keras.layers.Resizing`, itself or in a nested
            model, and no weight whose shape depends on the size of the images.
        size: height and width.

    Raises:
        ValueError: for another network.
    """
    num_resizing = len(_resizing_layers(network))
    if num_resizing != 1:
        raise ValueError(
            "A network must hold exactly one `keras.layers.Resizing` to be run at another resolution. Received: "
            f"{network.name!r}, which holds {num_resizing}. Put one, `keras.layers.Resizing(height, width)`, behind "
            "its input."
        )

    def copied(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if isinstance(layer, keras.layers.Resizing):
            config |= {"height": size[0], "width": size[1]}
        return type(layer).from_config(config)

    try:
        copy = keras.models.clone_model(network, clone_function=copied, recursive=True)
    except (TypeError, NotImplementedError, ValueError) as error:
        raise ValueError(
            f"The network {network.name!r} cannot be run at the resolution {size}, of which Keras says: {error} Use a "
            "functional or sequential model, whose nested models take images of any size: "
            "`keras.Input((None, None, 3))`."
        ) from error
    if [(layer.height, layer.width) for layer in _resizing_layers(copy)] != [size]:
        raise ValueError(
            "The `keras.layers.Resizing` of a network must be a layer of the model itself, or of a functional or "
            f"sequential model in it, to be run at another resolution. Received: {network.name!r}, where another layer "
            "holds it. Put it behind the input of the network."
        )
    if difference := first_difference(network, copy):
        raise ValueError(
            f"No weight of a network may depend on the size of the images to be run at another resolution. Received: "
            f"{network.name!r}, whose weight {difference[0]} becomes {difference[1]} at {size}. Replace `Flatten` by "
            "`GlobalAveragePooling2D`."
        )
    copy_weights(network, copy)
    return copy


def _resizing_layers(network: keras.Model) -> list[keras.layers.Resizing]:
    return [layer for layer in network._flatten_layers() if isinstance(layer, keras.layers.Resizing)]


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
    """A student is a model of its own: what it trains is no part of its teacher.

    Raises:
        ValueError: when it is its teacher, or trains weights of it.
    """
    if network is teacher:
        raise ValueError(
            f"`student` must build a new model for every round. Received: the teacher itself in round {round_index}. "
            "Build the model inside the function."
        )
    of_teacher = {id(weight) for weight in teacher.weights}
    shared = [weight.path for weight in network.trainable_weights if id(weight) in of_teacher]
    if shared:
        raise ValueError(
            f"`student` must build a new model for every round. Received: {len(shared)} weights in round {round_index} "
            f"that are weights of its teacher too, such as {shared[0]}. Build every part of the model inside the "
            "function, an encoder for instance, or freeze what all rounds share."
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


def check_examples(network: keras.Model, labeled: tf.data.Dataset, task: Task) -> None:
    """Has the task compare a network's outputs for batches of labelled examples with the labels, if it wants to.

    Raises:
        ValueError: when the outputs cannot be brought to the labels.
    """
    if type(task).check_examples is Task.check_examples:
        return
    first = 0
    call_in_graph = tf.function(lambda x: network(x, training=False)).get_concrete_function(labeled.element_spec[0])
    for x, y in labeled.prefetch(tf.data.AUTOTUNE):
        task.check_examples(y.numpy(), call_in_graph(x).numpy(), first=first)
        first += len(y)


def check_teacher(teacher: keras.Model, labeled: tf.data.Dataset, task: Task) -> None:
    """Has the task judge a teacher by what it answers, un-noised, to batches of labelled examples.

    Raises:
        ValueError: when they are no better than chance.
    """

    def predict(x: Any, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return y, task.answers(teacher(x, training=False))

    predict_in_graph = tf.function(predict).get_concrete_function(*labeled.element_spec)
    batches = [predict_in_graph(x, y) for x, y in labeled.prefetch(tf.data.AUTOTUNE)]
    labels, answers = (np.concatenate(column) for column in zip(*batches, strict=True))
    task.check_teacher(labels, answers)


def weights_digest(network: keras.Model) -> str:
    """A hash of all weights: tells one trained model from another."""
    digest = hashlib.sha256()
    for weight in network.weights:
        digest.update(np.ascontiguousarray(weight.numpy()).tobytes())
    return digest.hexdigest()
