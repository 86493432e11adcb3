"""Robustness: corruptions, perturbations and attacks, each by itself or all in one `RobustnessReport`."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from keras_noisy_student.evaluation.attacks import EPSILONS, fgsm_accuracies, pgd_accuracies
from keras_noisy_student.evaluation.corrupted_images import CorruptedImages
from keras_noisy_student.evaluation.corruption_error import (
    ALEXNET_CORRUPTION_ERRORS,
    corruption_errors,
    mean_corruption_error,
)
from keras_noisy_student.evaluation.corruptions import CORRUPTIONS, SEVERITIES
from keras_noisy_student.evaluation.flip_rate import flip_rate, flip_rates, mean_flip_rate
from keras_noisy_student.evaluation.perturbations import PERTURBATIONS, StrengthsName
from keras_noisy_student.evaluation.predictions import Predictor, error_rate
from keras_noisy_student.tasks.task import Task

__all__ = [
    "ALEXNET_CORRUPTION_ERRORS",
    "CORRUPTIONS",
    "PERTURBATIONS",
    "SEVERITIES",
    "CorruptedImages",
    "RobustnessReport",
    "corruption_errors",
    "evaluate",
    "fgsm_accuracies",
    "flip_rate",
    "flip_rates",
    "mean_corruption_error",
    "mean_flip_rate",
    "pgd_accuracies",
]


@dataclasses.dataclass(frozen=True)
class RobustnessReport:
    """What `evaluate` found of a model. All figures are fractions.

    Args:
        accuracy: on the images as they are.
        corruption_errors: see `corruption_errors`.
        flip_rates: see `flip_rates`.
        fgsm_accuracies: see `fgsm_accuracies`.
        pgd_accuracies: see `pgd_accuracies`.

    Example:
        >>> report = RobustnessReport(0.75, {"fog": [0.25, 0.5]}, {"tilt": 0.125}, {4: 0.5}, {4: 0.25})
        >>> report.figures()
        {'accuracy': 0.75, 'mean_corruption_error': 0.375, 'mean_flip_rate': 0.125, 'fgsm_4': 0.5, 'pgd_4': 0.25}
    """

    accuracy: float
    corruption_errors: Mapping[str, Sequence[float]]
    flip_rates: Mapping[str, float]
    fgsm_accuracies: Mapping[float, float]
    pgd_accuracies: Mapping[float, float]

    def figures(self, *, baseline: "RobustnessReport | None" = None) -> dict[str, float]:
        """A row of a table: figures by name.

        Args:
            baseline: of another model, on the same images. With it there are normalised figures too, which are 1 for
                that model itself.
        """
        figures = {
            "accuracy": self.accuracy,
            "mean_corruption_error": mean_corruption_error(self.corruption_errors),
            "mean_flip_rate": mean_flip_rate(self.flip_rates),
        }
        if baseline is not None:
            figures["normalized_mean_corruption_error"] = mean_corruption_error(
                self.corruption_errors, baseline=baseline.corruption_errors
            )
            figures["normalized_mean_flip_rate"] = mean_flip_rate(self.flip_rates, baseline=baseline.flip_rates)
        figures |= {f"fgsm_{epsilon:g}": accuracy for epsilon, accuracy in self.fgsm_accuracies.items()}
        return figures | {f"pgd_{epsilon:g}": accuracy for epsilon, accuracy in self.pgd_accuracies.items()}


def evaluate(
    model: Predictor,
    images: Any,
    labels: Any,
    *,
    task: Task,
    corrupted: Mapping[tuple[str, int], Any],
    strengths: StrengthsName = "cifar10_p",
    epsilons: Sequence[float] = EPSILONS,
    seed: int = 0,
    batch_size: int = 128,
) -> RobustnessReport:
    """Evaluates a model on images as they are, corrupted, perturbed and attacked.

    Args:
        model: see `fgsm_accuracies`.
        images: uint8, an array `(images, height, width, 3)` or a `tf.data.Dataset` of unbatched images of one size.
        labels: integer class ids `(images,)`.
        task: what the model does: its loss is what attacks raise.
        corrupted: `CorruptedImages` of the same images, made once for all models that are compared, or another such
            mapping: see `corruption_errors`.
        strengths: of the perturbations: see `flip_rates`.
        epsilons: of both attacks, in levels of 255.
        seed: key of the perturbations and of the start of PGD.
        batch_size: images at a time.

    Raises:
        ValueError: for what the functions of the parts refuse.

    Example:
        >>> import tempfile
        >>> images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("uint8")
        >>> model = keras.Sequential(
        ...     [
        ...         keras.Input((32, 32, 3)),
        ...         keras.layers.Rescaling(1 / 255),
        ...         keras.layers.GlobalAveragePooling2D(),
        ...         keras.layers.Dense(2, "softmax"),
        ...     ]
        ... )
        >>> corrupted = {("fog", severity): images // severity for severity in range(1, 6)}
        >>> report = evaluate(model, images, [0, 1], task=kns.Classification(2), corrupted=corrupted, epsilons=[4])
        >>> list(report.figures())
        ['accuracy', 'mean_corruption_error', 'mean_flip_rate', 'fgsm_4', 'pgd_4']
    """
    attacks: dict[str, Any] = {"task": task, "epsilons": epsilons, "batch_size": batch_size}
    return RobustnessReport(
        accuracy=1 - error_rate(model, images, labels, batch_size=batch_size),
        corruption_errors=corruption_errors(model, corrupted, labels, batch_size=batch_size),
        flip_rates=flip_rates(model, images, strengths=strengths, seed=seed, batch_size=batch_size),
        fgsm_accuracies=fgsm_accuracies(model, images, labels, **attacks),
        pgd_accuracies=pgd_accuracies(model, images, labels, seed=seed, **attacks),
    )
