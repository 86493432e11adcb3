"""Settings in print: the call that makes them, without the arguments that are at their defaults."""

import dataclasses
import inspect
from typing import Any

import keras

_NEVER_SHOWN = {"data_format", "seed"}
"""What Keras layers fill in when they are made."""


def constructor_call(value: Any) -> str:
    """A data class or Keras layer as a call of its class, anything else by its name or `repr`.

    Arguments that an object keeps under no name, nor in its config, are not shown.

    Example:
        >>> constructor_call(RandAugment(num_ops=1, magnitude=5)), constructor_call(np.flipud)
        ('RandAugment(num_ops=1, magnitude=5)', 'flipud')
    """
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(constructor_call, value)) + "]"
    if isinstance(value, keras.Layer) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        arguments = [f"{name}={constructor_call(argument)}" for name, argument in _changed_arguments(value).items()]
        return f"{type(value).__name__}({', '.join(arguments)})"
    if isinstance(value, keras.optimizers.Optimizer):
        return type(value).__name__
    if isinstance(value, float):
        return f"{value:g}"
    return getattr(value, "__name__", None) or repr(value)


def _changed_arguments(value: Any) -> dict[str, Any]:
    config = _config(value)
    changed = {}
    # Of the class itself, Python 3.10 takes the `__new__` of Keras' layers.
    _, *parameters = inspect.signature(type(value).__init__).parameters.items()
    for name, parameter in parameters:
        argument = getattr(value, name, config.get(name, parameter.default))
        is_default = argument is parameter.default or repr(argument) == repr(parameter.default)
        # What `None` stands for, such as `OpSettings()`.
        is_default |= parameter.default is None and constructor_call(argument) == f"{type(argument).__name__}()"
        if not is_default and name not in _NEVER_SHOWN:
            changed[name] = argument
    return changed


def _config(value: Any) -> dict[str, Any]:
    try:
        config: dict[str, Any] = value.get_config() if isinstance(value, keras.Layer) else {}
    except NotImplementedError:
        return {}
    return config
