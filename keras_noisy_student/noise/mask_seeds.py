"""Mask seeds: the masks of dropout and other random layers as a pure function of a key, the step and the replica.

Keras saves the state of its seed generators nowhere, so a resumed run would draw other masks, and every replica draws
the same ones. Assigning the states at the start of each training step cures both.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.noise import seeds


def seed_variables(model: keras.Layer) -> list[Any]:
    """Finds the states of all seed generators in a model or layer.

    Only layers that own a generator have one: not `StochasticDepth` of keras-cv (a stateful TensorFlow op) nor that of
    ConvNeXt in `keras.applications` (Keras' global generator), whose masks differ from run to run.

    Args:
        model: a built model, or a layer that has its generators.

    Returns:
        Variables of shape `(2,)`, each once, in an order that depends on the model's structure only.
    """
    weights = {id(weight) for weight in model.weights}
    states = {
        id(variable): variable
        for variable in model.variables
        if id(variable) not in weights and variable.path.endswith("seed_generator_state")
    }
    return list(states.values())


def assign_mask_seeds(variables: Sequence[Any], *, key: tf.Tensor | int, step: Any) -> None:
    """Sets the seed generators to a state that depends on the key, the step, the replica and the place in the list.

    Call it at the start of a `train_step`; it works in eager and graph mode, under XLA and in every replica of a
    strategy. Outside a replica it counts as replica 0.

    Args:
        variables: what `seed_variables` returned.
        key: int64 key of the run.
        step: number of the training step, usually `optimizer.iterations`.

    Example:
        >>> dropout = keras.layers.Dropout(0.5)
        >>> model = keras.Sequential([keras.Input((4,)), dropout])
        >>> assign_mask_seeds(seed_variables(model), key=seeds.stream_key(0, "masks"), step=7)
    """
    if not variables:
        return
    replica_context = tf.distribute.get_replica_context()
    replica = 0 if replica_context is None else replica_context.replica_id_in_sync_group
    replica_key = seeds.fold(seeds.fold(key, tf.convert_to_tensor(step)), replica)
    for variable, state in zip(variables, seed_states(variables, replica_key), strict=True):
        variable.assign(state)


def seed_states(variables: Sequence[Any], key: tf.Tensor) -> list[tf.Tensor]:
    """The states that a key gives to seed generators: each another one.

    Args:
        variables: what `seed_variables` returned.
        key: int64 scalar.

    Returns:
        A tensor `(2,)` for each variable, of its dtype.
    """
    states = tf.bitcast(seeds.fold(key, tf.range(len(variables))), tf.uint32)
    return [tf.cast(state, variable.dtype) for variable, state in zip(variables, tf.unstack(states), strict=True)]
