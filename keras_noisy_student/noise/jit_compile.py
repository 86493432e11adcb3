"""Whether XLA compiles the training step: what Keras cannot tell of the noise, because it looks at the network only."""

from collections.abc import Callable
from typing import Any

import keras

from keras_noisy_student.noise.noise import Noise

# They say that they support it, but TensorFlow has no XLA kernel for the gamma numbers that a Beta distribution takes.
_DRAW_FROM_BETA = (keras.layers.MixUp, keras.layers.CutMix)


def resolve_jit_compile(jit_compile: bool | str, noise: Noise) -> bool | str:
    """The `jit_compile` that Keras gets for a step with this noise.

    Args:
        jit_compile: the user's. `"auto"` becomes `False` when XLA may not compile the noise: its own layers say whether
            it can, a function does not.
        noise: of the training.

    Raises:
        ValueError: for another value, or when `True` was asked for, and XLA cannot compile `mixing`.

    Example:
        >>> resolve_jit_compile("auto", Noise(mixing=keras.layers.MixUp()))
        False
    """
    if not isinstance(jit_compile, bool) and not (isinstance(jit_compile, str) and jit_compile == "auto"):
        raise ValueError(f'`jit_compile` must be True, False or "auto". Received: jit_compile={jit_compile!r}.')
    if jit_compile == "auto":
        return "auto" if all(_supports_jit(layer) for layer in noise.in_step()) else False
    if jit_compile and noise.mixing is not None and not _supports_jit(noise.mixing):
        raise ValueError(
            f"XLA cannot compile `mixing`. Received: jit_compile=True, mixing={noise.mixing!r}. Keras' MixUp and "
            "CutMix draw from a Beta distribution, and TensorFlow has no XLA kernel for the gamma numbers that this "
            'takes. To resolve this, do one of the following: pass jit_compile="auto" or False, or a mixing layer of '
            "your own that XLA compiles."
        )
    return jit_compile


def _supports_jit(layer: Callable[..., Any]) -> bool:
    if not isinstance(layer, keras.Layer):
        return False
    return all(part.supports_jit and not isinstance(part, _DRAW_FROM_BETA) for part in layer._flatten_layers())
