"""`RandAugment`: the paper's image noise, drawn for each image by its own key."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from keras_noisy_student.argument_checks import is_integer, is_number
from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.op_parameters import OpParameters
from keras_noisy_student.noise.random_op import DRAWS_PER_OP, OPS, make_random_op


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class RandAugment(keras.layers.Layer):
    """Applies `num_ops` random image ops of fixed `magnitude` to every image.

    The policy of Noisy Student Training as its authors released it: 16 ops, drawn for each image on its own, uniformly
    and with replacement. Only the op, the sign of the geometric ops and the place of the cut are random. An image's
    noise is a function of its own key, so that neither the batch size nor parallelism changes a pixel. It compiles
    under XLA (`jit_compile=True`), which gives the same pixels several times faster.

    Args:
        num_ops: ops applied to each image, 0 (none) or more.
        magnitude: strength of the ops, 0 or more. 10 is full scale: rotation by 30 degrees, shear by 0.3, translation
            by `translate_const`, enhancement by 1.9. The paper's largest models take 27.
        ops: names of the ops to draw from. Default: the paper's 16. A name given twice is drawn twice as often.
        overflow: what becomes of two ops that leave their range above magnitude 10. `"clamp"`: Posterize keeps 8 bits,
            Solarize inverts nothing. `"paper"`: as the authors' code computes it, Posterize keeps 1 bit instead of 9 or
            more, and Solarize's threshold is taken modulo 256 (from magnitude 10 on).
        translate_const: pixels of translation at magnitude 10. Default: by the smaller side of the image, 100 from 224
            pixels on, an eighth of the side up to 64 pixels, a straight line between.
        cutout_const: half the side of the cut square in pixels at magnitude 10. Default: by the smaller side of the
            image, 40 from 224 pixels on, an eighth of the side up to 64 pixels, a straight line between.
        seed: integer seed of the keys that are drawn when a call is given none.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        images: `(batch, height, width, channels)` or `(height, width, channels)` of 1 or 3 channels; uint8, or float in
            [0, 255], which is rounded to whole levels. Floats in [0, 1] are not detected: scale them first.
        training: `False` returns the images as they are. Default: `True`, as in the augmentation layers of Keras.
        noise_seed: int64 keys `(batch,)`, one per image (a scalar for a single image). Without them the layer draws
            keys from `seed` and its count of calls, which is reproducible as long as calls come in the same order.

    Returns:
        Images of the same shape and dtype.

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
        overflow: Literal["clamp", "paper"] = "clamp",
        translate_const: float | None = None,
        cutout_const: float | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self.num_ops = _checked_num_ops(num_ops)
        self.magnitude = _checked_magnitude(magnitude)
        self.ops = _checked_ops(ops)
        if overflow not in ("clamp", "paper"):
            raise ValueError(f'`overflow` must be "clamp" or "paper". Received: overflow={overflow!r}.')
        self.overflow = overflow
        self.translate_const = _checked_constant("translate_const", translate_const)
        self.cutout_const = _checked_constant("cutout_const", cutout_const)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, images: tf.Tensor, training: bool | None = True, noise_seed: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the images with noise, or as they are if `training` is `False`."""
        _check_images(images.shape, images.dtype.name)
        if training is False or self.num_ops == 0:
            return images
        keys = self._keys(images, noise_seed)
        levels = _to_uint8(images)
        if images.shape.rank == 3:
            noised = self._augment_batch(levels[None], keys[None])[0]
        else:
            noised = self._augment_batch(levels, keys)
        return tf.cast(noised, images.dtype)

    def _keys(self, images: tf.Tensor, noise_seed: tf.Tensor | None) -> tf.Tensor:
        """int64 keys, `(batch,)` for a batch and a scalar for a single image."""
        if noise_seed is None:
            state = self.seed_generator.next()
            call_key = seeds.fold(state[0], state[1])
            return call_key if images.shape.rank == 3 else seeds.fold(call_key, tf.range(tf.shape(images)[0]))
        keys = tf.convert_to_tensor(noise_seed)
        expected = images.shape[:-3]
        if not keys.dtype.is_integer or not keys.shape.is_compatible_with(expected):
            raise ValueError(
                "`noise_seed` must hold one int64 key per image: `(batch,)`, or a scalar for a single image. "
                f"Received: noise_seed of shape {keys.shape} and dtype {keys.dtype.name}, "
                f"images of shape {images.shape}."
            )
        return tf.cast(keys, tf.int64)

    def _augment_batch(self, images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        parameters = OpParameters(self.magnitude, self.overflow, self.translate_const, self.cutout_const)
        random_op = make_random_op(self.ops, parameters, *_height_and_width(images))
        draws = tf.reshape(seeds.uniform(keys, self.num_ops * DRAWS_PER_OP), [-1, self.num_ops, DRAWS_PER_OP])
        return tf.map_fn(
            lambda row: tf.foldl(random_op, row[1], initializer=row[0]),
            (images, draws),
            fn_output_signature=tf.TensorSpec(images.shape[1:], images.dtype),
        )

    def compute_output_shape(self, images_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the images."""
        return images_shape

    def compute_output_spec(
        self, images: keras.KerasTensor, training: bool | None = True, noise_seed: Any = None
    ) -> keras.KerasTensor:
        """The shape and dtype of the images."""
        _check_images(tf.TensorShape(images.shape), images.dtype)
        return keras.KerasTensor(images.shape, dtype=images.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_ops": self.num_ops,
            "magnitude": self.magnitude,
            "ops": list(self.ops),
            "overflow": self.overflow,
            "translate_const": self.translate_const,
            "cutout_const": self.cutout_const,
            "seed": self.seed,
        }


def _height_and_width(images: tf.Tensor) -> tuple[int | tf.Tensor, int | tf.Tensor]:
    """Plain numbers where they are known."""
    dynamic = tf.shape(images)
    height, width = images.shape[-3:-1]
    return dynamic[-3] if height is None else height, dynamic[-2] if width is None else width


def _to_uint8(images: tf.Tensor) -> tf.Tensor:
    if images.dtype == tf.uint8:
        return images
    return tf.cast(tf.round(tf.clip_by_value(tf.cast(images, tf.float32), 0, 255)), tf.uint8)


def _check_images(shape: tf.TensorShape, dtype: str) -> None:
    if shape.rank not in (3, 4):
        raise ValueError(
            "`images` must have shape `(batch, height, width, channels)` or `(height, width, channels)`. "
            f"Received: images of shape {shape}."
        )
    if shape[-1] not in (1, 3):
        raise ValueError(
            f"`images` must have 1 or 3 channels, in the last dimension. Received: images of shape {shape}."
        )
    if dtype != "uint8" and not tf.as_dtype(dtype).is_floating:
        raise ValueError(
            f"`images` must be uint8, or float in [0, 255]. Received: images of dtype {dtype}. "
            'To resolve this, convert them with `tf.cast(images, "uint8")`.'
        )


def _checked_num_ops(num_ops: int) -> int:
    if not is_integer(num_ops, at_least=0):
        raise ValueError(f"`num_ops` must be an integer, 0 or more. Received: num_ops={num_ops!r}.")
    return int(num_ops)


def _checked_magnitude(magnitude: float) -> float:
    if not is_number(magnitude) or magnitude < 0:
        raise ValueError(f"`magnitude` must be a finite number, 0 or more. Received: magnitude={magnitude!r}.")
    return float(magnitude)


def _checked_constant(name: str, constant: float | None) -> float | None:
    if constant is None:
        return None
    if not is_number(constant) or constant <= 0:
        raise ValueError(f"`{name}` must be a finite number of pixels above 0, or None. Received: {name}={constant!r}.")
    return float(constant)


def _checked_ops(ops: Sequence[str]) -> tuple[str, ...]:
    if isinstance(ops, str) or not ops:
        raise ValueError(f"`ops` must be a sequence of one or more op names. Received: ops={ops!r}.")
    unknown = [op for op in ops if op not in OPS]
    if unknown:
        raise ValueError(f"`ops` must be names out of {', '.join(OPS)}. Received: ops with the unknown {unknown}.")
    return tuple(ops)
