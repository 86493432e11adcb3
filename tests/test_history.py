import builtins
import dataclasses
import json
import xml.etree.ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from keras_noisy_student.history import RoundRecord, RoundsHistory
from keras_noisy_student.pseudo_labels.fitted_corrections import FittedCorrections
from keras_noisy_student.pseudo_labels.selection import Selection
from tests.toy_data import network

SELECTION = Selection(
    repeats=np.int32([0, 1, 3, 1]),
    class_counts=np.array([2, 1, 1]),
    selected_class_counts=np.array([1, 3, 1]),
    mean_confidence=0.625,
)
METRICS = {"loss": 1.0, "val_accuracy": 0.8}
EPOCHS = {"loss": [2.0, 1.0], "val_accuracy": [0.5, 0.75]}


def _record(round_index, *, selection=None, **metrics):
    epochs = {name: [value] for name, value in metrics.items()}
    record = RoundRecord.of(round_index, network(), epochs, selection, metrics=metrics)
    return dataclasses.replace(record, seconds=2.6)


def _history():
    return RoundsHistory(
        [
            _record(0, accuracy=0.5, val_accuracy=0.4),
            _record(1, accuracy=0.6, val_accuracy=0.5, selection=SELECTION),
            _record(2, accuracy=0.8, val_accuracy=0.7, selection=SELECTION, pseudo_labeled_loss=1.5),
        ]
    )


def test_a_record_takes_the_figures_of_the_selection_and_the_metrics_it_is_given():
    record = RoundRecord.of(2, network(), EPOCHS, SELECTION, metrics=METRICS)
    assert record == RoundRecord(
        round_index=2,
        num_parameters=15,
        metrics=METRICS,
        epochs=EPOCHS,
        num_annotated=4,
        num_kept=3,
        num_selected=5,
        class_counts=[2, 1, 1],
        selected_class_counts=[1, 3, 1],
        mean_confidence=0.625,
    )


def test_a_record_without_a_selection_has_no_figures_of_one():
    record = RoundRecord.of(0, network(), EPOCHS, None, metrics=METRICS)
    assert (record.num_annotated, record.num_kept, record.num_selected, record.mean_confidence) == (0, 0, 0, None)
    assert record.class_counts == record.selected_class_counts == []


def test_a_record_survives_json():
    record = RoundRecord.of(2, network(), EPOCHS, SELECTION, metrics=METRICS)
    assert RoundRecord(**json.loads(json.dumps(vars(record)))) == record


def test_a_record_prints_as_one_line():
    assert [str(record) for record in _history()] == [
        "Round 0 (teacher): val_accuracy 0.4000 [3 s]",
        "Round 1 (student 1): kept 3 of 4 pseudo-labels, val_accuracy 0.5000 [3 s]",
        "Round 2 (student 2): kept 3 of 4 pseudo-labels, val_accuracy 0.7000 [3 s]",
    ]


def test_a_record_tells_the_calibration_error_of_a_corrected_teacher():
    fitted = FittedCorrections(0.5, [], calibration_error=0.125, corrected_calibration_error=0.0625)
    record = RoundRecord.of(1, network(), EPOCHS, SELECTION, metrics=METRICS, fitted=fitted)
    assert (record.calibration_error, record.corrected_calibration_error) == (0.125, 0.0625)
    assert str(record).endswith(", val_accuracy 0.8000, calibration error of the teacher 0.1250 -> 0.0625 [0 s]")


def test_without_validation_data_a_record_prints_the_metrics_of_the_training():
    assert str(_record(1, loss=1.5, accuracy=0.25)) == "Round 1 (student 1): loss 1.5000, accuracy 0.2500 [3 s]"


def test_a_given_teacher_that_was_not_evaluated_prints_its_time_alone():
    assert str(RoundRecord(round_index=0, num_parameters=15, metrics={}, epochs={})) == "Round 0 (teacher): [0 s]"


def test_a_history_is_a_sequence_of_records_that_prints_a_line_for_each():
    history = _history()
    assert len(history) == 3
    assert [record.round_index for record in history] == [0, 1, 2]
    assert history[-1].round_index == 2
    assert repr(history).splitlines() == [str(record) for record in history]


def test_a_notebook_shows_a_history_as_a_table():
    record = _record(1, selection=SELECTION, **{"accuracy": 0.6, "val_accuracy": 0.5, "val_<b>&": 0.25})
    table = xml.etree.ElementTree.fromstring(RoundsHistory([_record(0, val_accuracy=0.4), record])._repr_html_())
    cells = [[cell.text or "" for cell in row] for row in table.iter("tr")]
    assert cells == [
        ["round", "network", "parameters", "pseudo-labels kept", "val_accuracy", "val_<b>&", "seconds"],
        ["0", "teacher", "15", "", "0.4000", "", "3"],
        ["1", "student 1", "15", "3 of 4", "0.5000", "0.2500", "3"],
    ]
    assert {cell.tag for row in table.find("thead") for cell in row} == {"th"}


def test_without_validation_data_the_table_shows_the_metrics_of_the_training():
    html = RoundsHistory([_record(0, accuracy=0.5), _record(1, val_accuracy=0.25, accuracy=0.75)])._repr_html_()
    head, *_ = xml.etree.ElementTree.fromstring(html).iter("tr")
    assert [cell.text for cell in head][4:-1] == ["accuracy", "val_accuracy"]


def test_a_history_does_not_follow_the_list_it_was_made_of():
    records = [_record(0)]
    history = RoundsHistory(records)
    records.append(_record(1))
    assert len(history) == 1


def test_to_dict_has_a_list_for_every_figure_and_metric():
    columns = _history().to_dict()
    assert columns["round_index"] == [0, 1, 2]
    assert columns["num_kept"] == [0, 3, 3]
    assert columns["mean_confidence"] == [None, 0.625, 0.625]
    assert columns["val_accuracy"] == [0.4, 0.5, 0.7]
    assert columns["pseudo_labeled_loss"] == [None, None, 1.5]
    assert "epochs" not in columns
    assert "metrics" not in columns
    assert {len(column) for column in columns.values()} == {3}


def test_to_dataframe_has_the_same_columns_by_round():
    history = _history()
    table = history.to_dataframe()
    assert table.index.name == "round_index"
    assert table.loc[2, "val_accuracy"] == 0.7
    assert set(table.columns) == set(history.to_dict()) - {"round_index"}


def _lines(axes):
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]


@pytest.mark.parametrize(
    ("metric", "drawn", "values"),
    [("accuracy", "val_accuracy", [0.4, 0.5, 0.7]), ("val_accuracy", "val_accuracy", [0.4, 0.5, 0.7])],
)
def test_plot_draws_the_validation_metric_by_round(metric, drawn, values):
    by_round, _ = _history().plot(metric)
    assert isinstance(by_round.figure, Figure)
    assert by_round.get_ylabel() == drawn
    assert by_round.get_title() == f"{drawn} by round"
    assert by_round.get_xticks().tolist() == [0, 1, 2]
    assert _lines(by_round) == [([0, 1, 2], values), ([0, 1], [0.4, 0.4])]
    assert [text.get_text() for text in by_round.texts] == ["0.4", "0.5", "0.7"]
    assert [text.get_text() for text in by_round.get_legend().get_texts()] == ["first teacher"]


def test_plot_draws_the_training_metric_where_there_was_no_validation_data():
    by_round, _ = RoundsHistory([_record(0, accuracy=0.5), _record(1, accuracy=0.75)]).plot()
    assert by_round.get_ylabel() == "accuracy"
    assert _lines(by_round)[0] == ([0, 1], [0.5, 0.75])


def test_plot_leaves_out_rounds_without_the_metric():
    by_round, _ = _history().plot("pseudo_labeled_loss")
    assert _lines(by_round) == [([2], [1.5])]
    assert by_round.get_legend() is None


def test_plot_draws_the_class_balance_of_the_last_selection():
    _, balance = _history().plot()
    annotated, selected = balance.containers
    assert [bar.get_height() for bar in annotated] == [2, 1, 1]
    assert [bar.get_height() for bar in selected] == [1, 3, 1]
    assert balance.get_title() == "Classes in round 2"
    assert [text.get_text() for text in balance.get_legend().get_texts()] == ["annotated", "selected, with copies"]


def test_plot_leaves_the_class_balance_empty_where_nothing_was_stored():
    _, balance = RoundsHistory([_record(0, accuracy=0.5)]).plot()
    assert not balance.axison
    assert not balance.containers


def test_plot_refuses_a_metric_that_no_round_has():
    message = (
        r"`metric` must be one of \['accuracy', 'pseudo_labeled_loss', 'val_accuracy'\]\. Received: metric='recall'\."
    )
    with pytest.raises(ValueError, match=message):
        _history().plot("recall")


@pytest.mark.parametrize(("method", "package"), [("to_dataframe", "pandas"), ("plot", "matplotlib")])
def test_a_missing_package_is_named_with_what_to_do(monkeypatch, method, package):
    import_module = builtins.__import__

    def import_without_package(name, *arguments, **keywords):
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return import_module(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", import_without_package)
    message = rf"`{method}` needs {package}: pip install {package}\. `to_dict` needs nothing\."
    with pytest.raises(ImportError, match=message):
        getattr(_history(), method)()
