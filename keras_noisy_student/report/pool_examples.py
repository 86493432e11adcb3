"""The beginning of the pool: what the teacher said of its first examples, and some of them to look at."""

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.pseudo_labels.corrected_labels import stored_annotation
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.tasks.classification import Classification
from keras_noisy_student.tasks.task import Annotation, Task
from keras_noisy_student.tasks.transcription import Transcription


def first_annotations(pseudo_labels: PseudoLabels, task: Task, *, num: int) -> Annotation:
    """The pseudo-labels of the first rows of a store, at most `num`, as they are corrected; NumPy arrays.

    A part of the first shards is read, whatever the size of the pool.
    """
    annotation_of = pseudo_labels.correction or functools.partial(stored_annotation, task=task)
    rows = pseudo_labels.rows().unbatch().take(num).batch(num).map(annotation_of)
    return Annotation(*next(rows.as_numpy_iterator()))


def label_texts(annotation: Annotation, task: Task) -> list[str]:
    """What people read for each pseudo-label: the name of the class, or the transcript."""
    if isinstance(task, Transcription):
        return [task.vocabulary.decode(tokens) or "(empty)" for tokens in annotation.pseudo_label]
    names = class_names(task)
    return [names[class_id] for class_id in annotation.class_id]


def class_names(task: Task) -> list[str]:
    """What the classes are called: their ids, where they have no names."""
    names = task.class_names if isinstance(task, Classification) else None
    return [str(class_id) for class_id in range(task.num_classes)] if names is None else list(names)


def examples_at(batches: Iterable[Any], rows: Iterable[int]) -> dict[int, Any]:
    """The examples that stand at some rows, as NumPy arrays; nothing is read behind the last of them.

    Args:
        batches: of examples, in order.
        rows: their places, in any order.
    """
    wanted, first = sorted(set(map(int, rows))), 0
    found: dict[int, Any] = {}
    for batch in batches if wanted else ():
        size = len(tf.nest.flatten(batch)[0])
        for row in wanted[len(found) :]:
            if row >= first + size:
                break
            found[row] = tf.nest.map_structure(lambda part, place=row - first: np.asarray(part[place]), batch)
        first += size
        if len(found) == len(wanted):
            break
    return found
