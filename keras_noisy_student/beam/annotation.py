"""Annotate on Apache Beam: the store of the next round, written on a cluster before that round begins.

It is the very store that `fit_rounds` would write, so that a run takes it as it is: see docs/beam.md.
"""

import dataclasses
import functools
import posixpath
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import keras
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.utils.shared import Shared

from keras_noisy_student.data_checks import same_examples_source
from keras_noisy_student.networks import weights_digest
from keras_noisy_student.pseudo_labels.annotate import annotate_share
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.pseudo_labels.store_writer import StoreWriter
from keras_noisy_student.pseudo_labels.teacher import Teacher
from keras_noisy_student.pseudo_labels.teacher_pass import TeacherPass
from keras_noisy_student.run_directory.weights_files import load_weights, save_weights
from keras_noisy_student.sources.source import Source
from keras_noisy_student.storage.atomic_files import make_directory, remove_if_there
from keras_noisy_student.tasks.task import Task
from keras_noisy_student.trainer import NoisyStudentTrainer
from keras_noisy_student.workers import Worker


def annotate(trainer: NoisyStudentTrainer, unlabeled: Any, *, options: "PipelineOptions | None" = None) -> PseudoLabels:
    """Has a Beam pipeline label the pool for the next round of a trainer, and returns when the store is finished.

    `fit_rounds` with one round more then finds the pool annotated. A pipeline that failed, and is started again, writes
    only the shards that are missing. The directory of the run must be one that all machines see.

    Args:
        trainer: after `fit_rounds`, whose last promoted student is the teacher.
        unlabeled: as it was given to `fit_rounds`: a function `(num_shards, shard)`, whose shards the machines read
            themselves, or, for a pool that may be sent to each of them, arrays; or a list of these.
        options: of the pipeline, such as its runner; Beam's own defaults, which run it in this process, by default.

    Raises:
        ValueError: before `fit_rounds`, for a data set, which cannot be sent to another machine, for a teacher that its
            config does not rebuild, or where the next round does not annotate the whole pool.
        RuntimeError: when another process is writing to the directory.

    Example:
        >>> y = np.arange(32) % 2
        >>> x = np.random.default_rng(0).normal(y[:, None], 0.3, (32, 4)).astype("float32")
        >>> trainer = kns.NoisyStudentTrainer(
        ...     keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")]),
        ...     kns.Classification(num_classes=2),
        ... )
        >>> trainer.compile(keras.optimizers.Adam(0.1))
        >>> data = {"labeled": (x[:16], y[:16]), "unlabeled": x[16:]}
        >>> _ = trainer.fit_rounds(**data, num_rounds=0, batch_size=8, epochs=5, verbose=0)
        >>> len(annotate(trainer, data["unlabeled"], options=PipelineOptions([], runner="FnApiRunner")))
        16
    """
    if _holds_dataset(unlabeled):
        raise ValueError(
            "`unlabeled` must be a function `(num_shards, shard)` that returns a tf.data.Dataset, or arrays. Received: "
            "a tf.data.Dataset, which cannot be sent to another machine. Build it inside such a function, and give "
            "that to `fit_rounds` too."
        )
    pool, make_writer, lock = trainer.next_store(unlabeled)
    with lock:
        store: StoreWriter = make_writer()
        store.claim()
        teacher = _SentNetwork.of(
            trainer.model, posixpath.join(posixpath.dirname(store.directory), "teacher.weights.h5")
        )
        work = _Work(
            teacher=teacher,
            task=trainer.task,
            unlabeled=unlabeled,
            element_spec=pool.element_spec,
            pool_shards=trainer.pool_shards,
            batch_size=trainer.inference_batch_size,
            make_writer=make_writer,
            num_units=_num_units(pool, trainer.rows_per_shard),
        )
        with beam.Pipeline(options=options) as pipeline:
            _ = (
                pipeline
                | "Units" >> beam.Create(range(work.num_units))
                | "Spread" >> beam.Reshuffle()
                | "Annotate" >> beam.ParDo(_Annotate(work))
                | "Wait for all" >> beam.combiners.Count.Globally()
                | "Finish" >> beam.Map(work.finish)
            )
        remove_if_there(teacher.path)
    return PseudoLabels(store.directory)


def _holds_dataset(unlabeled: Any) -> bool:
    pools = unlabeled if isinstance(unlabeled, list) else [unlabeled]
    return any(isinstance(pool, tf.data.Dataset) for pool in pools)


def _num_units(pool: Source, rows_per_shard: int) -> int:
    is_divided_by_parts = pool.num_parts > 1 or pool.num_rows is None
    return pool.num_parts if is_divided_by_parts else -(-(pool.num_rows or 0) // rows_per_shard)


@dataclasses.dataclass(frozen=True)
class _SentNetwork:
    """A network as it is sent to other machines: its config, and where its weights are.

    Args:
        config: of the network, as Keras serializes it.
        path: of the weights.
        sha256: checksum of that file.
        digest: of the weights that the network then has.
    """

    config: dict[str, Any]
    path: str
    sha256: str
    digest: str

    @classmethod
    def of(cls, network: keras.Model, path: str) -> "_SentNetwork":
        """Writes the weights, and makes sure that the network can be rebuilt.

        Raises:
            ValueError: when it cannot.
        """
        try:
            config = keras.saving.serialize_keras_object(network)
            keras.saving.deserialize_keras_object(config, safe_mode=True)
        except (TypeError, ValueError, NotImplementedError) as error:
            raise ValueError(
                "The teacher must be a model that its config rebuilds, to be sent to other machines. Received: "
                f"{network.name!r}, of which Keras says: {error} Give its layers `get_config`, decorate them with "
                "`@keras.saving.register_keras_serializable()`, and use no Lambda layer."
            ) from error
        make_directory(posixpath.dirname(path))
        return cls(config, path, save_weights(network, path), weights_digest(network))

    def load(self) -> keras.Model:
        """Rebuilds the network.

        Raises:
            ValueError: when its weights are not those that were sent.
        """
        network: keras.Model = keras.saving.deserialize_keras_object(self.config, safe_mode=True)
        load_weights(network, self.path, sha256=self.sha256)
        if weights_digest(network) != self.digest:
            raise ValueError(
                "The teacher must have the same weights on every machine. Received: others, after its config was "
                f"rebuilt and {self.path} was loaded. Use the same versions of Keras everywhere."
            )
        return network


@dataclasses.dataclass(frozen=True)
class _Work:
    """What a machine must know to annotate a unit of the pool: one part, or one shard of a pool in one part.

    Args:
        teacher: the network.
        task: see `annotate`.
        unlabeled: see `annotate`.
        element_spec: of one example.
        pool_shards: what `unlabeled` is asked for, if it is a function.
        batch_size: examples that the teacher labels at a time.
        make_writer: makes the writer of the store for a worker.
        num_units: how many units there are, each the share of a worker of its own.
    """

    teacher: _SentNetwork
    task: Task
    unlabeled: Any
    element_spec: Any
    pool_shards: int
    batch_size: int
    make_writer: functools.partial[StoreWriter]
    num_units: int

    def load(self) -> "_Loaded":
        """Rebuilds the teacher and the pool."""
        pool = same_examples_source(self.unlabeled, self.element_spec, name="unlabeled", num_shards=self.pool_shards)
        return _Loaded(TeacherPass(Teacher([self.teacher.load()], self.task), self.element_spec), pool)

    def store(self, unit: int) -> StoreWriter:
        """The writer of a unit, which knows what is there."""
        store = self.make_writer(worker=Worker(unit, self.num_units))
        store.take_up()
        return store

    def finish(self, num_done: int) -> None:
        """Writes the manifest, after all units."""
        self.store(0).finish()


@dataclasses.dataclass(frozen=True, eq=False)
class _Loaded:
    """What a process keeps while it annotates: the traced teacher, and the pool."""

    teacher_pass: TeacherPass
    pool: Source


class _Annotate(beam.DoFn):
    """Annotates what is missing of a unit. All threads of a process share one teacher."""

    def __init__(self, work: _Work) -> None:
        self._work = work
        self._shared = Shared()

    def setup(self) -> None:
        """Called by Beam in every thread."""
        self._loaded = self._shared.acquire(self._work.load)

    def process(self, unit: int) -> Iterator[int]:
        """Yields the unit when it is done."""
        store = self._work.store(unit)
        if not store.is_finished():
            loaded = self._loaded
            annotate_share(
                loaded.teacher_pass, loaded.pool, store=store, batch_size=self._work.batch_size, verbose=False
            )
        yield unit
