"""The corpora of `speech.py`: connected digits, and LibriSpeech."""

import dataclasses
import functools
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

import keras_noisy_student as kns

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
MOST_DIGITS, MOST_SECONDS = 5, 3.2
"""In an utterance of connected digits."""
NUM_SPEAKERS = 6

SAMPLE_RATES = {"spoken_digit": 8000, "librispeech": 16_000}


def front_end(dataset):
    """From waveforms to features: for digits coarser ones than for words."""
    if dataset == "spoken_digit":
        return kns.speech.LogMel(
            SAMPLE_RATES[dataset], num_mel_bins=40, frame_length=0.032, frame_step=0.02, dynamic_range=40.0
        )
    return kns.speech.LogMel(SAMPLE_RATES[dataset])


def corpus(dataset, data_dir, *, seed, validate, unheard_speaker=None):
    """The corpus of a seed; LibriSpeech is the same for all."""
    if dataset == "spoken_digit":
        return connected_digits(data_dir, seed=seed, validate=validate, unheard_speaker=unheard_speaker)
    return librispeech(data_dir, validate=validate)


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Features and transcripts; every part but `unlabeled` is a pair of them."""

    task: kns.Transcription
    front_end: kns.speech.LogMel
    subsampling: int
    labeled: Any
    unlabeled: Any
    held_out: Any
    test: Any


@dataclasses.dataclass(frozen=True)
class Recording:
    """A digit, spoken once."""

    waveform: np.ndarray
    digit: int
    speaker: str
    number: int


@functools.cache
def recordings(data_dir):
    """All recordings of the Free Spoken Digit Dataset, which names them `<digit>_<speaker>_<number>.wav`."""
    found = []
    for example in tfds.as_numpy(tfds.load("spoken_digit", split="train", data_dir=data_dir)):
        digit, speaker, number = example["audio/filename"].decode().removesuffix(".wav").split("_")
        found.append(Recording(example["audio"].astype(np.float32) / 2**15, int(digit), speaker, int(number)))
    return sorted(found, key=lambda recording: (recording.speaker, recording.digit, recording.number))


def connected_digits(data_dir, *, seed, validate=False, unheard_speaker=None):
    """The corpus of a seed.

    Args:
        data_dir: of TensorFlow Datasets.
        seed: which recordings are labelled and held out, and how recordings are joined.
        validate: whether to test on the held-out recordings.
        unheard_speaker: a speaker, by number, that is only tested on, and alone.
    """
    rng = np.random.default_rng(seed)
    kept, tested = recordings(data_dir), recordings(data_dir)
    if unheard_speaker is not None:
        name = sorted({recording.speaker for recording in kept})[unheard_speaker]
        kept = [recording for recording in kept if recording.speaker != name]
        tested = [recording for recording in tested if recording.speaker == name]
    labeled, held_out, unlabeled = _parts(kept, rng)
    test = held_out if validate else [recording for recording in tested if recording.number < 5]
    vocabulary = kns.speech.Vocabulary(DIGITS, joined_by=" ")
    parts = [
        _examples(_utterances(part, rng, num_passes))
        for part, num_passes in ((labeled, 20), (held_out, 4), (unlabeled, 2), (test, 4))
    ]
    return Corpus(
        task=kns.Transcription(vocabulary, max_tokens=MOST_DIGITS),
        front_end=front_end("spoken_digit"),
        subsampling=4,
        labeled=parts[0],
        held_out=parts[1],
        unlabeled=parts[2][0],
        test=tf.data.Dataset.from_tensor_slices(parts[3]),
    )


def _parts(kept, rng):
    """One recording of each digit and speaker is labelled, another one held out; of those that are not for the test."""
    groups = {}
    for recording in kept:
        if recording.number >= 5:
            groups.setdefault((recording.speaker, recording.digit), []).append(recording)
    labeled, held_out, unlabeled = [], [], []
    for group in groups.values():
        first, second, *others = (group[place] for place in rng.permutation(len(group)))
        labeled.append(first)
        held_out.append(second)
        unlabeled += others
    return labeled, held_out, unlabeled


def _utterances(part, rng, num_passes):
    """Joins the recordings of each speaker, every one of them once in each pass; pairs of a waveform and its digits.

    Utterances that are too long are left out.
    """
    utterances = []
    for speaker in sorted({recording.speaker for recording in part}):
        of_speaker = [recording for recording in part if recording.speaker == speaker]
        for _ in range(num_passes):
            left = [of_speaker[place] for place in rng.permutation(len(of_speaker))]
            while left:
                count = rng.integers(2, MOST_DIGITS + 1)
                # None is left alone.
                count += (len(left) - count == 1) * (1 if count < MOST_DIGITS else -1)
                joined, left = left[:count], left[count:]
                utterances.append(_joined(joined, rng))
    limit = MOST_SECONDS * SAMPLE_RATES["spoken_digit"]
    return [(waveform, digits) for waveform, digits in utterances if len(waveform) <= limit]


def _joined(joined, rng):
    """The recordings one after the other, with 0.05 to 0.2 seconds of silence before each."""
    pieces = []
    for recording in joined:
        pieces += [np.zeros(rng.integers(400, 1600), np.float32), recording.waveform]
    return np.concatenate(pieces), [recording.digit for recording in joined]


def _examples(utterances):
    waveforms, digits = zip(*utterances, strict=True)
    padded = kns.speech.pad_waveforms(waveforms, num_samples=int(MOST_SECONDS * SAMPLE_RATES["spoken_digit"]))
    features = {name: array.numpy() for name, array in front_end("spoken_digit")(padded).items()}
    return features, kns.speech.pad_tokens(digits, length=MOST_DIGITS)


MOST_SECONDS_OF_A_SENTENCE, MOST_LETTERS = 16.0, 320


def librispeech(data_dir, *, validate=False):
    """LibriSpeech in characters, read as it is needed; utterances of more than 16 seconds are left out."""
    vocabulary = kns.speech.Vocabulary("abcdefghijklmnopqrstuvwxyz' ")
    ids = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(list(vocabulary.tokens), np.arange(len(vocabulary), dtype=np.int32)), -1
    )
    most_samples = int(MOST_SECONDS_OF_A_SENTENCE * SAMPLE_RATES["librispeech"])

    to_features = front_end("librispeech")

    def is_short_enough(example):
        return (tf.size(example["speech"]) <= most_samples) & (tf.strings.length(example["text"]) <= MOST_LETTERS)

    def to_pair(example):
        waveform = tf.cast(example["speech"], tf.float32) / 2**15
        length = tf.size(waveform)
        padded = tf.pad(waveform, [[0, most_samples - length]])[None]
        padded = tf.ensure_shape(padded, [1, most_samples])
        features = to_features({"waveform": padded, "length": length[None]})
        letters = ids.lookup(tf.strings.unicode_split(tf.strings.lower(example["text"]), "UTF-8"))
        letters = letters[letters >= 0]
        tokens = tf.pad(letters, [[0, MOST_LETTERS - tf.size(letters)]], constant_values=-1)
        return {name: array[0] for name, array in features.items()}, tf.ensure_shape(tokens, [MOST_LETTERS])

    def pairs(split):
        dataset = tfds.load("librispeech", split=split, data_dir=data_dir, shuffle_files=False)
        return dataset.filter(is_short_enough).map(to_pair, num_parallel_calls=tf.data.AUTOTUNE)

    # Keras warns when it does not know beforehand how many batches there are.
    test = pairs("dev_clean" if validate else "test_clean")
    num_tested = test.reduce(tf.constant(0, tf.int64), lambda count, _: count + 1)

    return Corpus(
        task=kns.Transcription(vocabulary, max_tokens=MOST_LETTERS),
        front_end=to_features,
        subsampling=3,
        labeled=pairs("train_clean100"),
        held_out=pairs("dev_clean"),
        unlabeled=pairs("train_clean360").map(lambda features, tokens: features),
        test=test.apply(tf.data.experimental.assert_cardinality(num_tested)),
    )
