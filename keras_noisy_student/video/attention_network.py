"""`attention_network`: a network of clips that weighs their frames."""

from typing import Any, Literal

import keras

from keras_noisy_student.argument_checks import check_choice, check_count
from keras_noisy_student.noise.segment_sampling import SegmentSampling
from keras_noisy_student.noise.stochastic_depth import ALMOST_OFF, StochasticDepth
from keras_noisy_student.video.frame_encoder import BLOCKS, frame_encoder
from keras_noisy_student.video.frame_size import height_and_width
from keras_noisy_student.video.per_frame import PerFrame
from keras_noisy_student.video.stacked_grayscale import StackedGrayscale
from keras_noisy_student.video.temporal_attention_pooling import TemporalAttentionPooling


def attention_network(
    encoder: keras.Layer | None = None,
    *,
    num_classes: int,
    num_frames: int = 8,
    frame_size: int | tuple[int, int] = 48,
    channels: Literal["rgb", "stacked_grayscale"] = "rgb",
    attention_units: int = 32,
    from_logits: bool = False,
) -> keras.Model:
    """Builds a network that encodes the frames of a clip, weighs them, and classifies the clip, newly initialised.

    It takes clips of any length from `num_frames` on and of any size, `(batch, time, height, width, 3)`, uint8 or float
    in [0, 255], and returns `(batch, num_classes)`:

    1. `SegmentSampling` takes `num_frames` frames of each clip, random ones in training; they are resized.
    2. `StackedGrayscale` gives each frame the grey levels of its neighbours for colours, where `channels` says so.
    3. `PerFrame` applies the encoder to each.
    4. A residual convolution over three frames tells one order of the frames from another.
    5. `TemporalAttentionPooling` makes one vector of them; `attention_weights` shows its weights.
    6. Dropout, and a dense layer.

    The residual branches of the default encoder and of the convolution over frames end in `StochasticDepth`. It and the
    dropout are almost off (drop rate 1e-6) until `Noise` sets them.

    Args:
        encoder: a Keras model or layer from images `(batch, height, width, 3)`, float in [0, 255], to features
            `(batch, features)`. It normalises its images itself, as the models of `keras.applications` with
            `include_preprocessing` do. Default: `frame_encoder()`.
        num_classes: number of classes, at least 2.
        num_frames: frames that are looked at.
        frame_size: height and width to which frames are resized, in pixels; one integer stands for both.
        channels: what the encoder sees in a frame: its colours, or with `"stacked_grayscale"` what moves in it.
        attention_units: length of the context vector of the attention.
        from_logits: whether to return logits, for `Classification(..., from_logits=True)`, instead of probabilities.

    Raises:
        ValueError: for a value out of range, or an encoder that returns something else.

    Example:
        >>> network = kns.video.attention_network(num_classes=8, num_frames=12, frame_size=(40, 40))
        >>> network.output_shape, network.count_params()
        ((None, 8), 64128)
        >>> network(np.zeros((2, 30, 64, 48, 3), np.uint8)).shape
        TensorShape([2, 8])

    Reference:
        Meng et al. 2019, Frame attention networks for facial expression recognition in videos, arXiv 1907.00193. The
        convolution over frames and the form of the attention are not theirs.
    """
    check_count("num_classes", num_classes, at_least=2)
    check_choice("channels", channels, ("rgb", "stacked_grayscale"))
    check_count("attention_units", attention_units)
    height, width = height_and_width(frame_size)
    if not isinstance(from_logits, bool):
        raise ValueError(f"`from_logits` must be True or False. Received: from_logits={from_logits!r}.")
    if encoder is not None and not isinstance(encoder, keras.Layer):
        raise ValueError(f"`encoder` must be a Keras layer or model, or None. Received: encoder={encoder!r}.")
    clips = keras.Input((None, None, None, 3))
    x = SegmentSampling(num_frames)(clips)
    x = PerFrame(keras.layers.Resizing(height, width, dtype="float32"), name="resizing")(x)
    if channels == "stacked_grayscale":
        x = StackedGrayscale()(x)
    x = PerFrame(frame_encoder() if encoder is None else encoder, name="encoder")(x)
    _check_features(x, encoder)
    x = TemporalAttentionPooling(attention_units)(_with_neighbours(x))
    x = keras.layers.Dropout(ALMOST_OFF)(x)
    outputs = keras.layers.Dense(num_classes, activation=None if from_logits else "softmax", dtype="float32")(x)
    return keras.Model(clips, outputs, name="attention_network")


def _with_neighbours(x: Any) -> Any:
    """Adds to each frame what a convolution makes of it and its neighbours."""
    convolution = keras.layers.Conv1D(x.shape[-1], 3, padding="same", use_bias=False, kernel_initializer="he_normal")
    branch = convolution(BLOCKS.activation(x))
    return keras.layers.Add()([x, StochasticDepth(1 - ALMOST_OFF)(branch)])


def _check_features(features: Any, encoder: Any) -> None:
    if len(features.shape) != 3 or features.shape[-1] is None:
        raise ValueError(
            "`encoder` must return `(batch, features)` for a batch of images. Received: "
            f"{getattr(encoder, 'name', encoder)}, which returns {(None, *features.shape[2:])}. Let it end in a layer "
            "such as `GlobalAveragePooling2D`."
        )
