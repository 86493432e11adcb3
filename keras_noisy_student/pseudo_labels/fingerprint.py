"""Fingerprints: what ties a pseudo-label to the example that the teacher saw."""

from typing import Any

import tensorflow as tf


def fingerprint(x: Any) -> tf.Tensor:
    """A 64-bit FarmHash of each example's values.

    Args:
        x: tensor `(batch, ...)`, or a dict of such tensors.

    Returns:
        int64 `(batch,)`.
    """
    digests = [_digest(tensor) for tensor in tf.nest.flatten(x)]
    digest = digests[0] if len(digests) == 1 else tf.fingerprint(tf.concat(digests, axis=1))
    return tf.bitcast(digest, tf.int64)


def _digest(tensor: tf.Tensor) -> tf.Tensor:
    return tf.fingerprint(tf.reshape(tensor, [tf.shape(tensor)[0], -1]))
