"""`RandAugment`: the paper's image noise."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from keras_noisy_student.argument_checks import FROM_0_TO_1, check_choice, is_integer, is_number
from keras_noisy_student.noise.image_noise import ImageNoise
from keras_noisy_student.noise.magnitudes import jittered_magnitudes
from keras_noisy_student.noise.op_parameters import OpParameters
from keras_noisy_student.noise.op_settings import OpSettings
from keras_noisy_student.noise.per_image import ImageFunction, Size
from keras_noisy_student.noise.random_op import DRAWS_PER_OP, OPS, make_random_op
from keras_noisy_student.noise.rows import as_rows


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class RandAugment(ImageNoise):
    """Applies `num_ops` random image ops of fixed `magnitude` to every image.

    The policy of Noisy Student Training as its authors released it: 16 ops, drawn for each image on its own, uniformly
    and with replacement. Only the op, the sign of the geometric ops and the place of the cut are random. An image's
    noise is a function of its own key, so that neither the batch size nor parallelism changes a pixel. XLA compiles it,
    in any graph, and gives the same pixels as the slower form without XLA.

    `docs/magnitudes.md` says which arguments imitate the RandAugment of Keras, keras-cv and timm.

    Args:
        num_ops: ops applied to each image, 0 (none) or more.
        magnitude: strength of the ops, 0 or more. 10 is full scale: rotation by 30 degrees, shear by 0.3, translation
            by `translate_const`, enhancement by 1.9. The paper's largest models take 27.
        ops: names of the ops to draw from. Default: the paper's 16. A name given twice is drawn twice as often.
        magnitude_std: standard deviation of the magnitude, which is then drawn for each op from a normal distribution.
            Default: 0, a fixed magnitude.
        probability: that a drawn op is applied, in [0, 1]. Default: 1, as in the paper.
        overflow: what becomes of two ops that leave their range above magnitude 10. `"clamp"`: Posterize keeps 8 bits,
            Solarize inverts nothing. `"paper"`: as the authors' code computes it, Posterize keeps 1 bit instead of 9 or
            more, and Solarize's threshold is taken modulo 256 (from magnitude 10 on).
        op_settings: how the ops treat sizes, borders and means. Default: `OpSettings()`.
        jit_compile: whether XLA compiles the noise; see `ImageNoise`.
        seed: integer seed of the keys that are drawn when a call is given none.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments, returns:
        those of `ImageNoise`: uint8 images, or floats in [0, 255]; the same shape and dtype.

    Raises:
        ValueError: for an argument out of range, an unknown op, or images of another rank, dtype or number of channels.

    Example:
        >>> augment = RandAugment(num_ops=2, magnitude=9)
        >>> images = tf.random.stateless_uniform((8, 32, 32, 3), seed=(0, 0), maxval=256, dtype=tf.int32)
        >>> images = tf.cast(images, tf.uint8)
        >>> keys = tf.range(8, dtype=tf.int64)
        >>> noised = augment(images, noise_seed=keys)
        >>> noised.shape, noised.dtype
        (TensorShape([8, 32, 32, 3]), tf.uint8)
        >>> bool(tf.reduce_all(augment(images[5], noise_seed=keys[5]) == noised[5]))
        True

    Reference:
        Cubuk et al. 2019, RandAugment: practical automated data augmentation with a reduced search space, arXiv
        1909.13719.
    """

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: float = 9,
        *,
        ops: Sequence[str] = OPS,
        magnitude_std: float = 0.0,
        probability: float = 1.0,
        overflow: Literal["clamp", "paper"] = "clamp",
        op_settings: OpSettings | None = None,
        jit_compile: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(jit_compile=jit_compile, seed=seed, **kwargs)
        if not is_integer(num_ops, at_least=0):
            raise ValueError(f"`num_ops` must be an integer, 0 or more. Received: num_ops={num_ops!r}.")
        self.num_ops = int(num_ops)
        self.magnitude = _checked_number("magnitude", magnitude)
        self.ops = _checked_ops(ops)
        self.magnitude_std = _checked_number("magnitude_std", magnitude_std)
        FROM_0_TO_1.check("probability", probability)
        self.probability = float(probability)
        check_choice("overflow", overflow, ("clamp", "paper"))
        self.overflow = overflow
        self.op_settings = _checked_op_settings(op_settings)

    @property
    def num_draws(self) -> int:
        """Uniform numbers that the noise of one image takes."""
        return self.num_ops * DRAWS_PER_OP

    def for_size(self, height: Size, width: Size) -> ImageFunction:
        """The ops on one image, each chosen by `DRAWS_PER_OP` of the draws."""
        magnitudes = jittered_magnitudes(self.magnitude, self.magnitude_std)
        random_op = make_random_op(
            self.ops,
            [OpParameters(magnitude, self.overflow) for magnitude in magnitudes],
            self.op_settings,
            probability=self.probability,
            height=height,
            width=width,
        )

        def apply_ops(image: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
            if self.num_ops == 0:
                return image
            shape = tf.shape(image)
            rows = tf.foldl(
                lambda rows, draws_of_op: as_rows(random_op(tf.reshape(rows, shape), draws_of_op)),
                tf.reshape(draws, [self.num_ops, DRAWS_PER_OP]),
                initializer=as_rows(image),
            )
            return tf.reshape(rows, shape)

        return apply_ops

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_ops": self.num_ops,
            "magnitude": self.magnitude,
            "ops": list(self.ops),
            "magnitude_std": self.magnitude_std,
            "probability": self.probability,
            "overflow": self.overflow,
            "op_settings": dataclasses.asdict(self.op_settings),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "RandAugment":
        """The layer of a `get_config`."""
        return cls(**{**config, "op_settings": OpSettings(**config["op_settings"])})


def _checked_number(name: str, value: float) -> float:
    if not is_number(value) or value < 0:
        raise ValueError(f"`{name}` must be a finite number, 0 or more. Received: {name}={value!r}.")
    return float(value)


def _checked_op_settings(op_settings: OpSettings | None) -> OpSettings:
    if op_settings is None:
        return OpSettings()
    if not isinstance(op_settings, OpSettings):
        raise ValueError(f"`op_settings` must be an `OpSettings`. Received: op_settings={op_settings!r}.")
    return op_settings


def _checked_ops(ops: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(ops, Sequence) or isinstance(ops, str | bytes) or not ops:
        raise ValueError(f"`ops` must be a list or tuple of one or more op names. Received: ops={ops!r}.")
    unknown = [op for op in ops if not isinstance(op, str) or op not in OPS]
    if unknown:
        raise ValueError(f"`ops` must be names out of {', '.join(OPS)}. Received: ops with the unknown {unknown}.")
    return tuple(ops)
