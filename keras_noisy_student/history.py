"""What happened: one record per round, and all of them as a dict, a table or a plot."""

import dataclasses
import html
from collections.abc import Iterator
from typing import Any

import keras

from keras_noisy_student.pseudo_labels.fitted import Fitted
from keras_noisy_student.pseudo_labels.selection import Selection


@dataclasses.dataclass(frozen=True)
class RoundRecord:
    """The record of one finished round.

    Args:
        round_index: 0 for the first teacher, then the students.
        num_parameters: parameters of the network that the round trained.
        metrics: logs of the last epoch by name; `val_*` are those of the network that training left.
        epochs: the logs of every epoch, a list by name; empty for a teacher that came trained.
        num_annotated: examples in the annotated pool; 0 where nothing was stored.
        num_kept: different examples that selection kept.
        num_refused: examples that were dropped whatever the threshold: transcripts that are too short or too long.
        num_selected: examples of one pass over the selection, copies included.
        class_counts: examples of each predicted class in the pool.
        selected_class_counts: copies of each class in the selection.
        mean_confidence: of the annotated pool, after corrections; `None` where nothing was stored. Of transcripts, the
            mean score that the cutoff is compared with.
        calibration_error: expected calibration error of the teacher on the validation data, with 15 bins; `None` where
            nothing was corrected, or without validation data.
        corrected_calibration_error: the same after the corrections.
        pseudo_label_accuracy: share of the annotated pool whose pseudo-labels are right, by the `audit_labels`; `None`
            without them, or where nothing was stored.
        kept_pseudo_label_accuracy: the same of the different examples that selection kept.
        gain: by how much the student is better than its teacher, below 0 if it is worse, in the validation metric that
            `Promotion` monitors; `None` without validation data or teacher.
        is_promoted: whether it became the teacher of the next round.
        seconds: wall-clock time of the round, since it was last started.
    """

    round_index: int
    num_parameters: int
    metrics: dict[str, float]
    epochs: dict[str, list[float]]
    num_annotated: int = 0
    num_kept: int = 0
    num_refused: int = 0
    num_selected: int = 0
    class_counts: list[int] = dataclasses.field(default_factory=list)
    selected_class_counts: list[int] = dataclasses.field(default_factory=list)
    mean_confidence: float | None = None
    calibration_error: float | None = None
    corrected_calibration_error: float | None = None
    pseudo_label_accuracy: float | None = None
    kept_pseudo_label_accuracy: float | None = None
    gain: float | None = None
    is_promoted: bool = True
    seconds: float = 0.0

    @classmethod
    def of(
        cls,
        round_index: int,
        network: keras.Model,
        epochs: dict[str, list[float]],
        selection: Selection | None,
        *,
        metrics: dict[str, float],
        fitted: Fitted | None = None,
    ) -> "RoundRecord":
        """The record of a round that has just been trained.

        Args:
            round_index: of the round.
            network: that it trained.
            epochs: the logs of every epoch.
            selection: `None` where nothing was stored.
            metrics: see `RoundRecord`.
            fitted: to the teacher; `None` where nothing was.
        """
        figures: dict[str, Any] = {} if fitted is None else fitted.figures()
        if selection is not None:
            figures |= {
                "num_annotated": selection.num_annotated,
                "num_kept": selection.num_kept,
                "num_refused": selection.num_refused,
                "num_selected": selection.num_selected,
                "class_counts": selection.class_counts.tolist(),
                "selected_class_counts": selection.selected_class_counts.tolist(),
                "mean_confidence": selection.mean_confidence,
            }
        return cls(round_index, network.count_params(), metrics, epochs, **figures)

    @property
    def who(self) -> str:
        """Which network the round trained: `"teacher"`, `"student 1"`, ..."""
        return "teacher" if self.round_index == 0 else f"student {self.round_index}"

    @property
    def shown_metrics(self) -> dict[str, float]:
        """Those of the validation data where there is any, else those of the training."""
        validation = {name: value for name, value in self.metrics.items() if name.startswith("val_")}
        return validation or self.metrics

    def __str__(self) -> str:
        figures = [f"{name} {value:.4f}" for name, value in self.shown_metrics.items()]
        if self.num_annotated:
            figures.insert(0, f"kept {self.num_kept:,} of {self.num_annotated:,} pseudo-labels")
            if self.num_refused:
                figures[0] += f" ({self.num_refused:,} refused)"
            empty = [class_id for class_id, count in enumerate(self.selected_class_counts) if count == 0]
            if empty:
                figures.insert(1, f"none for classes {empty[:10]}")
        if self.pseudo_label_accuracy is not None and self.kept_pseudo_label_accuracy is not None:
            figures.append(
                f"right pseudo-labels {self.pseudo_label_accuracy:.4f}, of those kept "
                f"{self.kept_pseudo_label_accuracy:.4f}"
            )
        if self.calibration_error is not None and self.corrected_calibration_error is not None:
            error, corrected = self.calibration_error, self.corrected_calibration_error
            figures.append(f"calibration error of the teacher {error:.4f} -> {corrected:.4f}")
        if self.gain is not None and self.gain < 0:
            figures.append(f"worse than its teacher by {-self.gain:.4f}")
        if not self.is_promoted:
            figures.append("not promoted")
        what_happened = ", ".join(figures) + " " if figures else ""
        return f"Round {self.round_index} ({self.who}): {what_happened}[{self.seconds:.0f} s]"


class RoundsHistory:
    """The records of a run, in order; a sequence of `RoundRecord`.

    Example:
        >>> record = RoundRecord(round_index=0, num_parameters=10, metrics={"val_accuracy": 0.5}, epochs={})
        >>> history = RoundsHistory([record])
        >>> history[0].metrics["val_accuracy"], history.to_dict()["val_accuracy"]
        (0.5, [0.5])
    """

    def __init__(self, records: list[RoundRecord]) -> None:
        self._records = list(records)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[RoundRecord]:
        return iter(self._records)

    def __getitem__(self, index: int) -> RoundRecord:
        return self._records[index]

    def __repr__(self) -> str:
        return "\n".join(str(record) for record in self._records)

    def _repr_html_(self) -> str:
        """The table that a notebook shows, in HTML."""
        names = dict.fromkeys(name for record in self._records for name in record.shown_metrics)
        rows = [["round", "network", "parameters", "pseudo-labels kept", *names, "seconds"]]
        for record in self._records:
            kept = f"{record.num_kept:,} of {record.num_annotated:,}" if record.num_annotated else ""
            figures = [f"{record.metrics[name]:.4f}" if name in record.metrics else "" for name in names]
            size, seconds = f"{record.num_parameters:,}", f"{record.seconds:.0f}"
            rows.append([str(record.round_index), record.who, size, kept, *figures, seconds])
        head, *body = rows
        return (
            f"<table><thead>{_html_row(head, tag='th')}</thead>"
            f"<tbody>{''.join(_html_row(row, tag='td') for row in body)}</tbody></table>"
        )

    def to_dict(self) -> dict[str, list[Any]]:
        """One list per column, an entry per round: the figures of the records and their metrics (`None` if absent)."""
        names = [field.name for field in dataclasses.fields(RoundRecord) if field.name not in ("metrics", "epochs")]
        columns = {name: [getattr(record, name) for record in self._records] for name in names}
        metric_names = dict.fromkeys(name for record in self._records for name in record.metrics)
        return columns | {name: [record.metrics.get(name) for record in self._records] for name in metric_names}

    def to_dataframe(self) -> Any:
        """The columns of `to_dict` as a `pandas.DataFrame`, indexed by the round. Needs pandas."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError("`to_dataframe` needs pandas: pip install pandas. `to_dict` needs nothing.") from error
        return pandas.DataFrame(self.to_dict()).set_index("round_index")

    def plot(self, metric: str = "accuracy") -> Any:
        """Draws a metric by round beside that of the first teacher, and the class balance before and after the last
        selection. Needs matplotlib.

        Args:
            metric: name of a metric; `val_<metric>` is drawn where there was validation data.

        Returns:
            The two `matplotlib.axes.Axes`, as pandas returns its plots; `axes[0].figure` is the figure.

        Raises:
            ValueError: when no round has the metric.
        """
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError("`plot` needs matplotlib: pip install matplotlib. `to_dict` needs nothing.") from error
        name = next(
            (n for n in (f"val_{metric}", metric) if any(n in record.metrics for record in self._records)), None
        )
        if name is None:
            known = sorted({n for record in self._records for n in record.metrics})
            raise ValueError(f"`metric` must be one of {known}. Received: metric={metric!r}.")
        _, axes = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
        self._plot_metric(axes[0], name)
        self._plot_class_balance(axes[1])
        return axes

    def _plot_metric(self, axes: Any, name: str) -> None:
        records = [record for record in self._records if name in record.metrics]
        rounds, values = [record.round_index for record in records], [record.metrics[name] for record in records]
        axes.plot(rounds, values, marker="o")
        for round_index, value in zip(rounds, values, strict=True):
            axes.annotate(
                f"{value:.4g}", (round_index, value), (0, 7), textcoords="offset points", horizontalalignment="center"
            )
        if rounds[0] == 0 and len(rounds) > 1:
            axes.axhline(values[0], linestyle="--", color="gray", label="first teacher")
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15))
        axes.set(title=f"{name} by round", xlabel="round (0 is the first teacher)", ylabel=name)
        axes.set_xticks(rounds)
        axes.margins(0.15)
        axes.grid(alpha=0.3)

    def _plot_class_balance(self, axes: Any) -> None:
        annotated = [record for record in self._records if len(record.class_counts) > 1]
        if not annotated:
            axes.set_axis_off()
            return
        last = annotated[-1]
        classes = range(len(last.class_counts))
        axes.bar([c - 0.2 for c in classes], last.class_counts, width=0.4, label="annotated")
        axes.bar([c + 0.2 for c in classes], last.selected_class_counts, width=0.4, label="selected, with copies")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set(title=f"Classes in round {last.round_index}", xlabel="predicted class", ylabel="examples")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2)


def _html_row(cells: list[str], *, tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
