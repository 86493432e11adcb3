import builtins
import dataclasses
import json
import re

import numpy as np
import pytest
import tensorflow as tf
from matplotlib.figure import Figure

import keras_noisy_student as kns
from keras_noisy_student.evaluation import ClassReport, class_report

NAMES = ("calm", "glad", "sad")
LABELS = [0, 0, 0, 1, 1]
CLASS_IDS = [0, 0, 1, 1, 1]
SUBJECTS = ["bob", "ann", "bob", "ann", "bob"]
PROBABILITIES = np.eye(3)[CLASS_IDS] * 0.4 + 0.2


def _report(**keywords):
    return class_report(LABELS, CLASS_IDS, class_names=NAMES, **keywords)


def test_the_figures_by_hand():
    report = _report()
    assert report.confusion.tolist() == [[2, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert (report.num_examples, report.accuracy) == (5, 4 / 5)
    assert report.macro_f1 == pytest.approx((4 / 5 + 4 / 5) / 2)
    assert report.by_group == {}


def test_a_class_without_examples_has_no_recall():
    assert _report().recalls == {"calm": 2 / 3, "glad": 1.0}


def test_groups_have_reports_of_their_own_examples_in_the_order_of_their_names():
    report = _report(groups=SUBJECTS)
    assert list(report.by_group) == ["ann", "bob"]
    assert report.by_group["ann"].confusion.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert report.by_group["bob"].accuracy == 2 / 3
    assert report.by_group["bob"].recalls == {"calm": 1 / 2, "glad": 1.0}
    np.testing.assert_array_equal(sum(group.confusion for group in report.by_group.values()), report.confusion)
    assert report.confusion.tolist() == _report().confusion.tolist()


@pytest.mark.parametrize(
    ("groups", "names"),
    [
        ([10, 9, 10, 9, 10], ["9", "10"]),
        (np.array([True, False, True, False, True]), ["False", "True"]),
        (np.array(SUBJECTS, object), ["ann", "bob"]),
    ],
)
def test_groups_may_be_numbers_booleans_and_objects(groups, names):
    assert list(_report(groups=groups).by_group) == names


@pytest.mark.parametrize(
    "predictions",
    [PROBABILITIES, PROBABILITIES.tolist(), PROBABILITIES.astype("float16"), tf.cast(PROBABILITIES, tf.bfloat16)],
    ids=["float64", "list", "float16", "bfloat16"],
)
def test_of_probabilities_the_largest_decides(predictions):
    assert class_report(LABELS, predictions, class_names=NAMES).to_dict() == _report().to_dict()


def test_str_is_a_table():
    report = class_report([0] * 1200 + [1], [0] * 1201, class_names=NAMES, groups=["a"] * 1200 + ["subject 2"])
    assert str(report).splitlines() == [
        "1,201 examples, accuracy 0.999, macro F1 0.500",
        "",
        "class  examples  recall",
        "calm      1,200   1.000",
        "glad          1   0.000",
        "sad           0       -",
        "",
        "group      examples  accuracy  macro F1",
        "a             1,200     1.000     1.000",
        "subject 2         1     0.000     0.000",
    ]
    assert str(_report()).splitlines()[-1] == "sad           0       -"


def test_to_dict_survives_json():
    report = _report(groups=SUBJECTS)
    columns = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert columns == report.to_dict()
    assert columns.pop("by_group")["ann"] == report.by_group["ann"].to_dict()
    assert columns == {
        "num_examples": 5,
        "accuracy": report.accuracy,
        "macro_f1": report.macro_f1,
        "recalls": report.recalls,
        "class_names": list(NAMES),
        "confusion": [[2, 1, 0], [0, 2, 0], [0, 0, 0]],
    }


def test_a_report_does_not_follow_what_it_was_made_of():
    confusion = np.ones((3, 3), np.int64)
    report = ClassReport(NAMES, confusion)
    confusion[:] = 5
    assert report.num_examples == 9
    with pytest.raises(ValueError, match="read-only"):
        report.confusion[0, 0] = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.confusion = confusion


def test_plot_draws_the_numbers_and_the_shares_of_the_rows():
    axes = _report().plot()
    assert isinstance(axes.figure, Figure)
    assert axes.get_title() == "accuracy 0.800, macro F1 0.800"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "label")
    assert [text.get_text() for text in axes.texts] == ["2", "1", "0", "0", "2", "0", "0", "0", "0"]
    assert [text.get_position() for text in axes.texts][1] == (1, 0)
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [tick.get_text() for tick in ticks] == list(NAMES)
    np.testing.assert_allclose(axes.images[0].get_array(), [[2 / 3, 1 / 3, 0], [0, 1, 0], [0, 0, 0]])


def test_plot_of_many_classes_has_no_numbers():
    names = [f"class {class_id}" for class_id in range(31)]
    axes = class_report(np.arange(31), np.arange(31), class_names=names).plot()
    assert len(axes.texts) == 0
    assert axes.images[0].get_array().shape == (31, 31)


def test_a_missing_matplotlib_is_named_with_what_to_do(monkeypatch):
    import_module = builtins.__import__

    def import_without_matplotlib(name, *arguments, **keywords):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return import_module(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", import_without_matplotlib)
    with pytest.raises(ImportError, match=r"`plot` needs matplotlib: pip install matplotlib\. `to_dict` needs nothing"):
        _report().plot()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"labels": [0, 0, 0, 1, 3]}, "`labels` must be in [0, 3), the ids of 3 classes. Received: [3]"),
        ({"predictions": [0, 0, 0, 1]}, "`class_ids` must be one per label. Received: 4 class ids for 5 labels."),
        (
            {"predictions": PROBABILITIES[:, :2]},
            "`predictions` must be numbers of shape (examples, 3) for 3 class names, or integer class ids of shape "
            "(examples,). Received: shape (5, 2), dtype float64.",
        ),
        ({"predictions": [0.0, 0.0, 1.0, 1.0, 1.0]}, "Received: shape (5,), dtype float64."),
        ({"predictions": [["a", "b", "c"]] * 5}, "Received: shape (5, 3), dtype <U1."),
        ({"predictions": PROBABILITIES * np.nan}, "`predictions` must be numbers, of which the largest decides"),
        ({"class_names": "abc"}, "`class_names` must be different strings, one for each class id. Received: class_n"),
        ({"class_names": ["a", "b", "a"]}, "`class_names` must be different strings, one for each class id."),
        ({"class_names": [0, 1, 2]}, "`class_names` must be different strings, one for each class id."),
        ({"class_names": 3}, "`class_names` must be different strings, one for each class id."),
        (
            {"groups": ["ann"]},
            "`groups` must be strings, integers or booleans, one for each of 5 examples. Received: shape (1,), dtype ",
        ),
        ({"groups": [0.5] * 5}, "Received: shape (5,), dtype float64."),
        ({"groups": ["ann", None, "bob", "bob", "bob"]}, "Received: shape (5,), dtype object."),
    ],
)
def test_what_cannot_be_reported_is_refused(keywords, message):
    arguments = {"labels": LABELS, "predictions": CLASS_IDS, "class_names": NAMES} | keywords
    with pytest.raises(ValueError, match=re.escape(message)):
        kns.evaluation.class_report(arguments.pop("labels"), arguments.pop("predictions"), **arguments)


@pytest.mark.parametrize("confusion", [[[1]], [[0] * 3] * 3, [[-1, 2, 2]] * 3, [[1.0] * 3] * 3, [["1"] * 3] * 3])
def test_a_report_of_another_matrix_is_refused(confusion):
    message = r"`confusion` must count examples of 3 classes: integers of shape \(3, 3\), none below 0 and not all 0\."
    with pytest.raises(ValueError, match=message):
        ClassReport(NAMES, confusion)


@pytest.mark.parametrize("by_group", [["ann"], {"ann": 1}, {"ann": ClassReport(("other",), np.array([[1]]))}])
def test_a_report_of_other_groups_is_refused(by_group):
    with pytest.raises(ValueError, match="`by_group` must map the names of groups to a `ClassReport` of the same"):
        ClassReport(NAMES, np.eye(3, dtype=int), by_group)
