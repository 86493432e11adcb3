"""Mean flip rate (mFR) of ImageNet-P: how often a model changes its answer while an image changes a little."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from keras_noisy_student.argument_checks import check_choice, check_count, checked_fixed_seed
from keras_noisy_student.evaluation.image_batches import batches, checked_images
from keras_noisy_student.evaluation.normalization import mean_rate
from keras_noisy_student.evaluation.perturbations import (
    COMPARED_WITH_THE_FIRST_FRAME,
    PERTURBATIONS,
    STRENGTHS,
    StrengthsName,
    perturbed,
)
from keras_noisy_student.evaluation.predictions import Predictor, classes_of_batches, inference
from keras_noisy_student.noise.seeds import stream_key

_LONGEST_SEQUENCE = 41


def flip_rates(
    model: Predictor, images: Any, *, strengths: StrengthsName = "cifar10_p", seed: int = 0, batch_size: int = 128
) -> dict[str, float]:
    """The flip rate of a model under each perturbation, in sequences that are made on the way.

    The perturbations are the 10 of ImageNet-P: Gaussian and shot noise, motion blur at turning angles, zoom blur, snow
    that the wind turns, brightness, translation, rotation, tilt and scale. ImageNet-P cuts its frames out of larger
    images; here what lies outside the image is black.

    Args:
        model: a Keras model, or a function, from uint8 images `(batch, height, width, 3)` to numbers
            `(batch, num_classes)` of which the largest one decides.
        images: uint8, an array `(images, height, width, 3)` or a `tf.data.Dataset` of unbatched images of one size.
        strengths: `"cifar10_p"`, made for 32 pixels, or `"imagenet_p"`, for 224; 16 to 41 frames a sequence.
        seed: key of the noise and the snow. An image is perturbed by its place in `images`.
        batch_size: frames at a time.

    Returns:
        For each perturbation its flip rate in [0, 1]: see `flip_rate`.

    Raises:
        ValueError: for other images, outputs or strengths.

    Example:
        >>> def is_bright(images):
        ...     brightness = np.mean(images, axis=(1, 2, 3)) / 255
        ...     return np.stack([1 - brightness, brightness], -1)
        >>> images = np.full((2, 32, 32, 3), 128, "uint8")
        >>> rates = flip_rates(is_bright, images)
        >>> round(30 * rates["brightness"])
        1

    Reference:
        Hendrycks and Dietterich 2019, https://arxiv.org/abs/1903.12261
    """
    check_choice("strengths", strengths, tuple(STRENGTHS))
    check_count("batch_size", batch_size)
    seed = checked_fixed_seed(seed)
    images = checked_images(images)
    _check_can_be_perturbed(images)
    function = inference(model)
    num_flips, num_images = dict.fromkeys(PERTURBATIONS, 0.0), 0
    for block in batches(images, batch_size=max(1, batch_size // _LONGEST_SEQUENCE)):
        keys = [stream_key(seed, num_images + position) for position in range(len(block))]
        for perturbation in PERTURBATIONS:
            sequences = perturbed(block, perturbation, STRENGTHS[strengths], keys=keys)
            frames = sequences.reshape(-1, *sequences.shape[2:])
            classes = classes_of_batches(function, batches(frames, batch_size=batch_size)).reshape(sequences.shape[:2])
            num_flips[perturbation] += len(block) * flip_rate(classes, compare_with=_reference(perturbation))
        num_images += len(block)
    return {perturbation: flips / num_images for perturbation, flips in num_flips.items()}


def flip_rate(classes: Any, *, compare_with: Literal["first", "previous"]) -> float:
    """The share of frames, in [0, 1], whose class is not that of the frame before, or of the first one.

    Args:
        classes: `(sequences, frames)`, with 2 frames or more.
        compare_with: `"previous"`; `"first"` where frames have no order, as those of noise.

    Raises:
        ValueError: for another shape or comparison.

    Example:
        >>> flip_rate([[3, 3, 7, 7, 3]], compare_with="previous"), flip_rate([[3, 3, 7, 7, 7]], compare_with="first")
        (0.5, 0.75)
    """
    check_choice("compare_with", compare_with, ("first", "previous"))
    classes = np.asarray(classes)
    if classes.ndim != 2 or not len(classes) or classes.shape[1] < 2:
        raise ValueError(
            "`classes` must have shape (sequences, frames), with a sequence or more of 2 frames or more. Received: "
            f"shape {classes.shape}."
        )
    compared = classes[:, :1] if compare_with == "first" else classes[:, :-1]
    return float(np.mean(classes[:, 1:] != compared))


def mean_flip_rate(rates: Mapping[str, float], *, baseline: Mapping[str, float] | None = None) -> float:
    """The mean flip rate, as a fraction: published figures are 100 times as large.

    Args:
        rates: of a model, as `flip_rates` returns them.
        baseline: those of another model, by which each rate is divided: AlexNet in published figures of ImageNet-P.

    Returns:
        The mean over perturbations of the rates, in [0, 1], or of the ratios, which is 1 for the baseline itself.

    Raises:
        ValueError: where the perturbations of the two differ, there are none, or the baseline never flips under one.

    Example:
        >>> mean_flip_rate({"snow": 0.1, "tilt": 0.2}, baseline={"snow": 0.2, "tilt": 0.2})
        0.75
    """
    return mean_rate(rates, baseline=baseline)


def _reference(perturbation: str) -> Literal["first", "previous"]:
    return "first" if perturbation in COMPARED_WITH_THE_FIRST_FRAME else "previous"


def _check_can_be_perturbed(images: Any) -> None:
    spec = getattr(images, "element_spec", images)
    if spec.dtype != np.uint8 or spec.shape[-1] != 3:
        raise ValueError(
            "`images` must be uint8 with 3 channels. Received: "
            f"dtype {getattr(spec.dtype, 'name', spec.dtype)}, shape {tuple(spec.shape)}. Cast by "
            "`tf.cast(..., tf.uint8)`, repeat a grey channel by `tf.image.grayscale_to_rgb`."
        )
