"""Model noise: sets the rates of the dropout and stochastic-depth layers that a model already has."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, Literal

import keras

from keras_noisy_student.argument_checks import ABOVE_0_TO_1, FROM_0_BELOW_1

Kind = Literal["dropout", "stochastic depth"]

_DROPOUT = (keras.layers.Dropout, keras.layers.AlphaDropout)
# Their inner dropout follows their own `dropout` argument, which decides whether it runs and what a saved model holds.
_OWN_THEIR_DROPOUT = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)
_STOCHASTIC_DEPTH_NAMES = {"StochasticDepth", "DropPath"}
_DROP_RATE_ATTRIBUTES = ("rate", "drop_path_rate")
_REMEDIES: dict[Kind, str] = {
    "dropout": "add a keras.layers.Dropout to the model",
    "stochastic depth": "put a keras_noisy_student.StochasticDepth on each residual branch, before the add",
}


@dataclasses.dataclass(frozen=True)
class LayerNoise:
    """What `set_model_noise` did to one layer."""

    layer_name: str
    kind: Kind
    old_drop_rate: float
    new_drop_rate: float

    def __str__(self) -> str:
        return f"{self.layer_name} ({self.kind}): drop rate {self.old_drop_rate:.4g} -> {self.new_drop_rate:.4g}"


def set_model_noise(
    model: keras.Model, *, dropout_rate: float | None = None, survival_probability: float | None = None
) -> list[LayerNoise]:
    """Sets the rates of the dropout and stochastic-depth layers of a model, nested models included.

    Call it before training: a training step that is traced already ignores new rates. That is refused where `model`
    itself was trained; it cannot be seen where another model that contains `model` was.

    Dropout layers are `keras.layers.Dropout`, `SpatialDropout1D` to `3D` and `AlphaDropout`. Left as they are:
    `GaussianDropout`, which drops nothing, and the `dropout` argument of recurrent and attention layers.

    Stochastic-depth layers are those called `StochasticDepth` or `DropPath` (this library's, keras-cv's, that of
    ConvNeXt in `keras.applications`) and any `keras.layers.Dropout` whose `noise_shape` drops whole examples, such as
    `(None, 1, 1, 1)` in EfficientNet. The l-th of L such layers, counted from the input, drops with probability
    `l / L * (1 - survival_probability)`: the linear decay rule. The released code of EfficientNet and Noisy Student
    counts the blocks without a residual too, although they drop nothing, so its rates differ slightly.

    In functional and sequential models layers are counted in order of depth; in a subclassed model, in the order in
    which they were assigned to it.

    Args:
        model: the model, changed in place.
        dropout_rate: new rate in [0, 1) of every dropout layer. `None`: as it is.
        survival_probability: new survival probability in (0, 1] of the deepest residual branch. `None`: as it is.

    Returns:
        One entry per layer that was set: dropout first, then stochastic depth, each in order of depth.

    Raises:
        ValueError: if a rate is out of range, the model has no layer of an asked-for kind, one of its layers was built
            with a rate of 0 and so cannot drop, or its training step is traced. The model is then unchanged.

    Example:
        >>> layers = [keras.layers.Dense(8), keras.layers.Dropout(0.1, name="dropout"), keras.layers.Dense(2)]
        >>> for layer_noise in set_model_noise(keras.Sequential(layers), dropout_rate=0.5):
        ...     print(layer_noise)
        dropout (dropout): drop rate 0.1 -> 0.5

    Reference:
        Huang et al. 2016, Deep Networks with Stochastic Depth, arXiv 1603.09382, equation 4.
    """
    _check_arguments(model, dropout_rate, survival_probability)
    changes: list[tuple[Any, LayerNoise]] = []
    if dropout_rate is not None:
        for layer in _layers_of_kind(model, "dropout", "dropout_rate", dropout_rate):
            changes.append((layer, LayerNoise(layer.name, "dropout", _drop_rate(layer), dropout_rate)))
    if survival_probability is not None:
        layers = _layers_of_kind(model, "stochastic depth", "survival_probability", survival_probability)
        for position, layer in enumerate(layers, start=1):
            new_drop_rate = position / len(layers) * (1 - survival_probability)
            changes.append((layer, LayerNoise(layer.name, "stochastic depth", _drop_rate(layer), new_drop_rate)))
    _check_not_traced(model, [layer_noise for _, layer_noise in changes])
    for layer, layer_noise in changes:
        _check_can_drop(layer, layer_noise)
    for layer, layer_noise in changes:
        _set_drop_rate(layer, layer_noise.new_drop_rate)
    return [layer_noise for _, layer_noise in changes]


def find_model_noise(model: keras.Model) -> list[LayerNoise]:
    """The layers that `set_model_noise` sets, dropout first, with their rates as they are.

    Example:
        >>> [str(found) for found in find_model_noise(keras.Sequential([keras.layers.Dropout(0.1, name="dropout")]))]
        ['dropout (dropout): drop rate 0.1 -> 0.1']
    """
    kinds: tuple[Kind, ...] = ("dropout", "stochastic depth")
    return [
        LayerNoise(layer.name, kind, _drop_rate(layer), _drop_rate(layer))
        for kind in kinds
        for layer in _of_kind(model, kind)
    ]


def _of_kind(model: keras.Model, kind: Kind) -> list[Any]:
    return [layer for layer in _sublayers(model, set()) if _kind_of(layer) == kind]


def _layers_of_kind(model: keras.Model, kind: Kind, argument: str, value: float) -> list[Any]:
    layers = _of_kind(model, kind)
    if not layers:
        raise ValueError(
            f'`{argument}` cannot be set: model "{model.name}" has no {kind} layer. To resolve this, do one of the '
            f"following: {_REMEDIES[kind]}; pass {argument}=None to do without. Received: {argument}={value}."
        )
    return layers


def _sublayers(layer: Any, seen: set[int]) -> Iterator[Any]:
    """Every layer inside `layer` once, in order of depth.

    `layer._flatten_layers()` does not do: it lists what is inside a nested layer in reverse.
    """
    # `Model.layers` of a functional model is sorted by depth, whatever was assigned to its attributes beforehand.
    children = list(layer.layers) if isinstance(layer, keras.Model) else []
    children += layer._flatten_layers(include_self=False, recursive=False)
    for child in children:
        if id(child) in seen:
            continue
        seen.add(id(child))
        yield child
        if not isinstance(child, _OWN_THEIR_DROPOUT):
            yield from _sublayers(child, seen)


def _kind_of(layer: Any) -> Kind | None:
    if _has_stochastic_depth_name(layer) or _drops_whole_examples(layer):
        return "stochastic depth"
    return "dropout" if isinstance(layer, _DROPOUT) else None


def _has_stochastic_depth_name(layer: Any) -> bool:
    """By name, so that keras-cv need not be imported, nor a private class of Keras."""
    names = {base.__name__ for base in type(layer).__mro__}
    attributes = (*_DROP_RATE_ATTRIBUTES, "survival_probability")
    return bool(names & _STOCHASTIC_DEPTH_NAMES) and any(hasattr(layer, attribute) for attribute in attributes)


def _drops_whole_examples(layer: Any) -> bool:
    if not isinstance(layer, keras.layers.Dropout) or layer.noise_shape is None:
        return False
    batch_size, *rest = layer.noise_shape
    return batch_size is None and len(rest) > 0 and all(size == 1 for size in rest)


def _drop_rate(layer: Any) -> float:
    for attribute in _DROP_RATE_ATTRIBUTES:
        if hasattr(layer, attribute):
            return float(getattr(layer, attribute))
    return 1 - float(layer.survival_probability)


def _set_drop_rate(layer: Any, drop_rate: float) -> None:
    for attribute in _DROP_RATE_ATTRIBUTES:
        if hasattr(layer, attribute):
            setattr(layer, attribute, drop_rate)
    if hasattr(layer, "survival_probability"):
        layer.survival_probability = 1 - drop_rate


def _check_arguments(model: Any, dropout_rate: float | None, survival_probability: float | None) -> None:
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a keras.Model. Received: model={model!r}.")
    if dropout_rate is not None:
        FROM_0_BELOW_1.check("dropout_rate", dropout_rate)
    if survival_probability is not None:
        ABOVE_0_TO_1.check("survival_probability", survival_probability)


def _check_not_traced(model: keras.Model, layer_noises: list[LayerNoise]) -> None:
    # Not `==`: a layer that stores its survival probability returns the drop rate with a rounding error.
    is_same = [math.isclose(layer_noise.old_drop_rate, layer_noise.new_drop_rate) for layer_noise in layer_noises]
    if not all(is_same) and model.train_function is not None:
        raise ValueError(
            f'The training step of model "{model.name}" is already traced and would ignore the new rates. '
            "Call `set_model_noise` before `fit`, or call `compile` again first."
        )


def _check_can_drop(layer: Any, layer_noise: LayerNoise) -> None:
    is_seedless = isinstance(layer, _DROPOUT) and getattr(layer, "seed_generator", None) is None
    if is_seedless and layer_noise.new_drop_rate > 0:
        raise ValueError(
            f'Layer "{layer.name}" was built with a rate of 0: Keras gave it no random generator. '
            f"Build it with one above 0, such as 0.1. Received: a new drop rate of {layer_noise.new_drop_rate:.4g}."
        )
