"""`attention_weights`: which frames of a clip a network looks at."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_noisy_student.noise.frame_sampling import FrameSampling
from keras_noisy_student.video.temporal_attention_pooling import TemporalAttentionPooling

_BATCH_SIZE = 32


def attention_weights(network: keras.Model, clips: Any) -> tuple[np.ndarray, np.ndarray]:
    """The weights that the attention of a network gives to the frames of clips, without noise.

    Args:
        network: a functional or sequential model, such as `attention_network` or `NoisyStudentTrainer.model`, that
            holds exactly one `TemporalAttentionPooling`, as a layer of its own.
        clips: `(clips, time, height, width, channels)`, as the network takes them, one clip or more.

    Returns:
        The weights, float32 `(clips, frames)`, which sum to 1 in each clip, or are all 0 where a mask leaves no frame,
        and the places in `clips` of the frames that they belong to, int32 `(frames,)`: those that `SegmentSampling`
        takes in evaluation, or all.

    Raises:
        ValueError: for another network, or one whose attention does not weigh single frames; for clips of another
            rank, or none.

    Example:
        >>> network = kns.video.attention_network(num_classes=8, num_frames=4, frame_size=16)
        >>> weights, frames = kns.video.attention_weights(network, np.zeros((2, 10, 16, 16, 3), np.uint8))
        >>> weights.shape, frames
        ((2, 4), array([1, 3, 6, 8], dtype=int32))
    """
    pooling = _pooling_of(network)
    shape = tuple(np.shape(clips))
    if len(shape) != 5 or not shape[0]:
        raise ValueError(
            "`clips` must have shape `(clips, time, height, width, channels)`, of one clip or more. Received: clips of "
            f"shape {shape}. Pass `clip[None]` for one clip."
        )
    features_of = keras.Model(network.inputs, pooling.input)

    @tf.function(autograph=False, reduce_retracing=True)
    def weights_of(clips: tf.Tensor) -> tf.Tensor:
        # A mask that Keras carries along with the features comes with them.
        features_and_mask = keras.tree.flatten(features_of(clips, training=False))
        return pooling(*features_and_mask, return_attention_scores=True)[1]

    starts = range(0, shape[0], _BATCH_SIZE)
    weights = np.concatenate([weights_of(tf.convert_to_tensor(clips[s : s + _BATCH_SIZE])) for s in starts])
    frames = _frames(network, num_frames=shape[1])
    if weights.shape[1] != len(frames):
        raise ValueError(
            "The attention of `network` must weigh the frames that its sampling takes. Received: "
            f"{network.name!r}, which weighs {weights.shape[1]} steps of {len(frames)} frames."
        )
    return weights, frames


def _pooling_of(network: Any) -> TemporalAttentionPooling:
    if not isinstance(network, keras.Model):
        raise ValueError(f"`network` must be a keras.Model. Received: network={network!r}.")
    found = [layer for layer in network._flatten_layers() if isinstance(layer, TemporalAttentionPooling)]
    if len(found) != 1:
        raise ValueError(
            "`network` must hold exactly one `TemporalAttentionPooling`. Received: "
            f"{network.name!r}, which holds {len(found)}."
        )
    (pooling,) = found
    if not any(layer is pooling for layer in network.layers) or not hasattr(pooling, "input"):
        raise ValueError(
            "The `TemporalAttentionPooling` of `network` must be a layer of a functional or sequential model itself. "
            f"Received: {network.name!r}, another part of which holds it. Pass that part, if it is such a model."
        )
    return pooling


def _frames(network: keras.Model, *, num_frames: int) -> np.ndarray:
    """The places of the frames that are left by all layers of the network that take some, in their order."""
    frames = np.arange(num_frames, dtype=np.int32)
    for layer in network.layers:
        if isinstance(layer, FrameSampling):
            frames = frames[layer.usual_frames(tf.constant(len(frames))).numpy()]
    return frames
