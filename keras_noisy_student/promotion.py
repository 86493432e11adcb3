"""Promotion: which student becomes the next teacher, and when further rounds are not worth their cost."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

from keras_noisy_student.argument_checks import check_choice, is_integer

Metrics = Mapping[str, float]
_FALLING = ("loss", "wer", "cer")
_GROWING = ("accuracy", "acc", "auc", "precision", "recall", "score", "iou")


@dataclasses.dataclass(frozen=True)
class Promotion:
    """Which student becomes the next teacher, and when the rounds end.

    Args:
        promote: `"always"`, as in the paper; or `"if_better"`: where a student is not better than its teacher, that is
            recorded, and the teacher stays.
        stop_after: so many rounds without a new best student end the run; `None` trains all rounds.
        monitor: the metric of `validation_data` that decides, for instance `"val_accuracy"`; by default the first
            compiled one in alphabetical order, or `"val_loss"` where there is none.
        mode: whether a `"max"` or a `"min"` of it is best. `"auto"` knows losses, word and character error
            rates, accuracy, AUC, precision, recall, scores and IoU.

    Raises:
        ValueError: for a value that is not one of these.

    Example:
        >>> promotion = Promotion(promote="if_better", stop_after=2)
        >>> promotion.gain({"val_loss": 0.5, "val_accuracy": 0.75}, over={"val_loss": 0.25, "val_accuracy": 0.5})
        0.25
    """

    promote: Literal["always", "if_better"] = "always"
    stop_after: int | None = None
    monitor: str | None = None
    mode: Literal["auto", "min", "max"] = "auto"

    def __post_init__(self) -> None:
        check_choice("promote", self.promote, ("always", "if_better"))
        if self.stop_after is not None and not is_integer(self.stop_after, at_least=1):
            raise ValueError(
                f"`stop_after` must be a positive integer or None. Received: stop_after={self.stop_after!r}."
            )
        if self.monitor is not None and not (isinstance(self.monitor, str) and self.monitor.startswith("val_")):
            raise ValueError(
                "`monitor` must be the name of a metric of the validation data, which begins with `val_`, or None. "
                f"Received: monitor={self.monitor!r}."
            )
        check_choice("mode", self.mode, ("auto", "min", "max"))

    @property
    def needs_validation(self) -> bool:
        """Whether it compares students at all."""
        return self.promote == "if_better" or self.stop_after is not None

    def reads_metrics(self, *, has_validation: bool) -> bool:
        """Whether there must be metrics that `check_metrics` accepts: to compare students, or to show the gain."""
        return self.needs_validation or (has_validation and self.monitor is not None)

    def check_metrics(self, metrics: Metrics) -> None:
        """Raises a `ValueError` when these metrics, by name, do not tell which student is better."""
        validation = sorted(name for name in metrics if name.startswith("val_"))
        if not validation:
            raise ValueError(
                '`Promotion(promote="if_better")` and `stop_after` compare students on validation data. Received: '
                "validation_data=None. Pass `validation_data`."
            )
        if self.monitored(metrics) not in metrics:
            raise ValueError(f"`monitor` must be one of {validation}. Received: monitor={self.monitor!r}.")
        self._sign(self.monitored(metrics))

    def monitored(self, metrics: Metrics) -> str:
        """The name of the metric that decides."""
        compiled = (name for name in sorted(metrics) if name.startswith("val_") and name != "val_loss")
        return self.monitor or next(compiled, "val_loss")

    def gain(self, metrics: Metrics, *, over: Metrics) -> float | None:
        """By how much the first metrics are better than the others, above 0 if they are; `None` if they do not tell."""
        name = self.monitored(metrics)
        if name not in metrics or name not in over:
            return None
        try:
            return self._sign(name) * (metrics[name] - over[name])
        except ValueError:
            return None

    def ends(self, rounds: Sequence[Metrics]) -> bool:
        """Whether no more rounds are worth it, after rounds with these metrics."""
        if self.stop_after is None:
            return False
        best = 0
        for index, metrics in enumerate(rounds):
            if (self.gain(metrics, over=rounds[best]) or 0) > 0:
                best = index
        return len(rounds) - 1 - best >= self.stop_after

    def _sign(self, name: str) -> int:
        mode = self.mode
        if mode == "auto" and name.endswith(_FALLING):
            mode = "min"
        if mode == "auto" and name.endswith(_GROWING):
            mode = "max"
        if mode == "auto":
            raise ValueError(
                f'`mode` must say whether the largest or the smallest {name} is best. Received: mode="auto", which '
                'does not know it. Pass mode="max" or mode="min".'
            )
        return 1 if mode == "max" else -1
