"""Utterances that a tiny network learns to transcribe: each token is a bump in a bin of its own."""

import keras
import numpy as np

import keras_noisy_student as kns

VOCABULARY = kns.speech.Vocabulary("abc")
NUM_FRAMES, NUM_BINS, LONGEST = 24, 6, 4


def utterances(num, *, seed, longest=LONGEST):
    """Features with their lengths, and the tokens of each."""
    rng = np.random.default_rng(seed)
    sequences = [rng.integers(len(VOCABULARY), size=rng.integers(1, longest + 1)).tolist() for _ in range(num)]
    features = rng.normal(0, 0.1, (num, NUM_FRAMES, NUM_BINS)).astype("float32")
    length = np.empty(num, np.int32)
    for row, tokens in enumerate(sequences):
        place = 0
        for token in tokens:
            place += rng.integers(1, 3)
            features[row, place : place + 3, token] += 1.0
            place += 3
        length[row] = place + 1
        features[row, length[row] :] = 0
    return {"features": features, "length": length}, kns.speech.pad_tokens(sequences, length=LONGEST)


def network(width=16):
    """Sees three frames at a time; one output for each frame."""
    inputs = {
        "features": keras.Input((None, NUM_BINS), name="features"),
        "length": keras.Input((), dtype="int32", name="length"),
    }
    x = keras.layers.Conv1D(width, 3, padding="same", activation="relu")(inputs["features"])
    x = keras.layers.Dropout(0.1)(x)
    logits = keras.layers.Dense(len(VOCABULARY) + 1)(x)
    return keras.Model(inputs, kns.speech.BlankPadding()(logits, inputs["length"]))
