"""`show`: a picture of what the ops of RandAugment do to an image."""

from collections.abc import Sequence
from typing import Any, Literal

import tensorflow as tf

from keras_noisy_student.argument_checks import is_integer
from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.op_settings import OpSettings
from keras_noisy_student.noise.rand_augment import RandAugment
from keras_noisy_student.noise.random_op import OPS

_INCHES_PER_IMAGE = 1.0
_INCHES_FOR_LABELS = 1.2
# Whatever `font.size` says: the room for the labels does not grow with it.
_LABEL_POINTS = 10


def show(
    image: Any,
    *,
    magnitudes: Sequence[float] = (1, 5, 9, 10, 27),
    ops: Sequence[str] = OPS,
    overflow: Literal["clamp", "paper"] = "clamp",
    op_settings: OpSettings | None = None,
    seed: int = 0,
) -> Any:
    """Draws one image under every op (rows) at every magnitude (columns). Needs matplotlib.

    To see whether the noise still leaves the class of your own images to be recognised, before training on it.

    Args:
        image: `(height, width, channels)` of 1 or 3 channels; uint8, or float in [0, 255].
        magnitudes: of the columns, each 0 or more; 10 is full scale.
        ops: names of the ops, one or more.
        overflow: `"clamp"` or `"paper"`, for ops that leave their range above magnitude 10; see `RandAugment`.
        op_settings: how the ops treat sizes, borders and means. Default: `OpSettings()`.
        seed: key of the noise, an integer: it draws the direction of the geometric ops and the place of Cutout, which
            are those of `RandAugment(1, magnitude, ops=[op])(image, noise_seed=seed)`.

    Returns:
        The `matplotlib.figure.Figure`, which a notebook shows; `figure.savefig(path)` writes it.

    Raises:
        ValueError: for an argument that `RandAugment` refuses, no magnitude, or another shape or dtype of the image.
        ImportError: without matplotlib.

    Example:
        >>> image = tf.random.stateless_uniform((32, 32, 3), seed=(0, 0), maxval=256, dtype=tf.int32)
        >>> figure = kns.noise.show(tf.cast(image, tf.uint8), ops=["Rotate", "Cutout"], magnitudes=[5, 10])
        >>> [axes.get_title() for axes in figure.axes], [axes.get_ylabel() for axes in figure.axes]
        (['magnitude 5', 'magnitude 10', '', ''], ['Rotate', '', 'Cutout', ''])
    """
    augmentations = [
        [RandAugment(1, magnitude, ops=[op], overflow=overflow, op_settings=op_settings) for magnitude in magnitudes]
        for op in RandAugment(ops=ops).ops
    ]
    levels = _checked_levels(image)
    if not is_integer(seed, at_least=-(2**63)):
        raise ValueError(f"`seed` must be an integer. Received: seed={seed!r}.")
    if not len(magnitudes):
        raise ValueError(f"`magnitudes` must hold one magnitude or more. Received: magnitudes={magnitudes!r}.")
    figure, grid = _empty_grid(len(ops), len(magnitudes), aspect=levels.shape[0] / levels.shape[1])
    for axes_of_op, augmentations_of_op in zip(grid, augmentations, strict=True):
        for axes, augmentation in zip(axes_of_op, augmentations_of_op, strict=True):
            _draw(axes, _noised(augmentation, levels, seed))
    for axes, op in zip(grid[:, 0], ops, strict=True):
        axes.set_ylabel(op, fontsize=_LABEL_POINTS, rotation="horizontal", ha="right", va="center")
    for axes, magnitude in zip(grid[0], magnitudes, strict=True):
        axes.set_title(f"magnitude {magnitude:g}", fontsize=_LABEL_POINTS)
    return figure


def _checked_levels(image: Any) -> tf.Tensor:
    """The image in uint8."""
    image = tf.convert_to_tensor(image)
    if image.shape.rank != 3:
        raise ValueError(
            "`image` must be one image of shape `(height, width, channels)`. "
            f"Received: image of shape {image.shape}. A grey image needs a last dimension of 1: `image[..., None]`."
        )
    # Without ops it checks channels and dtype, and rounds floats.
    return tf.cast(RandAugment(num_ops=0)(image), tf.uint8)


def _noised(augmentation: RandAugment, levels: tf.Tensor, seed: int) -> tf.Tensor:
    """What a call with `noise_seed=seed` returns, without a graph, which would take 20 times as long for one image."""
    draws = seeds.uniform(tf.constant([seed], tf.int64), augmentation.num_draws)[0]
    height, width, _ = levels.shape
    return augmentation.for_size(height, width)(levels, draws)


def _empty_grid(num_rows: int, num_columns: int, *, aspect: float) -> tuple[Any, Any]:
    """A figure and its axes `(num_rows, num_columns)`, for images of `aspect` height / width."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            '`show` needs matplotlib: pip install matplotlib, or "keras-noisy-student[examples]".'
        ) from error
    size = (num_columns * _INCHES_PER_IMAGE + _INCHES_FOR_LABELS, num_rows * _INCHES_PER_IMAGE * aspect)
    figure, grid = pyplot.subplots(num_rows, num_columns, figsize=size, squeeze=False, layout="constrained")
    # Closed for pyplot, or a notebook would show it twice: as an open figure, and as the value of the cell.
    pyplot.close(figure)
    return figure, grid


def _draw(axes: Any, image: tf.Tensor) -> None:
    if image.shape[-1] == 1:
        axes.imshow(image[:, :, 0], cmap="gray", vmin=0, vmax=255)
    else:
        axes.imshow(image)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
