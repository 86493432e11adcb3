"""CIFAR-10 with few labels: which images are labelled, unlabelled, held out and tested on."""

import dataclasses

import numpy as np
import tensorflow_datasets as tfds

NUM_CLASSES = 10
NUM_HELD_OUT = 500
"""Labelled images that temperature scaling is fitted on; no method trains on them."""
NUM_VALIDATION = 5_000
"""Training images that `--validate` reports on, in place of the test images."""


@dataclasses.dataclass(frozen=True)
class Split:
    """The images of one seed, uint8 `(images, 32, 32, 3)`, with class ids where they are labelled.

    Args:
        labeled: as many of each class.
        unlabeled: the rest of the training set.
        held_out: see `NUM_HELD_OUT`.
        reported: what accuracies are of: the 10,000 test images, or `NUM_VALIDATION` images out of the training set.
    """

    labeled: tuple[np.ndarray, np.ndarray]
    unlabeled: np.ndarray
    held_out: tuple[np.ndarray, np.ndarray]
    reported: tuple[np.ndarray, np.ndarray]


def load(data_dir: str | None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The images and labels of `train` and `test`, by TensorFlow Datasets."""
    sets = {}
    for name in ("train", "test"):
        rows = tfds.load("cifar10", split=name, data_dir=data_dir, as_supervised=True, batch_size=-1)
        images, labels = tfds.as_numpy(rows)
        sets[name] = images, labels.astype("int32")
    return sets


def split(sets: dict[str, tuple[np.ndarray, np.ndarray]], *, num_labeled: int, seed: int, validate: bool) -> Split:
    """Draws the images of a seed; with `validate` the test images are not touched."""
    images, labels = sets["train"]
    order = np.random.default_rng(seed).permutation(len(images))
    validation, rest = (order[:NUM_VALIDATION], order[NUM_VALIDATION:]) if validate else (order[:0], order)
    held_out, rest = rest[:NUM_HELD_OUT], rest[NUM_HELD_OUT:]
    of_class = [rest[labels[rest] == class_id] for class_id in range(NUM_CLASSES)]
    labeled = np.concatenate([places[: num_labeled // NUM_CLASSES] for places in of_class])
    unlabeled = np.setdiff1d(rest, labeled)
    return Split(
        labeled=(images[labeled], labels[labeled]),
        unlabeled=images[unlabeled],
        held_out=(images[held_out], labels[held_out]),
        reported=(images[validation], labels[validation]) if validate else sets["test"],
    )
