"""Freezing: the shallow layers of a network are not trained for a while."""

import contextlib
from collections.abc import Iterator, Sequence

import keras


@contextlib.contextmanager
def frozen_before(network: keras.Model, name: str | None) -> Iterator[None]:
    """Freezes the layers before the one of a name while the `with` block runs, then makes them what they were.

    Args:
        network: a built model. Its layers are taken in order of depth, those of nested models in the place of these.
        name: of a layer or a nested model; `None` freezes nothing.

    Raises:
        ValueError: when not exactly one layer has that name, or no layer from there on has a weight to train.
    """
    before = [] if name is None else _layers_before(network, name)
    # A layer that is set sets the layers inside it, so they come after it, here and when all are set back.
    layers = [sublayer for layer in before for sublayer in layer._flatten_layers()]
    was_trainable = [layer.trainable for layer in layers]
    try:
        for layer in layers:
            layer.trainable = False
        if not network.trainable_weights:
            raise ValueError(
                f"Some layer from `train_from` on must have weights to train. Received: train_from={name!r} in the "
                f"network {network.name!r}, from where on there is none. Name an earlier layer."
            )
        yield
    finally:
        for layer, trainable in zip(layers, was_trainable, strict=True):
            layer.trainable = trainable


def check_freezes(network: keras.Model, name: str | None) -> None:
    """Raises the errors of `frozen_before`."""
    with frozen_before(network, name):
        pass


def _layers_before(network: keras.Model, name: str) -> list[keras.Layer]:
    nests = list(_nests(network, ()))
    num_named = len({id(layer) for nest in nests for layer in nest if layer.name == name})
    if num_named != 1:
        names = [nest[-1].name for nest in nests if nest[-1].weights]
        raise ValueError(
            f"`train_from` must be the name of exactly one layer of the network {network.name!r}. Received: "
            f"train_from={name!r}, which {num_named or 'no'} layers have. The last ones with weights are {names[-10:]}."
        )
    first = next(place for place, nest in enumerate(nests) if any(layer.name == name for layer in nest))
    return [nest[-1] for nest in nests[:first]]


def _nests(model: keras.Model, around: Sequence[keras.Layer]) -> Iterator[Sequence[keras.Layer]]:
    """For each layer in order of depth that is no model: the models around it, from the outside in, and itself."""
    for layer in model.layers:
        if isinstance(layer, keras.Model) and layer.layers:
            yield from _nests(layer, (*around, layer))
        else:
            yield (*around, layer)
