"""Small data and networks that several test files share."""

import keras
import numpy as np

from keras_noisy_student.pseudo_labels.shard import COLUMNS

NUM_CLASSES = 3
NUM_FEATURES = 4


def features(num_examples, seed=0):
    """float32 `(num_examples, NUM_FEATURES)`, all examples different."""
    return np.random.default_rng(seed).normal(size=(num_examples, NUM_FEATURES)).astype("float32")


def labels(num_examples):
    """int32 class ids that take turns, so that every class has an example."""
    return (np.arange(num_examples) % NUM_CLASSES).astype("int32")


def distributions(num_examples, num_classes=NUM_CLASSES, seed=0):
    """float32 rows of probabilities."""
    return np.random.default_rng(seed).dirichlet(np.ones(num_classes), num_examples).astype("float32")


def network(*, dropout_rate=0.0, activation="softmax", seed=0):
    """A network from `features` to `NUM_CLASSES` outputs, with the same weights at every call."""
    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dropout(dropout_rate),
            keras.layers.Dense(NUM_CLASSES, activation, kernel_initializer=keras.initializers.RandomNormal(seed=seed)),
        ]
    )


def columns(scores, class_ids, fingerprints=None):
    """The columns of a store, as selection reads them."""
    rows = np.empty(len(scores), COLUMNS)
    rows["score"] = scores
    rows["class_id"] = class_ids
    rows["fingerprint"] = np.arange(len(scores)) if fingerprints is None else fingerprints
    return rows


def all_columns(pseudo_labels):
    """The columns of a store in one array."""
    return np.concatenate(list(pseudo_labels.columns))
