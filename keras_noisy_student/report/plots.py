"""The plots of the report, as inline SVG. Each says in words, too, what is to be seen."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from keras_noisy_student.pseudo_labels.calibration import CalibrationBins
from keras_noisy_student.pseudo_labels.score_histogram import ScoreHistogram
from keras_noisy_student.report.svg import FIRST, FOURTH, INK, SECOND, STYLE, THIRD, inline_svg

_WIDTH, _HEIGHT = 4.4, 2.9
_MOST_NAMED_CLASSES = 40
_LONGEST_NAME = 24
_INCHES_PER_LETTER = 0.075
_ROOM_FOR_LEGEND = 0.35
_MOST_MARKED_EPOCHS = 30
_LINES: Mapping[str, Mapping[str, Any]] = {
    "validation": {"color": FIRST, "marker": "o"},
    "training": {"color": INK, "marker": "^", "linewidth": 1.2},
    "labelled": {"color": SECOND, "marker": "s"},
    "pseudo-labelled": {"color": THIRD, "marker": "D"},
}
"""How each of the learning curves is drawn, the same in every plot."""


def metric_by_round(name: str, metric: str, values: Mapping[int, float]) -> Markup:
    """A metric of every round, and that of the first teacher, where it has one, as a line to compare with.

    Args:
        name: of the plot, different from all others of the page.
        metric: its name.
        values: by the index of the round.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _empty()
        axes.plot(list(values), list(values.values()), marker="o", color=FIRST)
        if 0 in values:
            label = f"the first teacher: {values[0]:.4g}"
            axes.axhline(values[0], color=SECOND, linestyle="--", linewidth=1.2, label=label)
            axes.legend(loc="best")
        for place, (index, value) in enumerate(values.items()):
            # The line that rises from the first point would cross its figure.
            where = {"xytext": (0, 6), "ha": "center"} if place else {"xytext": (-4, 4), "ha": "right"}
            axes.annotate(f"{value:.4g}", (index, value), textcoords="offset points", **where)
        axes.margins(x=0.18, y=0.25)
        axes.set(xlabel="round (0 is the first teacher)", ylabel=metric)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return inline_svg(figure, name=name, label=f"{metric} by round: {_listed(values)}")


def accuracy_of_pseudo_labels(name: str, of_all: Mapping[int, float], of_kept: Mapping[int, float]) -> Markup:
    """How many pseudo-labels are right in every round, by the audit labels: of all, and of those kept."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _empty()
        axes.plot(list(of_kept), list(of_kept.values()), marker="o", color=FIRST, label="of those kept")
        axes.plot(list(of_all), list(of_all.values()), marker="s", color=SECOND, label="of all")
        axes.margins(x=0.12, y=0.2)
        axes.set(xlabel="round", ylabel="right pseudo-labels")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="best")
        label = f"Right pseudo-labels, of all: {_listed(of_all)}; of those kept: {_listed(of_kept)}"
        return inline_svg(figure, name=name, label=label)


def learning_curve(name: str, quantity: str, curves: Mapping[str, Sequence[float]]) -> Markup:
    """A quantity by epoch, a line for each of what it was measured on."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _empty()
        for measured_on, values in curves.items():
            style = dict(_LINES.get(measured_on.removeprefix("fine-tuning, "), {}))
            if len(values) > _MOST_MARKED_EPOCHS:
                style["marker"] = None
            linestyle = "--" if measured_on.startswith("fine-tuning") else "-"
            axes.plot(range(1, len(values) + 1), values, label=measured_on, linestyle=linestyle, **style)
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.legend(loc="best")
        ends = ", ".join(f"{name} {values[0]:.4g} to {values[-1]:.4g}" for name, values in curves.items())
        return inline_svg(figure, name=name, label=f"{quantity} by epoch, from the first to the last: {ends}")


def scores(name: str, histogram: ScoreHistogram, threshold: float) -> Markup:
    """The scores of the pool, kept and dropped, with the threshold."""
    edges, kept, dropped = histogram.edges, histogram.kept, histogram.dropped
    with matplotlib.rc_context(STYLE):
        figure, axes = _empty(top=_ROOM_FOR_LEGEND)
        widths = 0.92 * np.diff(edges)
        axes.bar(edges[:-1], kept, widths, align="edge", color=FIRST, label="kept")
        axes.bar(edges[:-1], dropped, widths, bottom=kept, align="edge", color=FOURTH, label="dropped")
        if edges[0] <= threshold <= edges[-1]:
            axes.axvline(threshold, color=INK, linestyle="--", linewidth=1.2, label=f"threshold {threshold:g}")
        axes.grid(axis="x", visible=False)
        axes.set(xlabel="score of the teacher", ylabel="examples of the pool")
        _count_along(axes.yaxis)
        figure.legend(loc="upper right", ncols=3)
        fullest = int(np.argmax(kept + dropped))
        label = (
            f"Histogram of the scores: {kept.sum():,} kept and {dropped.sum():,} dropped, threshold {threshold:g}; the "
            f"fullest bin is from {edges[fullest]:.3g} to {edges[fullest + 1]:.3g}"
        )
        return inline_svg(figure, name=name, label=label)


def reliability(name: str, bins: CalibrationBins) -> Markup:
    """The accuracy of each bin of confidence, against the diagonal of a calibrated network."""
    is_filled = bins.counts > 0
    confidence, accuracy = bins.mean_confidence[is_filled], bins.accuracy[is_filled]
    width = 1 / len(bins.counts)
    with matplotlib.rc_context(STYLE):
        figure, axes = _empty()
        places = np.flatnonzero(is_filled) * width
        axes.bar(places, accuracy, 0.92 * width, align="edge", color=FIRST, label="accuracy")
        axes.vlines(confidence, np.minimum(confidence, accuracy), np.maximum(confidence, accuracy), color=SECOND)
        axes.plot(confidence, confidence, "_", color=SECOND, markersize=9, label="mean confidence")
        axes.plot([0, 1], [0, 1], color=INK, linestyle="--", linewidth=1, label="calibrated")
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy")
        axes.legend(loc="upper left")
        points = ", ".join(f"{c:.2f} {a:.2f}" for c, a in zip(confidence, accuracy, strict=True))
        label = f"Reliability diagram; confidence and accuracy of each bin: {points}"
        return inline_svg(figure, name=name, label=label)


def class_balance(name: str, before: Sequence[int], after: Sequence[int], class_names: Sequence[str]) -> Markup:
    """Examples of each class in the pool and in the selection; of very many classes, the counts in falling order."""
    is_named = len(before) <= _MOST_NAMED_CLASSES
    with matplotlib.rc_context(STYLE):
        if is_named:
            names = [_shortened(class_name) for class_name in class_names]
            left = 0.25 + _INCHES_PER_LETTER * max(map(len, names))
            figure, axes = _empty(height=max(_HEIGHT, 0.9 + 0.2 * len(before)), left=left, top=_ROOM_FOR_LEGEND)
            _draw_named_classes(axes, before, after, names)
        else:
            figure, axes = _empty(top=_ROOM_FOR_LEGEND)
            _draw_ranked_classes(axes, before, after)
        figure.legend(loc="upper right", ncols=2)
        counts = zip(class_names[:_MOST_NAMED_CLASSES], before, after, strict=False)
        listed = ", ".join(f"{class_name} {b} and {a}" for class_name, b, a in counts)
        return inline_svg(figure, name=name, label=f"Examples of each class before and after selection: {listed}")


def _draw_named_classes(axes: Any, before: Sequence[int], after: Sequence[int], class_names: Sequence[str]) -> None:
    places = np.arange(len(before))
    axes.barh(places - 0.19, before, height=0.34, color=FOURTH, label="in the pool")
    axes.barh(places + 0.19, after, height=0.34, color=FIRST, label="selected, with copies")
    axes.set_yticks(places, class_names)
    axes.set(xlabel="examples", ylim=(len(before) - 0.4, -0.6))
    _count_along(axes.xaxis)
    axes.grid(axis="y", visible=False)


def _draw_ranked_classes(axes: Any, before: Sequence[int], after: Sequence[int]) -> None:
    for counts, label, color in ((before, "in the pool", SECOND), (after, "selected, with copies", FIRST)):
        axes.plot(np.sort(counts)[::-1], color=color, label=label)
    axes.set(xlabel="classes, the most frequent first", ylabel="examples", ylim=(0, None))
    _count_along(axes.yaxis)


def _empty(*, height: float = _HEIGHT, left: float = 0.7, top: float = 0.12) -> tuple[Any, Any]:
    """A figure and its axes, with room for the labels; a layout that measures them takes three times as long."""
    figure = Figure(figsize=(_WIDTH, height))
    figure.subplots_adjust(left / _WIDTH, 0.48 / height, 1 - 0.1 / _WIDTH, 1 - top / height)
    return figure, figure.subplots()


def _count_along(axis: Any) -> None:
    """Whole numbers, millions as `1M`."""
    axis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axis.set_major_formatter(EngFormatter(sep=""))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"


def _listed(values: Mapping[int, float]) -> str:
    return ", ".join(f"round {index} {value:.4g}" for index, value in values.items())
