"""The sections that the report shows of every round."""

from collections.abc import Callable, Iterator
from typing import Any

from keras_noisy_student.report import plots
from keras_noisy_student.report.curves import learning_curves
from keras_noisy_student.report.evidence import RoundEvidence
from keras_noisy_student.report.pictures import pictures
from keras_noisy_student.report.rendering import render
from keras_noisy_student.report.section import Section


def default_sections(evidence: RoundEvidence) -> list[Section]:
    """Curves, pseudo-labels, calibration, galleries and noise, each where there is something to show."""
    sections = [_training(evidence), _pseudo_labels(evidence), _calibration(evidence)]
    draw = pictures(evidence.example) if evidence.example is not None else None
    if draw is not None:
        sections += [_galleries(evidence, draw), _noise(evidence, draw)]
    return [Section(title, html) for title, html in sections if html]


def _training(evidence: RoundEvidence) -> tuple[str, str]:
    curves = learning_curves(evidence.record.epochs)
    svgs = [
        plots.learning_curve(_name(evidence, f"curve-{place}"), quantity, by_source)
        for place, (quantity, by_source) in enumerate(curves.items())
    ]
    return "Training", render("plots.html", plots=svgs) if svgs else ""


def _pseudo_labels(evidence: RoundEvidence) -> tuple[str, str]:
    def svgs() -> Iterator[str]:
        if evidence.scores is not None:
            yield plots.scores(_name(evidence, "scores"), evidence.scores, evidence.threshold)
        record = evidence.record
        if len(record.class_counts) > 1:
            name = _name(evidence, "classes")
            yield plots.class_balance(name, record.class_counts, record.selected_class_counts, evidence.class_names)

    drawn = list(svgs())
    return "Pseudo-labels", render("plots.html", plots=drawn) if drawn else ""


def _calibration(evidence: RoundEvidence) -> tuple[str, str]:
    if evidence.calibration is None:
        return "Calibration", ""
    svg = plots.reliability(_name(evidence, "reliability"), evidence.calibration)
    return "Calibration", render("calibration.html", plot=svg, calibration=evidence.calibration, record=evidence.record)


def _galleries(evidence: RoundEvidence, draw: Callable[[Any], str]) -> tuple[str, str]:
    return "Examples of the pool", render("galleries.html", evidence=evidence, draw=draw) if evidence.galleries else ""


def _noise(evidence: RoundEvidence, draw: Callable[[Any], str]) -> tuple[str, str]:
    # Levels are those of the clean example, or noise that changes the brightness would not be seen.
    drawn = [(pictures(each.x) or draw, each) for each in evidence.noised]
    return "Input noise", render("noise.html", drawn=drawn) if drawn else ""


def _name(evidence: RoundEvidence, what: str) -> str:
    return f"round-{evidence.record.round_index}-{what}"
