"""`TemporalAttentionPooling`: one vector for a clip, the mean of its frames' features by their attention weights."""

from typing import Any

import keras
from keras import ops

from keras_noisy_student.argument_checks import check_count

# Its softmax is 0 beside any score, and no NaN where all scores are this one.
_SCORE_OF_MASKED_FRAMES = -1e9


@keras.saving.register_keras_serializable(package="keras_noisy_student")
class TemporalAttentionPooling(keras.layers.Layer):
    """Averages the features of a clip's frames by weights that it computes from them: additive attention.

    The weight of a frame with features `h_t` is the softmax over the frames of `context . tanh(h_t kernel + bias)`. The
    context is 0 at first, so that training starts from the plain mean. The softmax is taken in float32 under every
    dtype policy.

    Args:
        units: length of the context, 1 or more.
        **kwargs: what every `keras.layers.Layer` takes, such as `name` and `dtype`.

    Call arguments:
        features: `(batch, time, features)`.
        mask: bool `(batch, time)`, `False` for frames that have no weight. Default: the mask that Keras carries along
            with `features`, if any. A clip without any other frame is pooled to zeros.
        return_attention_scores: whether to return the weights too.

    Returns:
        `(batch, features)`, and with `return_attention_scores=True` a pair of it and the weights, float32
        `(batch, time)`, which sum to 1 in each clip, or are all 0 where the mask leaves no frame.

    Raises:
        ValueError: for `units` below 1, or features or a mask of another rank.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(2, 5, 8))
        >>> mask = np.array([[True, True, False, False, False], [True] * 5])
        >>> layer = kns.video.TemporalAttentionPooling(units=4)
        >>> pooled, weights = layer(features, mask=mask, return_attention_scores=True)
        >>> pooled.shape, weights[0].numpy()
        (TensorShape([2, 8]), array([0.5, 0.5, 0. , 0. , 0. ], dtype=float32))

    Reference:
        Bahdanau et al. 2014, arXiv 1409.0473; over the frames of a face: Meng et al. 2019, arXiv 1907.00193.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_count("units", units)
        self.units = int(units)
        self.supports_masking = True

    def build(self, features_shape: tuple[int | None, ...]) -> None:
        """Makes kernel, bias and context."""
        if len(features_shape) != 3 or features_shape[-1] is None:
            raise ValueError(
                "`features` must have shape `(batch, time, features)`, the last number known. Received: features of "
                f"shape {tuple(features_shape)}."
            )
        self.kernel = self.add_weight(shape=(features_shape[-1], self.units), name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.context = self.add_weight(shape=(self.units,), initializer="zeros", name="context")

    def call(self, features: Any, mask: Any = None, return_attention_scores: bool = False) -> Any:
        """Returns the weighted mean of the frames, and the weights if asked for."""
        weights = self._weights(features, mask)
        pooled = ops.sum(weights[:, :, None] * ops.cast(features, "float32"), axis=1)
        pooled = ops.cast(pooled, self.compute_dtype)
        return (pooled, weights) if return_attention_scores else pooled

    def _weights(self, features: Any, mask: Any) -> Any:
        hidden = ops.tanh(ops.matmul(features, self.kernel) + self.bias)
        scores = ops.sum(ops.cast(hidden, "float32") * ops.cast(self.context, "float32"), axis=-1)
        if mask is None:
            return ops.softmax(scores, axis=-1)
        if len(mask.shape) != 2:
            raise ValueError(f"`mask` must have shape `(batch, time)`. Received: mask of shape {tuple(mask.shape)}.")
        is_valid = ops.cast(mask, "bool")
        weights = ops.softmax(ops.where(is_valid, scores, _SCORE_OF_MASKED_FRAMES), axis=-1)
        return ops.where(is_valid, weights, 0.0)

    def compute_mask(self, features: Any, previous_mask: Any) -> None:
        """No mask: there is no time any more."""

    def compute_output_shape(self, features_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the features, without time."""
        return (features_shape[0], features_shape[-1])

    def compute_output_spec(self, features: Any, mask: Any = None, return_attention_scores: bool = False) -> Any:
        """The shapes and dtypes of what a call returns."""
        pooled = keras.KerasTensor(self.compute_output_shape(features.shape), dtype=self.compute_dtype)
        weights = keras.KerasTensor(features.shape[:-1], dtype="float32")
        return (pooled, weights) if return_attention_scores else pooled

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units}
