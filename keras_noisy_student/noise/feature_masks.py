"""`FeatureMasks`: the masks of SpecAugment along one axis, time or frequency."""

import dataclasses

import tensorflow as tf

from keras_noisy_student.argument_checks import ABOVE_0_TO_1, POSITIVE, is_integer
from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.uniform_integers import uniform_integers


@dataclasses.dataclass(frozen=True)
class FeatureMasks:
    """How many masks `SpecAugment` lays along one axis of the features, and how wide they are.

    The number and the width may each be a constant, as in the first paper, or proportional to the size of the axis,
    which is the length of the utterance or the number of frequency bins (adaptive masking, the second paper). Where
    both are given the smaller counts. The width of every mask is uniform from 0 to the largest, both included, and its
    place uniform where it fits in. Masks may overlap.

    Args:
        num_masks: masks on every utterance, 0 (none) or more.
        max_width: largest width of a mask in frames or bins, 0 or more: the paper's T, or F. Default: no such bound.
        max_fraction: largest width of a mask as a fraction of the size, in (0, 1]: the paper's p, or p_S where it is
            the only bound.
        masks_per_step: masks per frame or bin, above 0: the paper's p_M. The number of masks is then this times the
            size, rounded down, and `num_masks` at most. Default: `num_masks` whatever the size.

    Raises:
        ValueError: for a value out of range.

    Example:
        The time masks of the papers: two of up to 100 frames; ten of up to a twentieth of the utterance; four in a
        hundred frames but not more than 20, each of up to a twenty-fifth of the utterance.

        >>> fixed = FeatureMasks(2, max_width=100)
        >>> adaptive_size = FeatureMasks(10, max_fraction=0.05)
        >>> fully_adaptive = FeatureMasks(20, max_fraction=0.04, masks_per_step=0.04)

    Reference:
        Park et al. 2019, SpecAugment: a simple data augmentation method for automatic speech recognition, arXiv
        1904.08779. Park et al. 2019, SpecAugment on large scale datasets, arXiv 1912.05533.
    """

    num_masks: int
    _: dataclasses.KW_ONLY
    max_width: int | None = None
    max_fraction: float = 1.0
    masks_per_step: float | None = None

    def __post_init__(self) -> None:
        if not is_integer(self.num_masks, at_least=0):
            raise ValueError(f"`num_masks` must be an integer, 0 or more. Received: num_masks={self.num_masks!r}.")
        if self.max_width is not None and not is_integer(self.max_width, at_least=0):
            raise ValueError(
                "`max_width` must be an integer of frames or bins, 0 or more, or None. For a fraction of the size use "
                f"`max_fraction`. Received: max_width={self.max_width!r}."
            )
        ABOVE_0_TO_1.check("max_fraction", self.max_fraction)
        if self.masks_per_step is not None:
            POSITIVE.check("masks_per_step", self.masks_per_step)


def draw_masks(masks: FeatureMasks, keys: tf.Tensor, sizes: tf.Tensor, num_steps: int | tf.Tensor) -> tf.Tensor:
    """Draws the masks along one axis.

    Args:
        masks: how many, and how wide.
        keys: int64 keys `(batch,)`.
        sizes: int32 `(batch,)`, the part of the axis that masks may cover: from 0 up to the size.
        num_steps: length of the axis, padding included.

    Returns:
        bool `(batch, num_steps)`, true where a mask lies.

    Example:
        >>> masks = FeatureMasks(1, max_width=2)
        >>> draw_masks(masks, tf.constant([9], tf.int64), tf.constant([4]), num_steps=6).numpy().astype(int)
        array([[0, 0, 1, 1, 0, 0]])
    """
    draws = seeds.uniform(keys, 2 * masks.num_masks)
    widths = uniform_integers(draws[:, 0::2], _largest_widths(masks, sizes)[:, None] + 1)
    starts = uniform_integers(draws[:, 1::2], sizes[:, None] - widths + 1)
    widths = tf.where(tf.range(masks.num_masks) < _numbers(masks, sizes)[:, None], widths, 0)
    from_start = tf.range(num_steps) - starts[:, :, None]
    return tf.reduce_any((from_start >= 0) & (from_start < widths[:, :, None]), axis=1)


def _largest_widths(masks: FeatureMasks, sizes: tf.Tensor) -> tf.Tensor:
    largest = _proportional(masks.max_fraction, sizes)
    return largest if masks.max_width is None else tf.minimum(largest, masks.max_width)


def _numbers(masks: FeatureMasks, sizes: tf.Tensor) -> tf.Tensor:
    if masks.masks_per_step is None:
        return tf.fill(tf.shape(sizes), masks.num_masks)
    return tf.minimum(_proportional(masks.masks_per_step, sizes), masks.num_masks)


def _proportional(factor: float, sizes: tf.Tensor) -> tf.Tensor:
    """`factor * sizes` rounded down, in float64: it agrees with Python's numbers."""
    return tf.cast(tf.cast(sizes, tf.float64) * tf.constant(factor, tf.float64), tf.int32)
