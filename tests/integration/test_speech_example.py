"""`examples/speech.py` on recordings that are made up, in place of those of TensorFlow Datasets."""

import json
import pathlib
import sys
import wave

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

tfds = pytest.importorskip("tensorflow_datasets")

SPEAKERS = ("ann", "bob", "cai", "dan", "eve", "fay")
LETTERS = "abcdefgh"


@pytest.fixture
def speech(monkeypatch):
    monkeypatch.syspath_prepend(str(pathlib.Path(__file__).parents[2] / "examples"))
    for name in ("speech", "speech_data"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import speech

    return speech


def tone(place, rng, *, sample_rate, seconds):
    """A tone, higher for a later place."""
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    samples = 0.3 * np.sin(2 * np.pi * 150 * 1.33**place * time) + rng.normal(0, 0.01, len(time))
    return (samples * 2**15).astype(np.int64)


def spoken_digits(builder, split, **kwargs):
    """Eight recordings of every digit and speaker."""

    def examples():
        rng = np.random.default_rng(0)
        for digit, (speaker, number) in ((d, (s, n)) for d in range(10) for s in SPEAKERS for n in range(8)):
            audio = tone(digit, rng, sample_rate=8000, seconds=rng.uniform(0.2, 0.3))
            yield {"audio": audio, "audio/filename": f"{digit}_{speaker}_{number}.wav", "label": digit}

    spec = {
        "audio": tf.TensorSpec([None], tf.int64),
        "audio/filename": tf.TensorSpec([], tf.string),
        "label": tf.TensorSpec([], tf.int64),
    }
    return tf.data.Dataset.from_generator(examples, output_signature=spec)


def sentences(builder, split, **kwargs):
    """Utterances of a few letters, each a tone."""

    def examples():
        rng = np.random.default_rng(len(split))
        for _ in range(40):
            letters = rng.integers(len(LETTERS), size=rng.integers(2, 5))
            audio = np.concatenate([tone(letter, rng, sample_rate=16_000, seconds=0.2) for letter in letters])
            yield {"speech": audio, "text": "".join(LETTERS[letter] for letter in letters).upper()}

    spec = {"speech": tf.TensorSpec([None], tf.int64), "text": tf.TensorSpec([], tf.string)}
    return tf.data.Dataset.from_generator(examples, output_signature=spec)


@pytest.mark.slow
def test_digits_are_compared_transcribed_drawn_and_exported(speech, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with wave.open("two.wav", "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        rng = np.random.default_rng(1)
        pieces = [tone(digit, rng, sample_rate=8000, seconds=0.3) for digit in (3, 8)]
        file.writeframes(np.concatenate(pieces).astype(np.int16).tobytes())
    options = ["--quick", "--processes", "1", "--data-dir", "data", "--json", "figures.json"]
    with tfds.testing.mock_data(as_dataset_fn=spoken_digits):
        speech.main([*options, "--transcribe", "two.wav", "--export", "served"])
    figures = json.loads(pathlib.Path("figures.json").read_text())
    rates = ["teacher_wer", "student_1_wer", "student_wer", "unfiltered_student_wer", "baseline_wer"]
    assert list(figures) == [*rates, "seconds_per_seed"]
    assert all(len(figures[name]) == 1 and figures[name][0] < 1 for name in rates)
    printed = capsys.readouterr().out
    for line in ("student less baseline", "student less unfiltered student", "Heard: '", "Wrote features.png."):
        assert line in printed
    with Image.open("features.png") as picture:
        assert picture.size[0] > picture.size[1]
    served = tf.saved_model.load("served")
    waveform = tf.random.stateless_normal([2, 9000], seed=[0, 1], stddev=0.1)
    found = served.serve({"waveform": waveform, "length": tf.constant([9000, 4000])})
    assert found["text"].shape == (2,)


@pytest.mark.slow
def test_a_teacher_learns_librispeech(speech, monkeypatch, tmp_path):
    monkeypatch.setattr(speech.speech_data, "MOST_SECONDS_OF_A_SENTENCE", 1.0)
    monkeypatch.setattr(speech.speech_data, "MOST_LETTERS", 8)
    with tfds.testing.mock_data(as_dataset_fn=sentences):
        corpus = speech.speech_data.corpus("librispeech", "data", seed=0, validate=False)
        teacher = speech.Runs(corpus, seed=0, budget=speech.QUICK, directory=tmp_path).teacher()
    assert teacher.word_error_rates[0] <= 1
    assert len(teacher.predict(next(iter(corpus.unlabeled.batch(3))), verbose=0)) == 3


def test_librispeech_is_read_as_features_and_letters(speech, monkeypatch):
    monkeypatch.setattr(speech.speech_data, "MOST_SECONDS_OF_A_SENTENCE", 1.0)
    monkeypatch.setattr(speech.speech_data, "MOST_LETTERS", 8)
    with tfds.testing.mock_data(as_dataset_fn=sentences):
        corpus = speech.speech_data.corpus("librispeech", "data", seed=0, validate=False)
        features, tokens = next(iter(corpus.labeled.batch(5)))
        unlabeled = next(iter(corpus.unlabeled.batch(5)))
    assert features["features"].shape == unlabeled["features"].shape == (5, 98, 80)
    assert tokens.shape == (5, 8)
    corpus.task.check_labels(tokens.numpy())
    for row, length in zip(tokens.numpy(), features["length"].numpy(), strict=True):
        letters = corpus.task.vocabulary.decode(row)
        assert set(letters) <= set(LETTERS)
        # Of a letter there are 0.2 seconds, of which a frame is 0.01.
        assert length == 20 * len(letters) - 2


def test_no_recording_is_in_two_parts(speech):
    with tfds.testing.mock_data(as_dataset_fn=spoken_digits):
        recordings = speech.speech_data.recordings("data")
    labeled, held_out, unlabeled = speech.speech_data._parts(recordings, np.random.default_rng(0))
    numbers = [{(r.speaker, r.digit, r.number) for r in part} for part in (labeled, held_out, unlabeled)]
    assert [len(part) for part in numbers] == [60, 60, 60]
    assert len(set.union(*numbers)) == 180
    assert min(number for part in numbers for *_, number in part) == 5


def test_a_speaker_who_was_never_heard_is_tested_alone(speech):
    with tfds.testing.mock_data(as_dataset_fn=spoken_digits):
        corpus = speech.speech_data.corpus("spoken_digit", "data", seed=0, validate=False, unheard_speaker=2)
        whole = speech.speech_data.corpus("spoken_digit", "data", seed=0, validate=False)
    # Five of six speakers are left to learn from, and one of six to be tested on.
    for part in ("labeled", "held_out"):
        shares = len(getattr(corpus, part)[1]) / len(getattr(whole, part)[1])
        assert shares == pytest.approx(5 / 6, abs=0.05)
    assert len(corpus.test) / len(whole.test) == pytest.approx(1 / 6, abs=0.05)
