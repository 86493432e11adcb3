"""Settings as JSON: what is compared when a run is started again."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

_PASSING = ("name", "build_config", "build_input_shape")
"""Names, which Keras counts up in a process, and shapes, which a first call sets."""


def describe(value: Any) -> Any:
    """A setting as JSON: data classes by their fields, Keras objects by their config, functions by their name.

    An object with a method `description` says itself, as a dict, what tells it from another one.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: describe(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"class": type(value).__name__, **fields}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, keras.Layer | keras.Metric | keras.optimizers.Optimizer):
        return {"class": type(value).__name__, "config": describe(_config(value))}
    if callable(getattr(value, "description", None)) and not isinstance(value, type):
        return {"class": type(value).__name__, **value.description()}
    if isinstance(value, functools.partial):
        return describe({"function": value.func, "args": value.args, "keywords": value.keywords})
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    return getattr(value, "__qualname__", type(value).__qualname__)


def describe_network(network: keras.Model) -> dict[str, Any]:
    """Its layers, and the shapes of its weights: what tells architectures apart."""
    layers = [layer for layer in network._flatten_layers() if not isinstance(layer, keras.Model)]
    described = {f"{place:03d} {type(layer).__name__}": describe(_config(layer)) for place, layer in enumerate(layers)}
    return {**described, "weights": str([tuple(weight.shape) for weight in network.weights])}


def _config(value: keras.Layer | keras.Metric | keras.optimizers.Optimizer) -> Any:
    """The config of a Keras object, or `None` for a layer that has none."""
    try:
        return _lasting(value.get_config())
    except NotImplementedError:
        return None


def _lasting(config: Any) -> Any:
    """A Keras config without what changes when a layer is made again or first called."""
    if isinstance(config, Mapping) and config.get("class_name") == "__lambda__":
        # Marshalled code, in which a line that is added above the function counts.
        return "lambda"
    if isinstance(config, Mapping):
        config = _wired_by_places(config) if "output_layers" in config else config
        return {key: _lasting(item) for key, item in config.items() if key not in _PASSING}
    if isinstance(config, list | tuple):
        return [_lasting(item) for item in config if not _is_input_layer(item)]
    return config


def _wired_by_places(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a functional model, whose layers are told by their places in it instead of their names."""
    places = {layer["config"]["name"]: place for place, layer in enumerate(config["layers"])}

    def placed(item: Any) -> Any:
        if isinstance(item, Mapping):
            return {key: placed(value) for key, value in item.items()}
        if isinstance(item, list | tuple):
            return [placed(value) for value in item]
        return places.get(item, item) if isinstance(item, str) else item

    layers = [{**layer, "inbound_nodes": placed(layer["inbound_nodes"])} for layer in config["layers"]]
    ends = {key: placed(config[key]) for key in ("input_layers", "output_layers")}
    return {**config, "layers": layers, **ends}


def _is_input_layer(config: Any) -> bool:
    """Whether this is the input that `keras.Sequential` adds to its config when it is first called."""
    return isinstance(config, Mapping) and config.get("class_name") == "InputLayer"


def digest(description: Any) -> str:
    """The SHA-256 of a description."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def differences(found: Any, expected: Any, name: str = "") -> list[str]:
    """A line for each innermost setting that differs."""
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        lines = []
        for key in sorted({*found, *expected}):
            path = f"{name}.{key}" if name else key
            lines += differences(found.get(key, "absent"), expected.get(key, "absent"), path)
        return lines
    return [] if found == expected else [f"  {name}: {found} there, {expected} now"]
