"""AutoGraph inside the training step, where Keras switches it off and tf.data would not."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def call_with_autograph(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Calls noise as a tf.data pipeline does, so that what runs in the one place runs in the other.

    Layers of keras-cv and functions of users have a Python `if` or `for` over tensors, which a graph refuses otherwise.

    Args:
        function: what to call; in eager mode it is called as it is.
        *arguments: tensors, or structures of them.
        **keywords: likewise, and Python values.

    Example:
        >>> def brighten(images):
        ...     if tf.reduce_mean(images) < 0.5:
        ...         images = images + 0.5
        ...     return images
        >>> in_step = tf.function(lambda images: call_with_autograph(brighten, images), autograph=False)
        >>> in_step(tf.zeros(2)).numpy()
        array([0.5, 0.5], dtype=float32)
    """
    if tf.executing_eagerly():
        return function(*arguments, **keywords)
    return tf.function(function)(*arguments, **keywords)
