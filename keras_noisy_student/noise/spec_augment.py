"""`SpecAugment`: input noise for speech features, drawn for each utterance by its own key."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import keras
import tensorflow as tf

from keras_noisy_student.argument_checks import checked_seed, is_integer, is_number
from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.example_keys import example_keys
from keras_noisy_student.noise.feature_inputs import check_feature_inputs
from keras_noisy_student.noise.feature_masks import FeatureMasks, draw_masks
from keras_noisy_student.noise.time_warp import time_warp
from keras_noisy_student.noise.valid_mean import valid_mean

_FREQUENCY_MASKS = FeatureMasks(2, max_fraction=27 / 80)
_TIME_MASKS = FeatureMasks(10, max_fraction=0.05)


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class SpecAugment(keras.layers.Layer):
    """Masks random bands of frequencies and of time, and optionally warps the time, of every utterance.

    The noise of Noisy Student Training for speech. An utterance's noise is a function of its own key and length: the
    batch size, the amount of padding, eager mode, a graph or XLA (`jit_compile=True`) change nothing. Frames from the
    length on are padding: never changed, never masked, and mixed into no other frame.

    Args:
        frequency_masks: masks over the frequency bins. Default: two of up to 27/80 of the bins, the paper's 27 of 80.
        time_masks: masks over the frames. Default: ten of up to a twentieth of the utterance, which suits utterances
            of any length (Zhang et al. 2020); the first paper's are `FeatureMasks(2, max_width=100)`.
        time_warp: largest distance in frames that the time warp moves a frame by, the paper's W, 0 or more. Utterances
            shorter than `2 * time_warp + 3` frames are not warped. Default: 0, no warp, the part that costs the most
            and in the paper helps the least.
        mask_value: what masks put in place of the features: a number, or `"mean"`, the mean of the utterance's valid
            frames. The default is the mean, because it suits any features; the papers' 0 is the same for features
            that were normalised to zero mean.
        seed: integer seed of the keys that are drawn when a call is given none.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments:
        inputs: features `(batch, time, frequency)` or `(time, frequency)`, float, all of whose frames are valid; or a
            dict of such `"features"` and their `"length"`, the number of valid frames, integer `(batch,)` or `()`.
            Other entries of the dict are passed on.
        training: `False` returns the inputs as they are. Default: `True`, as in the augmentation layers of Keras.
        noise_seed: int64 keys `(batch,)`, one per utterance (a scalar for a single one). Without them the layer draws
            keys from `seed` and its count of calls, which is reproducible as long as calls come in the same order.

    Returns:
        The inputs, with noise on the features: same structure, shapes and dtypes.

    Raises:
        ValueError: for an argument out of range, or inputs of another structure, rank or dtype.

    Example:
        >>> augment = SpecAugment(time_masks=FeatureMasks(2, max_width=40, max_fraction=0.2), time_warp=5)
        >>> features = tf.random.stateless_normal((8, 200, 80), seed=(0, 0))
        >>> length = tf.constant([200, 180, 160, 140, 120, 100, 80, 60])
        >>> keys = tf.range(8, dtype=tf.int64)
        >>> noised = augment({"features": features, "length": length}, noise_seed=keys)["features"]
        >>> bool(tf.reduce_all(noised[7, 60:] == features[7, 60:]))
        True
        >>> bool(tf.reduce_all(augment(features[7, :60], noise_seed=keys[7]) == noised[7, :60]))
        True

    Reference:
        Park et al. 2019, SpecAugment: a simple data augmentation method for automatic speech recognition, arXiv
        1904.08779. Park et al. 2019, SpecAugment on large scale datasets, arXiv 1912.05533. Zhang et al. 2020, Pushing
        the limits of semi-supervised learning for automatic speech recognition, arXiv 2010.10504.
    """

    def __init__(
        self,
        *,
        frequency_masks: FeatureMasks = _FREQUENCY_MASKS,
        time_masks: FeatureMasks = _TIME_MASKS,
        time_warp: int = 0,
        mask_value: float | Literal["mean"] = "mean",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self.frequency_masks = _checked_masks("frequency_masks", frequency_masks)
        self.time_masks = _checked_masks("time_masks", time_masks)
        if not is_integer(time_warp, at_least=0):
            raise ValueError(f"`time_warp` must be an integer of frames, 0 or more. Received: time_warp={time_warp!r}.")
        self.time_warp = int(time_warp)
        is_mean = isinstance(mask_value, str) and mask_value == "mean"
        if not is_mean and not is_number(mask_value):
            raise ValueError(f'`mask_value` must be a finite number or "mean". Received: mask_value={mask_value!r}.')
        self.mask_value = "mean" if is_mean else float(mask_value)
        self.seed = checked_seed(seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.built = True

    def call(self, inputs: Any, training: bool | None = True, noise_seed: tf.Tensor | None = None) -> Any:
        """Returns the inputs with noise, or as they are if `training` is `False`."""
        check_feature_inputs(inputs)
        if training is False:
            return inputs
        if not isinstance(inputs, Mapping):
            return self._augment(inputs, None, noise_seed)
        return {**inputs, "features": self._augment(inputs["features"], inputs["length"], noise_seed)}

    def _augment(self, features: tf.Tensor, length: tf.Tensor | None, noise_seed: tf.Tensor | None) -> tf.Tensor:
        batch = features if features.shape.rank == 3 else features[None]
        num_examples, num_frames = tf.unstack(tf.shape(batch)[:2])
        keys = example_keys(noise_seed, self.seed_generator, batch_shape=features.shape[:-2], num_examples=num_examples)
        if length is None:
            lengths = tf.fill([num_examples], num_frames)
        else:
            lengths = tf.clip_by_value(tf.cast(tf.reshape(length, [-1]), tf.int32), 0, num_frames)
        noised = self._augment_batch(batch, lengths, keys)
        return noised if features.shape.rank == 3 else noised[0]

    def _augment_batch(self, features: tf.Tensor, lengths: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        num_examples, num_frames, num_bins = tf.unstack(tf.shape(features))
        is_valid = tf.range(num_frames) < lengths[:, None]
        value = self._mask_value(features, is_valid)
        if self.time_warp:
            features = time_warp(features, lengths, seeds.fold(keys, 0), max_distance=self.time_warp)
        all_bins = tf.fill([num_examples], num_bins)
        bins = draw_masks(self.frequency_masks, seeds.fold(keys, 1), all_bins, num_bins)
        frames = draw_masks(self.time_masks, seeds.fold(keys, 2), lengths, num_frames)
        is_masked = is_valid[:, :, None] & (bins[:, None, :] | frames[:, :, None])
        return tf.where(is_masked, value, features)

    def _mask_value(self, features: tf.Tensor, is_valid: tf.Tensor) -> tf.Tensor:
        if self.mask_value == "mean":
            return tf.cast(valid_mean(features, is_valid)[:, None, None], features.dtype)
        return tf.cast(self.mask_value, features.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape or shapes of the inputs."""
        return input_shape

    def compute_output_spec(self, inputs: Any, training: bool | None = True, noise_seed: Any = None) -> Any:
        """The structure, shapes and dtypes of the inputs."""
        check_feature_inputs(inputs)
        return keras.tree.map_structure(lambda tensor: keras.KerasTensor(tensor.shape, dtype=tensor.dtype), inputs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, masks as dicts."""
        return {
            **super().get_config(),
            "frequency_masks": dataclasses.asdict(self.frequency_masks),
            "time_masks": dataclasses.asdict(self.time_masks),
            "time_warp": self.time_warp,
            "mask_value": self.mask_value,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SpecAugment":
        """The layer of such a config."""
        masks = {name: FeatureMasks(**config[name]) for name in ("frequency_masks", "time_masks")}
        layer: SpecAugment = super().from_config({**config, **masks})
        return layer


def _checked_masks(name: str, masks: FeatureMasks) -> FeatureMasks:
    if not isinstance(masks, FeatureMasks):
        raise ValueError(
            f"`{name}` must be a `FeatureMasks`, for instance `kns.FeatureMasks(2, max_width=27)`. "
            f"Received: {name}={masks!r}."
        )
    return masks
