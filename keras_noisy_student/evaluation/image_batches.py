"""What is evaluated: images, as an array or a `tf.data.Dataset`, in batches; and the labels beside them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.argument_checks import check_count
from keras_noisy_student.given_data import check_dataset, checked_arrays, reading


def checked_images(images: Any, *, name: str = "images") -> tf.data.Dataset | np.ndarray:
    """Images as they are taken in the whole evaluation.

    Args:
        images: an array `(images, height, width, channels)` in [0, 255], or a `tf.data.Dataset` of unbatched images.
        name: of the argument, for errors.

    Raises:
        ValueError: for anything else, or no image at all.
    """
    if isinstance(images, tf.data.Dataset):
        check_dataset(images, name=name)
        spec = images.element_spec
        received = f"a data set of {spec}"
        is_image = isinstance(spec, tf.TensorSpec) and spec.shape.rank == 3
    else:
        images = checked_arrays(images, name=name)
        received = f"shape {tuple(images.shape)}" if hasattr(images, "shape") else f"a {type(images).__name__}"
        is_image = hasattr(images, "shape") and len(images.shape) == 4
    if not is_image:
        raise ValueError(
            f"`{name}` must be an array `(images, height, width, channels)`, or a tf.data.Dataset of unbatched images "
            f"`(height, width, channels)` alone. Received: {received}. Drop labels by "
            "`dataset.map(lambda x, y: x)` and batches by `dataset.unbatch()`."
        )
    return images if isinstance(images, tf.data.Dataset) else np.asarray(images)


def batches(images: tf.data.Dataset | np.ndarray, *, batch_size: int) -> Iterator[np.ndarray]:
    """Batches `(batch, height, width, channels)` of `checked_images`, in order; the last one may be smaller.

    Raises:
        ValueError: for a batch size that is no positive integer, or a data set that cannot be read.
    """
    check_count("batch_size", batch_size)
    if isinstance(images, tf.data.Dataset):
        with reading("images"):
            yield from images.batch(batch_size).as_numpy_iterator()
    else:
        yield from (images[start : start + batch_size] for start in range(0, len(images), batch_size))


def checked_labels(labels: Any) -> np.ndarray:
    """Class ids, int32 `(images,)`.

    Raises:
        ValueError: for anything else.
    """
    class_ids: np.ndarray = np.asarray(labels)
    if class_ids.ndim != 1 or not np.issubdtype(class_ids.dtype, np.integer):
        raise ValueError(
            f"`labels` must be integer class ids of shape (images,). Received: shape {class_ids.shape}, dtype "
            f"{class_ids.dtype}. One-hot labels become ids by `labels.argmax(-1)`, a column by `labels[:, 0]`."
        )
    return class_ids.astype(np.int32)
