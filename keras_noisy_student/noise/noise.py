"""`Noise`: everything that makes a student's training noisy, as one value."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import keras
import tensorflow as tf

from keras_noisy_student.argument_checks import ABOVE_0_TO_1, FROM_0_BELOW_1, check_choice
from keras_noisy_student.noise.keyed_calls import as_float, takes_noise_seed
from keras_noisy_student.noise.mixing import check_mixing_layer


@dataclasses.dataclass(frozen=True)
class Noise:
    """The noise of one round: input noise on the examples, model noise inside the network.

    Args:
        augmentation: input noise. A layer of this library, any other Keras layer, or a function. Called as
            `augmentation(x, noise_seed=keys)` when it takes `noise_seed` (int64 keys of shape `(batch,)`, one per
            example: such noise is reproducible example by example), else as `augmentation(x, training=True)` for a
            Keras layer, with integers cast to float32, and `augmentation(x)` for a function. `None`: no input noise.
        dropout_rate: rate in [0, 1) for every dropout layer of the network. `None`: the network's own.
        survival_probability: in (0, 1], of the deepest residual branch; the others follow the linear decay rule.
            `None`: the network's own.
        placement: `"step"` runs the augmentation inside `train_step`, on the accelerator; `"pipeline"` runs it in
            tf.data, on the CPU. The pixels are the same for an augmentation that takes `noise_seed`.
        mixing: blends images `(batch, height, width, channels)` and their targets: `keras.layers.MixUp(...)` or
            `keras.layers.CutMix(...)`, which XLA cannot compile, or any Keras layer from float32 `{"images", "labels"}`
            to the same, where labels are `(batch, num_classes + 1)`, the sample weights last. Runs inside `train_step`
            wherever `augmentation` is placed, after it, on the whole joint batch, so that labelled and pseudo-labelled
            examples mix with each other. The network gets float32 images of the same range. `None`: no mixing.

    Raises:
        ValueError: for a value out of range, an augmentation that cannot be called, or a mixing layer of half
            precision.

    Example:
        >>> noise = Noise(augmentation=RandAugment(num_ops=2, magnitude=9), dropout_rate=0.5, survival_probability=0.8)
        >>> noise.placement
        'step'

    Reference:
        Xie et al. 2019, Self-training with Noisy Student improves ImageNet classification, arXiv 1911.04252.
    """

    augmentation: Callable[..., Any] | None = None
    dropout_rate: float | None = None
    survival_probability: float | None = None
    placement: Literal["step", "pipeline"] = "step"
    mixing: keras.Layer | None = None

    def __post_init__(self) -> None:
        if self.augmentation is not None and not callable(self.augmentation):
            raise ValueError(
                "`augmentation` must be a Keras layer or a function of a batch of examples. "
                f"Received: augmentation={self.augmentation!r}."
            )
        if self.dropout_rate is not None:
            FROM_0_BELOW_1.check("dropout_rate", self.dropout_rate)
        if self.survival_probability is not None:
            ABOVE_0_TO_1.check("survival_probability", self.survival_probability)
        check_choice("placement", self.placement, ("step", "pipeline"))
        if self.mixing is not None:
            check_mixing_layer(self.mixing)

    def augment(self, x: Any, noise_seed: tf.Tensor) -> Any:
        """Applies the input noise to a batch.

        Args:
            x: a tensor `(batch, ...)`, or a dict of such tensors.
            noise_seed: int64 keys `(batch,)`, one per example.

        Returns:
            The noised batch, of the same structure.
        """
        if self.augmentation is None:
            return x
        if takes_noise_seed(self.augmentation):
            return self.augmentation(x, noise_seed=noise_seed)
        if isinstance(self.augmentation, keras.Layer):
            return self.augmentation(tf.nest.map_structure(as_float, x), training=True)
        return self.augmentation(x)

    def in_step(self) -> list[Callable[..., Any]]:
        """The input noise that runs inside the training step, in that order."""
        augmentation = self.augmentation if self.placement == "step" else None
        return [noise for noise in (augmentation, self.mixing) if noise is not None]


def checked_noise(noise: Noise | None) -> Noise:
    """The noise that was given, or none.

    Raises:
        ValueError: when it is something else.
    """
    if noise is None:
        return Noise()
    if not isinstance(noise, Noise):
        raise ValueError(f"`noise` must be a `Noise`, or None. Received: noise={noise!r}.")
    return noise
