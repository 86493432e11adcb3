"""Raw examples for a front end of whose examples only the spec is known."""

from typing import Any

import numpy as np
import tensorflow as tf

_NUM_EXAMPLES = 5
_LENGTH = 4096
"""Of a signal whose length is open: some windows of a waveform."""
_SIDE = 64
"""Of what has several dimensions, an image for instance."""


def made_up_examples(element_spec: Any) -> Any:
    """A batch of noise: normal floats, uniform uint8 and int16, zeros of other dtypes.

    A scalar integer beside a signal of open length is taken for that length.
    """
    rng = np.random.default_rng(0)
    has_length = any(None in tuple(spec.shape) for spec in tf.nest.flatten(element_spec))

    def made_up(spec: tf.TensorSpec) -> tf.Tensor:
        open_size = _LENGTH if spec.shape.rank == 1 else _SIDE
        shape = [_NUM_EXAMPLES, *(size or open_size for size in spec.shape)]
        if spec.dtype.is_floating:
            return tf.cast(rng.normal(size=shape), spec.dtype)
        if spec.dtype in (tf.uint8, tf.int16):
            return tf.constant(rng.integers(spec.dtype.min, spec.dtype.max, shape, endpoint=True), spec.dtype)
        if spec.dtype.is_integer and spec.shape.rank == 0 and has_length:
            return tf.fill(shape, tf.constant(_LENGTH, spec.dtype))
        return tf.zeros(shape, spec.dtype)

    return tf.nest.map_structure(made_up, element_spec)
