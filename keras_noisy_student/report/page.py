"""`ReportPage`: the page of a run, which grows by a round at a time and is written after each."""

import dataclasses
import datetime
import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from markupsafe import Markup

from keras_noisy_student._version import __version__
from keras_noisy_student.history import RoundRecord
from keras_noisy_student.promotion import Promotion
from keras_noisy_student.report import plots
from keras_noisy_student.report.evidence import RoundEvidence
from keras_noisy_student.report.rendering import render
from keras_noisy_student.report.report import Report
from keras_noisy_student.report.settings_rows import settings_rows
from keras_noisy_student.storage.atomic_files import write_atomically

_TITLE = "Noisy Student Training"


class _Panel(NamedTuple):
    """A tab of the page."""

    id: str
    title: str
    heading: str
    html: Markup


@dataclasses.dataclass(frozen=True)
class _Group:
    """Settings under one heading."""

    title: str
    rows: Sequence[tuple[str, str]]


class ReportPage:
    """The report of one run.

    Args:
        report: what is shown.
        promotion: says which metric is compared.
        num_rounds: students to train.
        directory: of the run, as people know it.
    """

    def __init__(self, report: Report, promotion: Promotion, *, num_rounds: int, directory: str) -> None:
        self._report = report
        self._promotion = promotion
        self._num_rounds = num_rounds
        self._directory = directory
        self._records: list[RoundRecord] = []
        self._panels: list[_Panel] = []
        self._settings: list[_Group] = []

    def add(self, evidence: RoundEvidence, settings: Mapping[str, Any]) -> None:
        """Draws a round.

        Args:
            evidence: of the round.
            settings: of the round, as `describe` returned them.
        """
        record = evidence.record
        who = record.who.capitalize()
        html = render("round.html", record=str(record), sections=self._report.sections(evidence))
        panel = _Panel(f"round-{record.round_index}", who, f"Round {record.round_index}: {record.who}", html)
        self._records.append(record)
        self._panels.append(panel)
        self._settings.append(_Group(panel.heading, list(settings_rows(_without_layers(settings)))))

    def html(self, settings: Mapping[str, Any]) -> str:
        """The page as it is now; `settings` are those of the run."""
        metric = shown_metric(self._records, self._promotion)
        num_students = self._records[-1].round_index
        groups = [
            _Group("Run", [*versions().items(), *settings_rows(settings)]),
            *self._settings,
        ]
        panels = [
            _Panel("overview", "Overview", "Overview", self._overview(metric)),
            *self._panels,
            _Panel("settings", "Settings", "Settings, seed and versions", render("settings.html", groups=groups)),
        ]
        return str(
            render(
                "page.html",
                title=_TITLE,
                subtitle=f"{num_students} of {self._num_rounds} students trained, in {self._directory}",
                facts=self._facts(metric),
                panels=panels,
                version=__version__,
                time=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            )
        )

    def write(self, path: str, settings: Mapping[str, Any]) -> None:
        """Writes the page atomically, wherever `tf.io.gfile` can.

        Raises:
            OSError: when it cannot be written.
        """
        html = self.html(settings)

        def write(temporary: str) -> None:
            with tf.io.gfile.GFile(temporary, "w") as file:
                file.write(html)

        write_atomically(path, write)

    def _facts(self, metric: str | None) -> list[tuple[str, str]]:
        last = self._records[-1]
        facts = []
        values = {} if metric is None else _by_round(self._records, metric)
        if values:
            facts.append((f"{metric}, last round", f"{list(values.values())[-1]:.4f}"))
        if 0 in values and len(values) > 1:
            facts.append(("over the first teacher", f"{list(values.values())[-1] - values[0]:+.4f}"))
        if last.num_annotated:
            facts.append(("pseudo-labels kept", f"{last.num_kept:,} of {last.num_annotated:,}"))
        if last.kept_pseudo_label_accuracy is not None:
            facts.append(("of these are right", f"{last.kept_pseudo_label_accuracy:.1%}"))
        facts.append(("time", duration(sum(record.seconds for record in self._records))))
        return facts

    def _overview(self, metric: str | None) -> Markup:
        drawn = []
        if metric is not None:
            drawn.append(plots.metric_by_round("overview-metric", metric, _by_round(self._records, metric)))
        audited = [record for record in self._records if record.pseudo_label_accuracy is not None]
        if audited:
            of_all, of_kept = (
                {record.round_index: getattr(record, name) for record in audited}
                for name in ("pseudo_label_accuracy", "kept_pseudo_label_accuracy")
            )
            drawn.append(plots.accuracy_of_pseudo_labels("overview-audit", of_all, of_kept))
        columns, rows = overview_table(self._records, metric)
        return render("overview.html", plots=drawn, columns=columns, rows=rows)


def shown_metric(records: Sequence[RoundRecord], promotion: Promotion) -> str | None:
    """The metric that rounds are compared by: of the validation data where there is any, else of the training."""
    names = {name for record in records for name in record.metrics}
    monitored = promotion.monitored(dict.fromkeys(names, 0.0))
    if monitored in names:
        return monitored
    compiled = sorted(name for name in names if not name.endswith("loss"))
    return next(iter(compiled), "loss" if "loss" in names else None)


def overview_table(records: Sequence[RoundRecord], metric: str | None) -> tuple[list[str], list[list[str]]]:
    """The columns that say something, and a row for each round."""
    cells: dict[str, list[str]] = {"round": [_who(record) for record in records]}
    values = {} if metric is None else _by_round(records, metric)
    cells[metric or ""] = [_number(values.get(record.round_index)) for record in records]
    cells["gain"] = [_number(record.gain, "+.4f") for record in records]
    cells["kept"] = [f"{r.num_kept:,} of {r.num_annotated:,}" if r.num_annotated else "" for r in records]
    cells["right, of all"] = [_number(record.pseudo_label_accuracy) for record in records]
    cells["right, of the kept"] = [_number(record.kept_pseudo_label_accuracy) for record in records]
    cells["mean confidence"] = [_number(record.mean_confidence) for record in records]
    cells["parameters"] = [f"{record.num_parameters:,}" for record in records]
    cells["promoted"] = ["yes" if record.is_promoted else "no" for record in records]
    cells["time"] = [duration(record.seconds) if record.seconds else "" for record in records]
    told = {name: column for name, column in cells.items() if any(column)}
    return list(told), [list(row) for row in zip(*told.values(), strict=True)]


def duration(seconds: float) -> str:
    """Seconds as people say it.

    Example:
        >>> duration(7.4), duration(754), duration(93_700)
        ('7 s', '12 min 34 s', '26 h 1 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def versions() -> dict[str, str]:
    """What the run was made with."""
    devices = [device.device_type for device in tf.config.list_physical_devices()]
    return {
        "keras_noisy_student": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "devices": ", ".join(f"{devices.count(kind)} {kind}" for kind in dict.fromkeys(devices)),
    }


def _without_layers(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a round, with the number of the network's layers in place of their configs: these are many."""
    if "network" not in settings:
        return dict(settings)
    num_layers = len(settings["network"]) - 1
    return {**settings, "network": f"{num_layers} layers, described in settings.json of the round"}


def _by_round(records: Iterable[RoundRecord], metric: str) -> dict[int, float]:
    return {record.round_index: record.metrics[metric] for record in records if metric in record.metrics}


def _who(record: RoundRecord) -> str:
    return f"{record.round_index} (teacher)" if record.round_index == 0 else str(record.round_index)


def _number(value: float | None, how: str = ".4f") -> str:
    return "" if value is None else format(value, how)
