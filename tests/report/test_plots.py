import numpy as np
import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from keras_noisy_student.pseudo_labels.calibration import calibration_bins
from keras_noisy_student.pseudo_labels.score_histogram import ScoreHistogram
from keras_noisy_student.report import plots


def texts(svg):
    return [part.partition(">")[2] for part in str(svg).split("<text")[1:] for part in [part.partition("</text>")[0]]]


def test_a_metric_by_round_says_its_values():
    svg = plots.metric_by_round("plot", "val_accuracy", {0: 0.5, 1: 0.75, 2: 0.625})
    assert 'aria-label="val_accuracy by round: round 0 0.5, round 1 0.75, round 2 0.625"' in svg
    assert {"0.75", "0.625", "the first teacher: 0.5", "val_accuracy"} <= set(texts(svg))


def test_a_teacher_that_was_given_and_not_evaluated_has_no_line():
    svg = plots.metric_by_round("plot", "accuracy", {1: 0.75, 2: 0.625})
    assert not [text for text in texts(svg) if "first teacher:" in text]


def test_the_accuracy_of_pseudo_labels_says_its_values():
    svg = plots.accuracy_of_pseudo_labels("plot", {1: 0.5}, {1: 0.75})
    assert "of all: round 1 0.5; of those kept: round 1 0.75" in svg


@pytest.mark.parametrize("num_epochs", [1, 3, 40])
def test_learning_curves_have_a_legend(num_epochs):
    curves = {"training": [2.0] * num_epochs, "fine-tuning, validation": [1.0], "of a metric of ones own": [0.5]}
    svg = plots.learning_curve("plot", "loss", curves)
    assert {*curves, "epoch", "loss"} <= set(texts(svg))
    assert "training 2 to 2, fine-tuning, validation 1 to 1" in svg


@pytest.mark.parametrize(("threshold", "has_line"), [(0.25, True), (-np.inf, False)])
def test_scores_show_the_threshold_where_it_is_among_them(threshold, has_line):
    histogram = ScoreHistogram(np.linspace(0, 1, 3), kept=np.array([1000, 2]), dropped=np.array([3, 4]))
    svg = plots.scores("plot", histogram, threshold)
    assert "1,002 kept and 7 dropped" in svg
    assert "fullest bin is from 0 to 0.5" in svg
    assert any(text.startswith("threshold") for text in texts(svg)) == has_line


def test_a_reliability_diagram_leaves_out_empty_bins():
    bins = calibration_bins(np.array([0.75, 0.75]), np.array([True, False]), num_bins=4)
    assert "confidence and accuracy of each bin: 0.75 0.50&#34;" not in plots.reliability("plot", bins)
    assert 'of each bin: 0.75 0.50"' in plots.reliability("plot", bins)


def test_class_balance_names_the_classes():
    svg = plots.class_balance("plot", [3, 1], [2, 2], ["$cat & <dog>", "a name that is longer than others"])
    assert "$cat &amp; &lt;dog&gt; 3 and 2, a name that is longer than others 1 and 2" in svg
    assert {"$cat &amp; &lt;dog&gt;", "a name that is longer t…"} <= set(texts(svg))


def test_very_many_classes_are_ranked():
    svg = plots.class_balance("plot", list(range(1000)), [5] * 1000, [f"class {place}" for place in range(1000)])
    assert "classes, the most frequent first" in texts(svg)
    assert len(svg) < 60_000
