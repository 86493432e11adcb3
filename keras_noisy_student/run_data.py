"""The data of one run, checked."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.argument_checks import check_count, is_integer
from keras_noisy_student.data_checks import evaluation_source, labeled_source, read_labels, same_examples_source
from keras_noisy_student.given_data import reading
from keras_noisy_student.pseudo_labels.audit_labels import checked_audit_labels
from keras_noisy_student.pseudo_labels.fingerprint import fingerprint
from keras_noisy_student.sources.source import Source
from keras_noisy_student.tasks.task import Task

MAX_ROUNDS = 1000
"""The networks of all rounds are built and checked before the first is trained."""

_BATCH_SIZE = 256


@dataclasses.dataclass(frozen=True)
class RunData:
    """What `fit_rounds` was given.

    Args:
        labeled: source of `(x, y)`.
        labels: all `y`, `(examples, ...)`.
        unlabeled: the pool, source of `x`; `None` when only a teacher is trained.
        validation: source of `(x, y)`, or `None`.
        audit_labels: true classes of the pool, `(examples,)`, where they are known. Nothing is trained on them, and
            another run is not made by them.
    """

    labeled: Source
    labels: np.ndarray
    unlabeled: Source | None
    validation: Source | None
    audit_labels: np.ndarray | None = None

    @property
    def pool(self) -> Source:
        """The unlabelled pool.

        Raises:
            ValueError: when there is none.
        """
        if self.unlabeled is None:
            raise ValueError(
                "`unlabeled` is needed to train students. Received: unlabeled=None. Pass the unlabelled pool, or "
                "num_rounds=0 to train the first teacher alone."
            )
        return self.unlabeled

    @property
    def element_spec(self) -> Any:
        """The spec of one `x`."""
        return self.labeled.element_spec[0]

    @functools.cached_property
    def first_examples(self) -> Any:
        """A small batch of labelled `x`, to call networks on."""
        x, _ = next(iter(self.labeled.batches(8)))
        return x

    def labeled_batches(self, batch_size: int) -> tf.data.Dataset:
        """Batches of the labelled data, in order."""
        return self.labeled.batches(batch_size)

    def validation_batches(self, batch_size: int) -> tf.data.Dataset | None:
        """Batches of the validation data, in order."""
        return None if self.validation is None else self.validation.batches(batch_size)

    def description(self) -> dict[str, Any]:
        """What tells this data from other data: labelled examples in any order; the size and the beginning of the pool.

        The whole pool would take too long to read; pseudo-labels carry the fingerprints of their examples.
        """
        description = {
            "element_spec": str(self.element_spec),
            "labeled_source": type(self.labeled).__name__,
            "num_labeled": len(self.labels),
            "labeled_fingerprint": _labeled_fingerprint(self.labeled),
        }
        if self.validation is not None:
            description["validation_fingerprint"] = _labeled_fingerprint(self.validation)
        if self.unlabeled is not None:
            with reading("unlabeled"):
                first = fingerprint(next(iter(self.unlabeled.batches(_BATCH_SIZE))))
            description["unlabeled_source"] = self.unlabeled.kind
            description["num_unlabeled"] = self.unlabeled.num_rows
            description["pool_shards"] = self.unlabeled.num_parts
            description["first_unlabeled_fingerprints"] = hashlib.sha256(first.numpy().tobytes()).hexdigest()
        return description


def _unlabeled_source(unlabeled: Any, labeled_spec: Any, pool_shards: Any) -> Source:
    check_count("pool_shards", pool_shards)
    return same_examples_source(unlabeled, labeled_spec, num_shards=int(pool_shards), name="unlabeled")


def _labeled_fingerprint(source: Source) -> int:
    batches = source.batches(_BATCH_SIZE).map(lambda x, y: (x, tf.cast(y, tf.int64)))
    return sum(_fingerprint_sums(batches)) % 2**64


def _fingerprint_sums(batches: tf.data.Dataset) -> Iterator[int]:
    """The sum of the fingerprints of each batch: the same for every order of the examples in it."""
    for batch in batches:
        yield int(fingerprint(batch).numpy().astype(object).sum())


def check_run_data(
    labeled: Any,
    unlabeled: Any,
    validation: Any,
    *,
    audit_labels: Any = None,
    task: Task,
    num_rounds: int,
    pool_shards: int = 1,
) -> RunData:
    """Wraps and checks the arguments of `fit_rounds`; `pool_shards` is that of `RoundSteps`.

    Raises:
        ValueError: for data that cannot be trained on, see `data_checks`.
    """
    if not is_integer(num_rounds, at_least=0) or num_rounds > MAX_ROUNDS:
        raise ValueError(
            f"`num_rounds` must be an integer from 0 to {MAX_ROUNDS}. Received: num_rounds={num_rounds!r}."
        )
    labeled_examples = labeled_source(labeled, task, name="labeled")
    labels = read_labels(labeled_examples, task, name="labeled")
    task.check_coverage(labels)
    spec = labeled_examples.element_spec[0]
    data = RunData(
        labeled=labeled_examples,
        labels=labels,
        unlabeled=None if unlabeled is None else _unlabeled_source(unlabeled, spec, pool_shards),
        validation=None if validation is None else evaluation_source(validation, spec, task, name="validation_data"),
    )
    if num_rounds > 0 or audit_labels is not None:
        _ = data.pool
    if audit_labels is None:
        return data
    checked = checked_audit_labels(audit_labels, task, num_rows=data.pool.num_rows)
    return dataclasses.replace(data, audit_labels=checked)
