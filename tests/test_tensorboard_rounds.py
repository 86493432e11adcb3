import importlib.util

import keras
import numpy as np
import pytest

from keras_noisy_student.callback_state import check_callbacks
from keras_noisy_student.history import RoundRecord
from keras_noisy_student.pseudo_labels.score_histogram import ScoreHistogram
from keras_noisy_student.tensorboard_rounds import epochs_apart, log_dirs, write_round
from tests.tensorboard_events import read_events


def test_scores_and_classes_become_histograms(tmp_path):
    pytest.importorskip("tensorboard")
    record = RoundRecord(
        1, num_parameters=15, metrics={}, epochs={}, class_counts=[3, 0, 2], selected_class_counts=[2, 0, 4]
    )
    scores = ScoreHistogram(np.array([0, 0.5, 1]), kept=np.array([0, 3]), dropped=np.array([1, 1]))
    write_round(str(tmp_path), record, scores)
    events = read_events(tmp_path / "rounds")
    np.testing.assert_array_equal(events["pseudo_labels/confidence"][1], [[0, 0.5, 1], [0.5, 1, 4]])
    np.testing.assert_array_equal(events["pseudo_labels/kept_confidence"][1], [[0, 0.5, 0], [0.5, 1, 3]])
    np.testing.assert_array_equal(events["pseudo_labels/class"][1][:, 2], [3, 0, 2])
    np.testing.assert_array_equal(events["pseudo_labels/selected_class"][1][:, 2], [2, 0, 4])


def test_only_tensorboards_write_apart_and_only_for_the_time(tmp_path):
    shared = keras.callbacks.TensorBoard(tmp_path / "logs")
    callbacks = [keras.callbacks.CSVLogger("x.csv"), shared]
    assert log_dirs(callbacks) == [str(tmp_path / "logs")]
    with pytest.raises(KeyboardInterrupt), epochs_apart(callbacks, 3):
        assert log_dirs(callbacks) == [str(tmp_path / "logs" / "round_3")]
        raise KeyboardInterrupt
    assert log_dirs(callbacks) == [str(tmp_path / "logs")]


def test_a_round_without_stored_pseudo_labels_has_no_histograms(tmp_path):
    pytest.importorskip("tensorboard")
    record = RoundRecord(2, num_parameters=15, metrics={"val_accuracy": 0.5}, epochs={"loss": [1.0]})
    write_round(str(tmp_path), record, None)
    events = read_events(tmp_path / "rounds")
    assert events["round/val_accuracy"] == {2: 0.5}
    assert all(tag.startswith("round/") for tag in events)
    assert "round/mean_confidence" not in events


def test_a_missing_tensorboard_is_said_before_training(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    check_callbacks([keras.callbacks.History()])
    with pytest.raises(ImportError, match=r"TensorBoard needs tensorboard: pip install tensorboard\."):
        check_callbacks([keras.callbacks.TensorBoard("logs")])
