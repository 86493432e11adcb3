"""Whole runs whose pseudo-labels are corrected: against NumPy, stopped and started again, and refused."""

import json
import pathlib
import shutil

import keras
import numpy as np
import pytest

import keras_noisy_student as kns
from keras_noisy_student import pseudo_label_steps
from keras_noisy_student.pseudo_labels.correction import HeldOut
from keras_noisy_student.pseudo_labels.temperature_scaling import best_temperature
from keras_noisy_student.storage.json_files import read_json, write_json
from tests.damage import delete, flip
from tests.pseudo_labels.test_calibration import reference as calibration_error
from tests.pseudo_labels.test_temperature_scaling import negative_log_likelihood
from tests.recording_trainer import RecordingTrainer
from tests.test_resume import pseudo_labels
from tests.toy_data import NUM_CLASSES, NUM_FEATURES, all_columns, features, labels

Y = labels(93)
X = features(93) + 1.5 * np.eye(NUM_CLASSES, NUM_FEATURES, dtype="float32")[Y]
LABELED, POOL, VALIDATION = (X[:15], Y[:15]), X[15:48], (X[48:], Y[48:])
BOTH = [kns.TemperatureScaling(), kns.DistributionAlignment()]
THRESHOLD = 0.6


class Recording(RecordingTrainer):
    """Remembers the teacher that a student was made for, too."""

    def make_student(self, teacher, data, settings):
        self.given_teacher = None if teacher is None else teacher.network
        self.student = super().make_student(teacher, data, settings)
        return self.student


class DiesBeforeTrainingTheStudent(Recording):
    def train(self, student, batches, data, settings, *, checkpoint):
        if settings.index > 0:
            raise KeyboardInterrupt
        return super().train(student, batches, data, settings, checkpoint=checkpoint)


def make_trainer(directory, *, trainer_class=Recording, **rules):
    """The pseudo-labelling of a round is that of all, or the next one of a list."""
    trainer = trainer_class(
        lambda round_index: keras.Sequential(
            [keras.Input((NUM_FEATURES,)), keras.layers.Dense(NUM_CLASSES, "softmax")]
        ),
        kns.Classification(NUM_CLASSES),
        pseudo_labeling=lambda round_index: kns.PseudoLabeling(
            **{n: v[max(0, round_index - 1)] if n == "annotate" else v for n, v in rules.items()}
        ),
        directory=str(directory),
    )
    trainer.compile(keras.optimizers.Adam(0.2))
    return trainer


def fit(trainer, num_rounds=1, *, validation_data=VALIDATION):
    settings = {"batch_size": 5, "epochs": 1, "steps_per_epoch": 8, "verbose": 0}
    return trainer.fit_rounds(LABELED, POOL, num_rounds=num_rounds, validation_data=validation_data, **settings)


def copy_rounds(directory, target, num_rounds):
    """Makes of another directory one in which the first rounds of a run are finished, and nothing else was begun."""
    for name in ("run.json", *(f"round_{index:02d}" for index in range(num_rounds))):
        source = pathlib.Path(directory, name)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target / name)


def reference_corrections(teacher, pool=POOL):
    """From probabilities to those that are corrected by both: the best of many temperatures, then the ratio."""
    held_out = HeldOut(teacher(VALIDATION[0]).numpy(), VALIDATION[1])
    grid = np.exp(np.linspace(np.log(1 / 20), np.log(20), 8001))
    temperature = grid[np.argmin([negative_log_likelihood(held_out, each) for each in grid])]
    scaled = teacher(pool).numpy().astype("float64") ** (1 / temperature)
    pool_mean = (scaled / scaled.sum(axis=-1, keepdims=True)).mean(axis=0)
    frequencies = np.bincount(LABELED[1]) / len(LABELED[1])

    def correct(probabilities):
        corrected = probabilities.astype("float64") ** (1 / temperature) * frequencies / pool_mean
        return corrected / corrected.sum(axis=-1, keepdims=True)

    return correct


def errors_of(teacher, correct):
    """The calibration errors before and after the corrections."""
    raw = teacher(VALIDATION[0]).numpy()
    return [
        calibration_error(probabilities.max(axis=-1), probabilities.argmax(axis=-1) == VALIDATION[1], 15)
        for probabilities in (raw, correct(raw))
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two rounds in which both corrections come before a threshold; the second labels again what was kept."""
    rules = {"corrections": BOTH, "confidence_threshold": THRESHOLD, "annotate": ("stored", "kept")}
    trainer = make_trainer(tmp_path_factory.mktemp("whole"), **rules)
    trainer.rules, trainer.history = rules, fit(trainer, num_rounds=2)
    return trainer


def test_selection_sees_corrected_confidences_and_classes(finished):
    stored, selection = finished.selections[1]
    teacher = finished.teachers[1]
    raw, corrected = teacher(POOL).numpy(), reference_corrections(teacher)(teacher(POOL).numpy())
    columns = all_columns(stored)
    np.testing.assert_allclose(columns["score"], corrected.max(axis=-1), atol=2e-3)
    np.testing.assert_array_equal(columns["class_id"], corrected.argmax(axis=-1))
    np.testing.assert_array_equal(selection.repeats, corrected.max(axis=-1) > THRESHOLD)
    np.testing.assert_array_equal(selection.class_counts, np.bincount(corrected.argmax(axis=-1)))
    assert ((raw.max(axis=-1) > THRESHOLD) != (corrected.max(axis=-1) > THRESHOLD)).any()


def test_a_student_learns_from_corrected_targets(finished):
    stored, selection = finished.selections[2]
    teacher = finished.teachers[2]
    kept = np.flatnonzero(finished.selections[1][1].repeats)
    assert len(stored) == len(kept) == finished.history[2].num_annotated
    seen = [part for _, part in finished.batches.take(20)]
    rows = np.concatenate([part.row for part in seen])
    np.testing.assert_array_equal(np.unique(rows), kept[selection.repeats > 0])
    expected = reference_corrections(teacher, POOL[kept])(teacher(POOL[rows]).numpy())
    np.testing.assert_allclose(np.concatenate([part.y for part in seen]), expected, atol=2e-3)


def test_the_record_tells_the_calibration_error_before_and_after(finished):
    teacher, record = finished.teachers[1], finished.history[1]
    before, after = errors_of(teacher, reference_corrections(teacher))
    assert record.calibration_error == pytest.approx(before, abs=1e-5)
    assert record.corrected_calibration_error == pytest.approx(after, abs=1e-3)
    assert f"calibration error of the teacher {before:.4f} -> {record.corrected_calibration_error:.4f}" in str(record)
    assert finished.history[0].calibration_error is None


def test_the_store_stays_as_the_teacher_labelled_it(finished, tmp_path):
    copy_rounds(finished.directory, tmp_path, 1)
    with pytest.raises(KeyboardInterrupt):
        fit(make_trainer(tmp_path, trainer_class=DiesBeforeTrainingTheStudent))
    of_round_1 = {n: b for n, b in pseudo_labels(pathlib.Path(finished.directory)).items() if "round_01" in n}
    assert pseudo_labels(tmp_path) == of_round_1


def test_a_run_that_is_started_again_ends_the_same(finished, tmp_path):
    copy_rounds(finished.directory, tmp_path, 1)
    with pytest.raises(KeyboardInterrupt):
        fit(make_trainer(tmp_path, trainer_class=DiesBeforeTrainingTheStudent, **finished.rules))
    fit(make_trainer(tmp_path, **finished.rules))
    again = make_trainer(tmp_path, **finished.rules)
    history = fit(again, num_rounds=2)
    for weight, expected in zip(again.model.get_weights(), finished.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)
    names = ("calibration_error", "corrected_calibration_error", "num_kept", "mean_confidence")
    for name in names:
        assert history.to_dict()[name] == finished.history.to_dict()[name]


def test_a_round_that_follows_cannot_go_without_the_corrections_of_the_one_before(finished, tmp_path):
    copy_rounds(finished.directory, tmp_path, 2)
    delete(tmp_path / "round_01/corrections.json")
    message = (
        r'corrections\.json is missing.* With annotate="kept", round 2 needs it to tell what the selection of round 1 '
        r"kept\. Put it back as it was, or delete the directory of round 1"
    )
    with pytest.raises(ValueError, match=message):
        fit(make_trainer(tmp_path, **finished.rules), num_rounds=2)


def test_corrections_that_were_fitted_before_a_stop_are_taken_or_made_good(finished, tmp_path):
    copy_rounds(finished.directory, tmp_path, 1)
    path = tmp_path / "round_01/corrections.json"

    def start(corrections=tuple(BOTH), trainer_class=DiesBeforeTrainingTheStudent):
        with pytest.raises(KeyboardInterrupt):
            fit(make_trainer(tmp_path, trainer_class=trainer_class, corrections=corrections))
        return path.read_bytes(), path.stat().st_mtime_ns

    first = start()
    assert start() == first
    flip(path)
    with pytest.warns(UserWarning, match=r"corrections\.json is damaged.* It is fitted again\."):
        assert start()[0] == first[0]
    aligned, _ = start(corrections=(kns.DistributionAlignment(),))
    assert json.loads(aligned)["content"]["fitted"]["power"] == 1


def test_a_finished_round_with_other_corrections_is_another_run(finished, tmp_path):
    copy_rounds(finished.directory, tmp_path, 2)
    with pytest.raises(ValueError, match=r"holds another run\..*\n  pseudo_labeling\.corrections: .*Temperature.* now"):
        fit(make_trainer(tmp_path, **finished.rules | {"corrections": BOTH[1:]}))


def test_hard_labels_are_corrected_classes(tmp_path):
    rules = {"corrections": [kns.DistributionAlignment()], "labels": "hard"}
    trainer = make_trainer(tmp_path, trainer_class=DiesBeforeTrainingTheStudent, **rules)
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, validation_data=None)
    raw = trainer.teachers[1](POOL).numpy()
    expected = (raw / raw.mean(axis=0)).argmax(axis=-1)
    assert (expected != raw.argmax(axis=-1)).any()
    for _, part in trainer.batches.take(20):
        np.testing.assert_array_equal(part.y, expected[part.row])


@pytest.fixture(scope="module")
def online(finished, tmp_path_factory):
    """A run with online annotation that was stopped when the temperature was fitted, and has gone on with it."""
    directory = tmp_path_factory.mktemp("online")
    copy_rounds(finished.directory, directory, 1)
    rules = {"corrections": BOTH[:1], "annotate": ("online",), "confidence_threshold": THRESHOLD}
    with pytest.raises(KeyboardInterrupt):
        fit(make_trainer(directory, trainer_class=DiesBeforeTrainingTheStudent, **rules))
    trainer = make_trainer(directory, **rules)
    trainer.rules = rules
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pseudo_label_steps, "fit_round", None)
        trainer.history = fit(trainer)
    return trainer


def test_online_the_temperature_works_inside_the_step(online):
    trainer, record, teacher = online, online.history[1], online.given_teacher
    power = 1 / best_temperature(HeldOut(teacher(VALIDATION[0]).numpy(), VALIDATION[1]))
    powers = teacher(POOL).numpy().astype("float64") ** power
    expected = powers / powers.sum(axis=-1, keepdims=True)
    targets, weights = trainer.student._online_teacher(POOL)
    np.testing.assert_allclose(targets, expected, rtol=1e-4)
    np.testing.assert_array_equal(weights, expected.max(axis=-1) > THRESHOLD)
    assert record.calibration_error != record.corrected_calibration_error
    written = json.loads(pathlib.Path(trainer.directory, "round_01/corrections.json").read_text())
    assert written["content"]["fitted"]["power"] == pytest.approx(power, rel=1e-6)


def test_online_nothing_is_fitted_for_a_finished_round_nor_before_a_run_is_known_to_be_the_same(online, monkeypatch):
    monkeypatch.setattr(pseudo_label_steps, "fit_round", None)
    again = fit(make_trainer(online.directory, **online.rules))
    assert again.to_dict() == online.history.to_dict()
    with pytest.raises(ValueError, match=r"pseudo_labeling\.confidence_threshold: 0\.6 there, 0\.5 now"):
        fit(make_trainer(online.directory, **online.rules | {"confidence_threshold": 0.5}))


def test_online_corrections_that_were_fitted_to_others_are_fitted_again(online, tmp_path):
    copied = shutil.copytree(online.directory, tmp_path / "copied")
    path = copied / "round_01/corrections.json"
    (copied / "round_01/record.json").unlink()
    expected, content = path.read_text(), read_json(str(path))
    write_json(str(path), {**content, "origin": "another teacher", "fitted": content["fitted"] | {"power": 7.0}})
    with pytest.raises(KeyboardInterrupt):
        fit(make_trainer(copied, trainer_class=DiesBeforeTrainingTheStudent, **online.rules))
    assert path.read_text() == expected


def test_a_temperature_without_held_out_data_is_refused_before_anything_is_trained(tmp_path):
    message = (
        r"TemperatureScaling is fitted to held-out labelled data\. Received: validation_data=None, pseudo_labeling="
        r"PseudoLabeling\(.*corrections=\(TemperatureScaling\(\), DistributionAlignment\(\)\).* in round 1\. Pass "
        r"`validation_data` to `fit_rounds`"
    )
    with pytest.raises(ValueError, match=message):
        fit(make_trainer(tmp_path, corrections=BOTH), validation_data=None)
    assert list(tmp_path.iterdir()) == []


def test_a_selection_cannot_be_made_beforehand_by_corrections_that_are_not_fitted(finished, tmp_path):
    copy_rounds(finished.directory, tmp_path, 1)
    trainer = make_trainer(tmp_path, corrections=BOTH)
    fit(trainer, num_rounds=0)
    message = r"Only a round in which nothing is fitted can be selected beforehand\. .* in round 1\. Leave its"
    with pytest.raises(ValueError, match=message):
        trainer.next_selection_rules()
