"""A fresh optimizer for every round."""

from typing import Any

import keras

from keras_noisy_student.round_settings import value_at


def optimizer_for_round(setting: Any, round_index: int) -> keras.optimizers.Optimizer:
    """A copy of an optimizer given as a value or by name; what a function of the round returns is taken as it is."""
    optimizer = value_at(setting, round_index, name="optimizer")
    is_new = isinstance(optimizer, keras.optimizers.Optimizer) and optimizer is not setting and not optimizer.built
    return optimizer if is_new else fresh_optimizer(optimizer)


def fresh_optimizer(optimizer: Any) -> keras.optimizers.Optimizer:
    """An unused optimizer with the configuration of the given one, or named by it.

    `from_config` drops `exclude_from_weight_decay`, so exclusions by name are carried over; those by variable belong to
    another network.

    Args:
        optimizer: a `keras.optimizers.Optimizer`, or the name of one.

    Raises:
        ValueError: when it is neither, or excludes single variables from weight decay.
    """
    if isinstance(optimizer, str):
        return keras.optimizers.get(optimizer)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(
            "`optimizer` must be a keras.optimizers.Optimizer, the name of one, or a function of the round index that "
            f"returns one. Received: {type(optimizer).__name__}."
        )
    try:
        copy = type(optimizer).from_config(optimizer.get_config())
    except (NotImplementedError, TypeError) as error:
        raise ValueError(
            f"The optimizer {type(optimizer).__name__} cannot be copied, because it has no complete config (a schedule "
            "of your own?). Pass a function that makes one: `lambda round_index: ...`."
        ) from error
    _copy_weight_decay_exclusions(optimizer, copy)
    if hasattr(optimizer, "inner_optimizer"):
        _copy_weight_decay_exclusions(optimizer.inner_optimizer, copy.inner_optimizer)
    return copy


def _copy_weight_decay_exclusions(optimizer: keras.optimizers.Optimizer, copy: keras.optimizers.Optimizer) -> None:
    if getattr(optimizer, "_exclude_from_weight_decay", None):
        raise ValueError(
            "`exclude_from_weight_decay(var_list=...)` names variables of one network, and every round trains another. "
            'Use `exclude_from_weight_decay(var_names=["bias", ...])`.'
        )
    pattern = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    if pattern is not None:
        copy.exclude_from_weight_decay(var_names=[pattern.pattern])
