"""Mean corruption error (mCE) of ImageNet-C: how often a model errs on corrupted images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_noisy_student.evaluation.normalization import mean_rate
from keras_noisy_student.evaluation.predictions import Predictor, error_rate, inference

ALEXNET_CORRUPTION_ERRORS: Mapping[str, Sequence[float]] = {
    "gaussian_noise": [0.886428],
    "shot_noise": [0.894468],
    "impulse_noise": [0.922640],
    "defocus_blur": [0.819880],
    "glass_blur": [0.826268],
    "motion_blur": [0.785948],
    "zoom_blur": [0.798360],
    "snow": [0.866816],
    "frost": [0.826572],
    "fog": [0.819324],
    "brightness": [0.564592],
    "contrast": [0.853204],
    "elastic_transform": [0.646056],
    "pixelate": [0.717840],
    "jpeg_compression": [0.606500],
}
"""AlexNet's errors on ImageNet-C, each the mean over the 5 severities: the `baseline` of published mCE figures."""


def corruption_errors(
    model: Predictor, corrupted: Mapping[tuple[str, int], Any], labels: Any, *, batch_size: int = 128
) -> dict[str, list[float]]:
    """The error of a model under each corruption, at each severity.

    Args:
        model: a Keras model, or a function, from images `(batch, height, width, channels)` to numbers
            `(batch, num_classes)` of which the largest one decides.
        corrupted: `CorruptedImages`, or another mapping from `(corruption, severity)` to images: an array or a
            `tf.data.Dataset` of unbatched images, all in the order of `labels`.
        labels: integer class ids `(images,)`.
        batch_size: images at a time.

    Returns:
        For each corruption its errors in [0, 1], in the order of the severities: the share of images whose most likely
        class is not their label.

    Raises:
        ValueError: for other images, labels or outputs, or keys of another kind.

    Example:
        >>> def says_1(images):
        ...     return np.tile([0.0, 1.0], (len(images), 1))
        >>> corrupted = {("fog", 1): np.zeros((4, 8, 8, 3)), ("fog", 2): np.zeros((4, 8, 8, 3))}
        >>> corruption_errors(says_1, corrupted, [1, 1, 1, 0])
        {'fog': [0.25, 0.25]}
    """
    _check_keys(corrupted)
    function = inference(model)
    errors: dict[str, list[float]] = {corruption: [] for corruption, _ in corrupted}
    for corruption, severity in sorted(corrupted, key=lambda key: key[1]):
        images = corrupted[corruption, severity]
        errors[corruption].append(error_rate(function, images, labels, batch_size=batch_size))
    return errors


def mean_corruption_error(
    errors: Mapping[str, Sequence[float]], *, baseline: Mapping[str, Sequence[float]] | None = None
) -> float:
    """The mean corruption error, as a fraction: published figures are 100 times as large.

    Args:
        errors: of a model, as `corruption_errors` returns them.
        baseline: errors of another model under the same corruptions, at the same severities or averaged over them,
            such as `ALEXNET_CORRUPTION_ERRORS`, by which published figures of ImageNet-C are normalised.

    Returns:
        Without a baseline the mean over corruptions and severities, in [0, 1]. With one, the mean over corruptions of
        the ratio of both models' mean errors, which is 1 for the baseline itself.

    Raises:
        ValueError: where the corruptions of the two differ, there are none, or the baseline never errs under one.

    Example:
        >>> mean_corruption_error({"fog": [0.125, 0.375], "snow": [0.5, 0.5]})
        0.375
        >>> mean_corruption_error({"fog": [0.125, 0.375], "snow": [0.5, 0.5]}, baseline={"fog": [0.5], "snow": [0.5]})
        0.75

    Reference:
        Hendrycks and Dietterich 2019, https://arxiv.org/abs/1903.12261
    """
    means = {corruption: float(np.mean(of_severities)) for corruption, of_severities in errors.items()}
    if baseline is None:
        return mean_rate(means)
    return mean_rate(means, baseline={name: float(np.mean(values)) for name, values in baseline.items()})


def _check_keys(corrupted: Any) -> None:
    keys = list(corrupted) if isinstance(corrupted, Mapping) else []
    if not keys or not all(isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], str) for key in keys):
        raise ValueError(
            "`corrupted` must be `CorruptedImages`, or map (corruption, severity) to images, as in "
            f'{{("fog", 1): images}}. Received: {type(corrupted).__name__} with keys {keys[:3]!r}.'
        )
