import html
import re

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

import keras_noisy_student as kns
from keras_noisy_student.history import RoundRecord
from keras_noisy_student.report.evidence import RoundEvidence
from keras_noisy_student.report.page import ReportPage, overview_table, shown_metric


def record(round_index, *, seconds=61.0, **fields):
    return RoundRecord(round_index, 10, fields.pop("metrics", {}), fields.pop("epochs", {}), seconds=seconds, **fields)


def page_of(*records, report=None):
    page = ReportPage(report or kns.report.Report(), kns.Promotion(), num_rounds=3, directory="runs/<b>")
    for each in records:
        network = {"000 Dense": {"units": 3}, "001 Dropout": {"rate": 0.5}, "weights": "[(2, 3)]"}
        page.add(RoundEvidence(each, ["0", "1"]), {"seed": 7, "noise": {"mixing": "<i>"}, "network": network})
    return page


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ([{"accuracy": 1.0, "val_accuracy": 0.5, "val_loss": 1.0}], "val_accuracy"),
        ([{"val_loss": 1.0, "loss": 2.0}], "val_loss"),
        ([{"loss": 2.0, "accuracy": 1.0, "labeled_loss": 1.0}], "accuracy"),
        ([{"loss": 2.0}], "loss"),
        ([{}, {"val_wer": 0.5, "val_loss": 1.0}], "val_wer"),
        ([{}], None),
    ],
)
def test_the_metric_is_that_of_the_validation_data_if_there_is_any(metrics, expected):
    records = [record(index, metrics=each) for index, each in enumerate(metrics)]
    assert shown_metric(records, kns.Promotion()) == expected


def test_a_monitor_that_no_round_has_is_not_shown():
    records = [record(0, metrics={"accuracy": 1.0})]
    assert shown_metric(records, kns.Promotion(monitor="val_other")) == "accuracy"


@pytest.mark.parametrize(("teacher", "gain"), [({"accuracy": 0.25}, ["+0.2500"]), ({}, [])])
def test_the_last_student_is_compared_with_the_first_teacher_if_that_was_evaluated(teacher, gain):
    students = [record(index, metrics={"accuracy": accuracy}) for index, accuracy in ((1, 0.75), (2, 0.5))]
    text = page_of(record(0, metrics=teacher), *students).html({})
    assert re.findall(r"over the first teacher</dt>\s*<dd>([^<]*)<", text) == gain


def test_the_table_has_a_row_for_each_round_and_no_empty_column():
    records = [
        record(0, metrics={"val_accuracy": 0.5}, seconds=0.0),
        record(1, metrics={"val_accuracy": 0.75}, gain=0.25, num_annotated=2000, num_kept=1500, is_promoted=False),
    ]
    columns, rows = overview_table(records, "val_accuracy")
    assert columns == ["round", "val_accuracy", "gain", "kept", "parameters", "promoted", "time"]
    assert rows == [
        ["0 (teacher)", "0.5000", "", "", "10", "yes", ""],
        ["1", "0.7500", "+0.2500", "1,500 of 2,000", "10", "no", "1 min 1 s"],
    ]


def test_a_page_shows_rounds_settings_and_versions_and_escapes_what_it_shows():
    text = page_of(record(0), record(1, metrics={"accuracy": 0.5})).html({"strategy": "none"})
    assert re.findall(r"<button[^>]*>([^<]*)<", text) == ["Overview", "Teacher", "Student 1", "Settings"]
    assert "1 of 3 students trained, in runs/&lt;b&gt;" in text
    assert "<dd>&lt;i&gt;</dd>" in text
    assert "<dd>2 layers, described in settings.json of the round</dd>" in text
    for name in ("seed", "strategy", "tensorflow", "keras", "numpy", "keras_noisy_student", "python"):
        assert f"<dt>{name}</dt>" in text
    assert html.escape(str(record(0))) in text


def test_a_page_asks_for_nothing():
    text = page_of(record(0, metrics={"val_accuracy": 0.5}, epochs={"loss": [2.0, 1.0]})).html({})
    assert "default-src 'none'" in text
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert "@import" not in text
    assert text.count("<svg") == 2


def test_a_subclass_adds_a_section():
    class WithNotes(kns.report.Report):
        def sections(self, evidence):
            return [*super().sections(evidence), kns.report.Section("Notes & more", "<b>bold</b>")]

    assert "<h3>Notes &amp; more</h3>\n<b>bold</b>" in page_of(record(0), report=WithNotes()).html({})


def test_a_page_is_written_atomically(tmp_path):
    path = tmp_path / "report.html"
    page = page_of(record(0))
    page.write(str(path), {})
    before = path.read_text()
    assert before.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert sorted(each.name for each in tmp_path.iterdir()) == ["report.html"]
    with pytest.raises(OSError, match=r"report.html could not be written"):
        page.write(str(tmp_path / "absent" / "report.html"), {})
