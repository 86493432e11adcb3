"""The trainer on speech: rounds, filter, resume, export, and what it refuses."""

import math
import re
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from tests.speech.toy_utterances import LONGEST, NUM_BINS, NUM_FRAMES, VOCABULARY, network, utterances

TASK = kns.Transcription(VOCABULARY, max_tokens=LONGEST)
LABELED, HELD_OUT, TEST = utterances(24, seed=0), utterances(20, seed=2), utterances(40, seed=3)
POOL, POOL_TOKENS = utterances(50, seed=1)
NOISE = kns.Noise(
    kns.SpecAugment(frequency_masks=kns.FeatureMasks(1, max_width=1), time_masks=kns.FeatureMasks(1, max_width=2))
)


def make_trainer(directory, *, task=TASK, labeling=None, teacher=None):
    trainer = kns.NoisyStudentTrainer(
        kns.students.FromTeacher(lambda round_index: network()),
        task,
        NOISE,
        labeling or (lambda round_index: kns.TranscriptLabeling(score_cutoff=[-math.inf, 0.0, -1.0][round_index])),
        teacher=teacher,
        directory=str(directory),
        seed=0,
    )
    trainer.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    return trainer


def fit(trainer, *, labeled=LABELED, pool=POOL, num_rounds=2, validation_data=HELD_OUT, steps_per_epoch=80):
    return trainer.fit_rounds(
        labeled,
        pool,
        num_rounds=num_rounds,
        batch_size=8,
        steps_per_epoch=steps_per_epoch,
        validation_data=validation_data,
        verbose=0,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    trainer = make_trainer(tmp_path_factory.mktemp("rounds"))
    return trainer, fit(trainer)


def test_students_transcribe_utterances_that_they_have_never_heard(finished):
    trainer, history = finished
    assert trainer.evaluate(TEST, return_dict=True, verbose=0)["wer"] < 0.4
    texts = trainer.predict(TEST[0], verbose=0)
    exact = np.mean([text == VOCABULARY.decode(tokens) for text, tokens in zip(texts, TEST[1], strict=True)])
    assert exact == pytest.approx(1 - trainer.evaluate(TEST, return_dict=True, verbose=0)["wer"])
    assert [record.round_index for record in history] == [0, 1, 2]
    assert "val_wer" in history[2].metrics


def test_a_lower_cutoff_keeps_more(finished):
    _, history = finished
    assert 0 < history[1].num_kept < history[2].num_kept <= len(POOL_TOKENS)
    assert re.search(r"Round 2 \(student 2\): kept \d+ of 50 pseudo-labels, val_loss", str(history[2]))


class DiesBeforeTrainingTheStudent(kns.NoisyStudentTrainer):
    def train(self, student, batches, data, settings, **kwargs):
        if settings.index == 2:
            raise KeyboardInterrupt
        return super().train(student, batches, data, settings, **kwargs)


def test_a_run_that_was_stopped_ends_with_the_same_weights(finished, tmp_path):
    shutil.copytree(finished[0].directory, tmp_path / "run")
    round_2 = tmp_path / "run" / "round_02"
    for path in round_2.iterdir():
        if path.name not in ("settings.json", "pseudo_labels", "corrections.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    trainer = make_trainer(tmp_path / "run")
    history = fit(trainer)
    assert history[2].num_kept == finished[1][2].num_kept
    for weight, expected in zip(trainer.model.get_weights(), finished[0].model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_another_language_model_is_another_run(finished, tmp_path):
    def with_language_model(order):
        language_model = kns.speech.NGramModel(LABELED[1], vocabulary_size=3, order=order)
        settings = {"beam_width": 4, "language_model": language_model, "language_model_weight": 0.3}
        return make_trainer(
            tmp_path, task=kns.Transcription(VOCABULARY, max_tokens=LONGEST, **settings), teacher=finished[0].model
        )

    fit(with_language_model(order=2), num_rounds=1, steps_per_epoch=1)
    with pytest.raises(ValueError, match=r"task\.language_model\.order: 2 there, 3 now"):
        fit(with_language_model(order=3), num_rounds=1, steps_per_epoch=1)


def test_kept_transcripts_alone_are_transcribed_again(finished, tmp_path):
    trainer = make_trainer(
        tmp_path,
        teacher=finished[0].model,
        labeling=lambda round_index: kns.TranscriptLabeling(
            0.0, max_repeats=2, annotate="stored" if round_index < 2 else "kept"
        ),
    )
    history = fit(trainer, steps_per_epoch=20)
    assert history[2].num_annotated == history[1].num_kept < len(POOL_TOKENS)


def test_refused_transcripts_are_counted(finished, tmp_path):
    lengths = [len(text) for text in finished[0].predict(POOL, verbose=0)]
    trainer = make_trainer(tmp_path, teacher=finished[0].model, labeling=kns.TranscriptLabeling(min_tokens=3))
    (_, record) = fit(trainer, num_rounds=1, steps_per_epoch=1)
    assert record.num_refused == sum(length < 3 for length in lengths) > 0
    assert f"({record.num_refused} refused)" in str(record)
    trainer = make_trainer(tmp_path / "none", teacher=finished[0].model, labeling=kns.TranscriptLabeling(min_tokens=5))
    message = r"No pseudo-label can be kept: all 50 are empty, shorter than `min_tokens` or longer than the task's"
    with pytest.raises(ValueError, match=message):
        fit(trainer, num_rounds=1)


def test_the_exported_model_writes_text(finished, tmp_path):
    trainer, _ = finished
    trainer.export(str(tmp_path), verify=False)
    served = tf.saved_model.load(str(tmp_path))
    found = served.serve({name: tf.constant(array[:7]) for name, array in TEST[0].items()})
    expected = trainer.predict({name: array[:7] for name, array in TEST[0].items()}, verbose=0)
    assert [text.decode() for text in found["text"].numpy()] == expected.tolist()


class Bumps(keras.layers.Layer):
    """A front end: features of a raw tensor that holds them flat."""

    def call(self, flat):
        features = tf.reshape(flat, [tf.shape(flat)[0], -1, NUM_BINS])
        length = tf.reduce_sum(tf.cast(tf.reduce_any(features != 0, axis=-1), tf.int32), axis=-1)
        return {"features": features, "length": length}


def test_a_front_end_is_part_of_the_exported_model(finished, tmp_path):
    trainer, _ = finished
    spec = tf.TensorSpec([NUM_FRAMES * NUM_BINS], tf.float32)
    trainer.export(str(tmp_path), front_end=Bumps(), element_spec=spec, verify=False)
    served = tf.saved_model.load(str(tmp_path))
    found = served.serve(tf.constant(TEST[0]["features"][:7].reshape(7, -1)))["text"].numpy()
    expected = trainer.predict({name: array[:7] for name, array in TEST[0].items()}, verbose=0)
    assert [text.decode() for text in found] == expected.tolist()
    with pytest.raises(ValueError, match=r"Received: element_spec=None, and a Bumps without such an attribute. Pass"):
        trainer.export(str(tmp_path), front_end=Bumps())
    with pytest.raises(ValueError, match=r"element_spec=TensorSpec.*, front_end=None\. Pass both, or neither"):
        trainer.export(str(tmp_path), element_spec=spec)


def test_transcripts_are_what_is_selected_by_default(finished, tmp_path):
    trainer = kns.NoisyStudentTrainer(
        lambda round_index: network(), TASK, NOISE, teacher=finished[0].model, directory=str(tmp_path), seed=0
    )
    trainer.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    history = fit(trainer, num_rounds=1, validation_data=None)
    assert history[1].num_kept > 40


def relabeled(row, tokens):
    labels = LABELED[1].copy()
    labels[row] = tokens
    return LABELED[0], labels


@pytest.mark.parametrize(
    ("settings", "data", "message"),
    [
        ({}, {"labeled": relabeled(5, [3, -1, -1, -1])}, r"must not hold the blank, 3, .* in utterance 5"),
        (
            {},
            {"labeled": (LABELED[0], LABELED[1][:, :2])},
            r"of shape \(max_tokens,\) = \(4,\). Received: .*shape=\(2,\)",
        ),
        ({}, {"validation_data": None}, r"The score that `score_cutoff` cuts is fitted to held-out labelled data"),
        (
            {"labeling": kns.PseudoLabeling()},
            {},
            r"a `Transcription` are transcripts.*Pass `kns.TranscriptLabeling\(...\)`",
        ),
        (
            {"labeling": kns.PseudoLabeling(annotate="online")},
            {},
            r"a `Transcription` are transcripts.*Pass `kns.TranscriptLabeling\(...\)`",
        ),
        ({"labeling": "beam"}, {}, r"`pseudo_labeling` must be a PseudoLabeling \(a TranscriptLabeling for speech\)"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_trained(tmp_path, settings, data, message):
    with pytest.raises(ValueError, match=message):
        fit(make_trainer(tmp_path, **settings), **data)
    assert list(tmp_path.iterdir()) == []


def test_an_utterance_too_short_for_its_transcript_is_named(tmp_path):
    features, tokens = LABELED
    length = features["length"].copy()
    length[13] = 1
    tokens = relabeled(13, [0, 1, 2, -1])[1]
    message = r"Received: 1 frames of utterance 13, whose transcript 'abc' needs 3"
    with pytest.raises(ValueError, match=message):
        fit(make_trainer(tmp_path), labeled=({**features, "length": length}, tokens))
    assert list(tmp_path.iterdir()) == []


def test_nan_in_the_pool_is_named(tmp_path):
    features = POOL["features"].copy()
    features[31, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"NaN or infinity for 1 examples of the unlabelled pool, the first at row 31"):
        fit(make_trainer(tmp_path), pool={**POOL, "features": features})


def test_transcripts_are_selected_of_a_transcription_alone():
    x, y = np.zeros((8, NUM_FRAMES, NUM_BINS), "float32"), np.arange(8) % 2
    classifier = keras.Sequential([keras.Input((NUM_FRAMES, NUM_BINS)), keras.layers.Flatten(), keras.layers.Dense(2)])
    trainer = kns.NoisyStudentTrainer(
        classifier, kns.Classification(2, from_logits=True), pseudo_labeling=kns.TranscriptLabeling()
    )
    trainer.compile("adam")
    with pytest.raises(ValueError, match=r"selects the transcripts of a `Transcription`. Received: a Classification."):
        trainer.fit_rounds((x, y), x, num_rounds=1, batch_size=4)
