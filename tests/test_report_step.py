"""The report of whole runs: it is written, changes nothing, and stops nothing."""

import json
import pathlib
import re
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.noise import seeds
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.report_step import ReportStep
from tests.speech.toy_utterances import LONGEST, VOCABULARY, utterances
from tests.speech.toy_utterances import network as speech_network
from tests.toy_data import all_columns, features, labels, network

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

SIZE = (6, 6, 1)


def images(num, seed, size=SIZE):
    """Three kinds of images, told apart by where they are bright."""
    y = (np.arange(num) % 3).astype("int32")
    x = np.random.default_rng(seed).normal(60, 20, (num, *size))
    for row, label in enumerate(y):
        x[row, ..., 2 * label : 2 * label + 2, :, :] += 90
    return x.clip(0, 255).astype("uint8"), y


LABELED, VALIDATION, (POOL, POOL_LABELS) = images(30, 0), images(30, 1), images(48, 2)


def classifier(size=SIZE):
    return keras.Sequential(
        [
            keras.Input(size),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(3, "softmax"),
        ]
    )


def brighten(x, noise_seed):
    levels = 40 * seeds.uniform(noise_seed, 1)
    return tf.cast(x, tf.float32) + tf.reshape(levels, [-1] + [1] * (len(x.shape) - 1))


class Reporting(kns.NoisyStudentTrainer):
    report = kns.report.Report(num_examples=3, num_searched=20, num_noised=2, num_draws=1)


def run(directory, *, trainer=Reporting, noise=None, labeling=None, student=None, teacher=None, **arguments):
    made = trainer(
        student or (lambda round_index: classifier()),
        kns.Classification(num_classes=3, class_names=["cat", "dog", "<emu>"]),
        kns.Noise(brighten) if noise is None else noise,
        kns.PseudoLabeling(confidence_threshold=0.4) if labeling is None else labeling,
        teacher=teacher,
        directory=str(directory),
    )
    made.compile(keras.optimizers.Adam(0.05), metrics=["accuracy"])
    settings = {"num_rounds": 1, "batch_size": 10, "epochs": 2, "validation_data": VALIDATION, "verbose": 0}
    unlabeled = arguments.pop("unlabeled", POOL)
    history = made.fit_rounds(arguments.pop("labeled", LABELED), unlabeled, **settings | arguments)
    return made, history


def page(directory):
    return (pathlib.Path(directory) / "report.html").read_text()


def headings(text, panel):
    (part,) = [part for part in text.split('<section class="panel"')[1:] if f'id="{panel}"' in part.partition(">")[0]]
    return re.findall(r"<h[34]>(.*?)</h[34]>", part)


def weights(trainer):
    return trainer.model.get_weights()


def test_a_trainer_writes_a_report_unless_it_is_told_not_to(tmp_path):
    assert ReportStep.report == kns.report.Report()
    assert kns.NoisyStudentTrainer.report is None, "the tests switch it off"
    run(tmp_path, trainer=kns.NoisyStudentTrainer, num_rounds=0)
    assert not (tmp_path / "report.html").exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    return (directory, *run(directory, audit_labels=POOL_LABELS))


def test_every_round_is_shown(finished):
    directory, _, history = finished
    text = page(directory)
    assert headings(text, "round-0") == ["Training", "Calibration", "Input noise"]
    galleries = [h for h in headings(text, "round-1") if h not in ("Dropped", "Most confident mistakes")]
    assert galleries == [
        *["Training", "Pseudo-labels", "Calibration", "Examples of the pool", "Kept", "Least certain"],
        "Input noise",
    ]
    assert "1 of 1 students trained" in text
    assert str(history[1]) in text
    assert "&lt;emu&gt;" in text
    assert "<emu>" not in text
    assert "Chosen from the first 20 examples" in text


def test_audit_labels_are_compared_with_the_pseudo_labels(finished):
    directory, _, history = finished
    rows = all_columns(PseudoLabels(str(directory / "round_01" / "pseudo_labels")))
    is_right = rows["class_id"] == POOL_LABELS
    record = history[1]
    assert record.pseudo_label_accuracy == np.mean(is_right)
    assert record.kept_pseudo_label_accuracy == np.mean(is_right[rows["score"] > 0.4])
    assert history[0].pseudo_label_accuracy is None
    written = json.loads((directory / "round_01" / "record.json").read_text())["content"]["record"]
    assert written["kept_pseudo_label_accuracy"] == record.kept_pseudo_label_accuracy
    assert (
        f"right pseudo-labels {record.pseudo_label_accuracy:.4f}, of those kept "
        f"{record.kept_pseudo_label_accuracy:.4f}" in str(record)
    )


def test_the_run_is_the_same_without_a_report_and_without_audit_labels(finished, tmp_path):
    other, history = run(tmp_path, trainer=kns.NoisyStudentTrainer)
    for one, two in zip(weights(other), weights(finished[1]), strict=True):
        np.testing.assert_array_equal(one, two)
    assert history[1].epochs == finished[2][1].epochs
    assert history[1].pseudo_label_accuracy is None


def test_noise_with_a_random_state_is_the_same_without_a_report(tmp_path):
    def trained(name, trainer):
        noise = kns.Noise(keras.layers.RandomTranslation(0.2, 0.2, seed=1))
        return run(tmp_path / name, trainer=trainer, noise=noise, epochs=1)[0]

    for one, two in zip(
        weights(trained("with", Reporting)), weights(trained("without", kns.NoisyStudentTrainer)), strict=True
    ):
        np.testing.assert_array_equal(one, two)


def test_a_finished_run_is_reported_again_with_or_without_audit_labels(finished, tmp_path):
    directory = tmp_path / "run"
    shutil.copytree(finished[0], directory)
    (directory / "report.html").unlink()
    _, again = run(directory)
    audited = headings(page(finished[0]), "round-1")
    assert headings(page(directory), "round-1") == [title for title in audited if title != "Most confident mistakes"]
    assert again[1] == finished[2][1], "what was recorded with audit labels stays"


def test_audit_labels_that_come_late_judge_what_was_stored(finished, tmp_path):
    _, first = run(tmp_path)
    assert first[1].kept_pseudo_label_accuracy is None
    _, again = run(tmp_path, audit_labels=POOL_LABELS)
    assert again[1].kept_pseudo_label_accuracy == finished[2][1].kept_pseudo_label_accuracy
    assert "of these are right" in page(tmp_path)


def test_a_store_that_was_removed_is_missing_in_the_report_alone(finished, tmp_path, capsys):
    directory = tmp_path / "run"
    shutil.copytree(finished[0], directory)
    shutil.rmtree(directory / "round_01" / "pseudo_labels")
    _, again = run(directory, audit_labels=POOL_LABELS, verbose=2)
    assert again[1] == finished[2][1]
    assert "Round 1: its pseudo-labels cannot be shown or audited again" in capsys.readouterr().out
    assert "Examples of the pool" not in headings(page(directory), "round-1")


def test_what_fails_in_drawing_is_a_warning_and_the_run_goes_on(tmp_path):
    class Failing(kns.report.Report):
        def sections(self, evidence):
            if evidence.record.round_index == 0:
                raise RuntimeError("no ink")
            return super().sections(evidence)

    class FailingTrainer(Reporting):
        report = Failing()

    with pytest.warns(UserWarning, match=r"Round 0 is missing in report.html: RuntimeError: no ink The run goes on."):
        _, history = run(tmp_path, trainer=FailingTrainer)
    assert len(history) == 2
    assert re.findall(r"<button[^>]*>([^<]*)<", page(tmp_path)) == ["Overview", "Student 1", "Settings"]


def test_a_page_that_cannot_be_written_is_a_warning(tmp_path):
    (tmp_path / "report.html.tmp").mkdir(parents=True)
    (tmp_path / "report.html.tmp" / "file").touch()
    with pytest.warns(UserWarning, match="Round 0 is missing in report.html: OSError: .*could not be written"):
        _, history = run(tmp_path, num_rounds=0)
    assert len(history) == 1


@pytest.mark.parametrize("verbose", [0, 2])
def test_without_the_packages_a_run_says_once_how_to_get_them(tmp_path, monkeypatch, capsys, verbose):
    monkeypatch.setattr("keras_noisy_student.report_step.missing_packages", lambda: ["jinja2", "matplotlib"])
    _, history = run(tmp_path, verbose=verbose)
    assert len(history) == 2
    assert not (tmp_path / "report.html").exists()
    told = (
        'There will be no report.html, which needs jinja2 and matplotlib: pip install "keras-noisy-student[report]"\n'
    )
    assert capsys.readouterr().out.count(told) == (verbose > 0)


@pytest.mark.slow
def test_a_given_teacher_and_an_online_one_are_shown_without_what_they_lack(tmp_path):
    teacher = classifier()
    teacher.compile(keras.optimizers.Adam(0.02), loss="sparse_categorical_crossentropy")
    teacher.fit(*LABELED, epochs=20, verbose=0)
    run(tmp_path, teacher=teacher, labeling=kns.PseudoLabeling(annotate="online"), noise=kns.Noise())
    assert headings(page(tmp_path), "round-0") == ["Calibration"]
    assert headings(page(tmp_path), "round-1") == ["Training", "Calibration"]


def test_without_validation_data_there_is_no_calibration(tmp_path):
    run(tmp_path, num_rounds=0, validation_data=None)
    assert headings(page(tmp_path), "round-0") == ["Training", "Input noise"]


def test_vectors_have_no_pictures_and_everything_else(tmp_path):
    labeled, pool = (features(30), labels(30)), features(40, seed=1)
    run(
        tmp_path,
        labeled=labeled,
        unlabeled=pool,
        validation_data=labeled,
        student=lambda round_index: network(),
        noise=kns.Noise(keras.layers.GaussianNoise(0.1)),
        labeling=kns.PseudoLabeling(),
    )
    assert headings(page(tmp_path), "round-1") == ["Training", "Pseudo-labels", "Calibration"]


@pytest.mark.slow
def test_clips_are_shown(tmp_path):
    size = (4, *SIZE)
    labeled, (pool, _) = images(30, 0, size), images(24, 1, size)
    run(
        tmp_path,
        labeled=labeled,
        unlabeled=pool,
        validation_data=labeled,
        student=lambda round_index: classifier(size),
        labeling=kns.PseudoLabeling(),
    )
    assert headings(page(tmp_path), "round-1")[-3:] == ["Kept", "Least certain", "Input noise"]
    assert page(tmp_path).count("data:image/png") == 2 * 2 * 2 + 2 * 3


@pytest.mark.slow
def test_transcripts_are_shown_with_their_features(tmp_path):
    trainer = Reporting(
        lambda round_index: speech_network(),
        kns.Transcription(VOCABULARY, max_tokens=LONGEST),
        directory=str(tmp_path),
        noise=kns.Noise(kns.SpecAugment(time_masks=kns.FeatureMasks(1, max_width=2))),
    )
    trainer.compile(keras.optimizers.Adam(2e-2), jit_compile=False)
    held_out = utterances(8, seed=2)
    trainer.fit_rounds(
        utterances(24, seed=0),
        utterances(30, seed=1)[0],
        num_rounds=1,
        batch_size=8,
        steps_per_epoch=60,
        validation_data=held_out,
        verbose=0,
    )
    found = headings(page(tmp_path), "round-1")
    assert found[:3] == ["Training", "Pseudo-labels", "Examples of the pool"]
    assert found[-1] == "Input noise"
    assert re.search(r"pseudo-label [abc]{1,4}, score -", page(tmp_path))


@pytest.mark.slow
def test_a_relabelled_pool_is_audited_row_by_row(tmp_path):
    class Recording(kns.NoisyStudentTrainer):
        def select(self, pseudo_labels, settings):
            selection = super().select(pseudo_labels, settings)
            repeats = np.where(np.arange(len(selection.repeats)) % 3 == 1, 0, selection.repeats)
            self.seen = {**getattr(self, "seen", {}), settings.index: np.concatenate(list(pseudo_labels.columns))}
            return selection.with_repeats(repeats, pseudo_labels.columns)

    def labeling(round_index):
        return kns.PseudoLabeling(annotate="kept" if round_index == 2 else "stored")

    trainer, history = run(tmp_path, trainer=Recording, labeling=labeling, num_rounds=2, audit_labels=POOL_LABELS)
    kept = POOL_LABELS[np.arange(48) % 3 != 1]
    assert [record.num_annotated for record in history] == [0, 48, 32]
    assert history[1].pseudo_label_accuracy == np.mean(trainer.seen[1]["class_id"] == POOL_LABELS)
    assert history[2].pseudo_label_accuracy == np.mean(trainer.seen[2]["class_id"] == kept)
    is_kept = np.arange(32) % 3 != 1
    assert history[2].kept_pseudo_label_accuracy == np.mean((trainer.seen[2]["class_id"] == kept)[is_kept])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["stream", "list", "function"])
def test_audit_labels_follow_the_order_of_the_pool_whatever_holds_it(tmp_path, kind):
    def shard(num_shards, index):
        return tf.data.Dataset.from_tensor_slices(POOL[index::num_shards])

    halves = [POOL[:20], tf.data.Dataset.from_tensor_slices(POOL[20:])]
    by_shards = np.concatenate([POOL_LABELS[index::4] for index in range(4)])
    unlabeled, audit_labels = {
        "stream": (tf.data.Dataset.from_tensor_slices(POOL), POOL_LABELS),
        "list": (halves, POOL_LABELS),
        "function": (shard, by_shards),
    }[kind]

    class Sharded(kns.NoisyStudentTrainer):
        pool_shards = 4

    _, history = run(
        tmp_path,
        trainer=Sharded,
        unlabeled=unlabeled,
        audit_labels=audit_labels,
        labeling=kns.PseudoLabeling(confidence_threshold=0.4),
        epochs=8,
    )
    assert history[1].kept_pseudo_label_accuracy > 0.9


def test_a_length_that_is_known_late_is_checked_before_a_student_is_trained(tmp_path):
    pool = tf.data.Dataset.from_tensor_slices(POOL).filter(lambda x: True)
    with pytest.raises(ValueError, match=r"one for each example of the unlabelled pool, 48, .* Received: 47 labels"):
        run(tmp_path, unlabeled=pool, audit_labels=POOL_LABELS[:-1])
    assert not (tmp_path / "round_01" / "checkpoints").exists()


def test_audit_labels_that_would_judge_nothing_are_refused(tmp_path):
    message = r'online annotation stores none. Received: `audit_labels`, annotate="online" in every round.'
    with pytest.raises(ValueError, match=message):
        run(tmp_path, labeling=kns.PseudoLabeling(annotate="online"), audit_labels=POOL_LABELS)
    with pytest.raises(ValueError, match=r"`unlabeled` is needed to train students. Received: unlabeled=None"):
        run(tmp_path, unlabeled=None, audit_labels=POOL_LABELS, num_rounds=0)
