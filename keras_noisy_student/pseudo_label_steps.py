"""`PseudoLabelSteps`: the steps of a round from its teacher to a selection of pseudo-labels."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_noisy_student.argument_checks import is_integer
from keras_noisy_student.data_checks import same_examples_source
from keras_noisy_student.last_teachers import LastTeachers
from keras_noisy_student.networks import weights_digest
from keras_noisy_student.noise import seeds
from keras_noisy_student.promoted_student import PromotedStudent
from keras_noisy_student.pseudo_labels.annotate import annotate
from keras_noisy_student.pseudo_labels.audit_labels import audit_figures
from keras_noisy_student.pseudo_labels.fitted import Fitted, read_fitted
from keras_noisy_student.pseudo_labels.labeling import Labeling
from keras_noisy_student.pseudo_labels.online import OnlineTeacher
from keras_noisy_student.pseudo_labels.select import select
from keras_noisy_student.pseudo_labels.selection import Selection
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.pseudo_labels.store_writer import StoreWriter
from keras_noisy_student.pseudo_labels.stored_selection import SelectionRules, read_selection
from keras_noisy_student.pseudo_labels.teacher import Teacher
from keras_noisy_student.relabeling import kept_before, pool_of_round
from keras_noisy_student.round_corrections import fit_round, fitted_once
from keras_noisy_student.round_settings import PerRound, RoundSettings, value_at
from keras_noisy_student.run_data import RunData
from keras_noisy_student.run_directory.description import describe, digest
from keras_noisy_student.run_directory.run_directory import RunDirectory
from keras_noisy_student.run_directory.run_lock import RunLock
from keras_noisy_student.sources.source import Source
from keras_noisy_student.student import NoisyStudent
from keras_noisy_student.tasks.task import Task
from keras_noisy_student.workers import worker_of


class NextStore(NamedTuple):
    """The store of a round that `fit_rounds` has not begun."""

    pool: Source
    """What is annotated."""
    make_writer: functools.partial[StoreWriter]
    """Makes a writer of it, for a `worker`."""
    lock: RunLock
    """Of the run directory."""


class PseudoLabelSteps(PromotedStudent):
    """Annotates, corrects and selects; see `RoundSteps`.

    Args:
        task: what a target is.
        strategy: whose replicas and workers share the work.
        seed: of order, selection and noise.

    Raises:
        ValueError: for a seed that is no integer, or negative.
    """

    inference_batch_size: int = 256
    """Examples that a network annotates or validates at a time. With another number the pool is annotated again."""

    rows_per_shard: int = 65_536
    """Annotated examples in a shard of the store: what is annotated again at most when a run is stopped."""

    pool_shards: int = 16
    """The number of shards that `unlabeled`, given as a function, is asked for; each is annotated by one worker.

    At least as many as there are ever workers, since the order of the pool, and so the run, depends on it."""

    _pseudo_labeling: PerRound[Labeling]
    _run: RunDirectory
    _rounds: Sequence[RoundSettings]
    _verbose: int

    def __init__(self, task: Task, *, strategy: tf.distribute.Strategy, seed: int) -> None:
        super().__init__(task)
        self._strategy = strategy
        if not is_integer(seed, at_least=0):
            raise ValueError(f"`seed` must be an integer of at least 0. Received: seed={seed!r}.")
        self._seed = int(seed)
        self._teachers = LastTeachers()
        self._fitted: dict[int, Fitted] = {}

    def annotate(self, teacher: NoisyStudent, data: RunData, settings: RoundSettings) -> PseudoLabels:
        """Labels the pool with the un-noised teacher, and fits what the labels are corrected or selected by.

        Not called in round 0, nor for online annotation.
        """
        pool = self._pool(data, settings)
        make_writer = self._store_writer(teacher, pool, settings.pseudo_labeling, settings.index)
        pseudo_labels = annotate(
            self._annotating(teacher, settings.pseudo_labeling),
            pool,
            store=make_writer(worker=worker_of(tf.distribute.get_strategy()), before_shard=self._run.lock.check),
            batch_size=self.inference_batch_size,
            announce=lambda: self._tell(f"Round {settings.index}: the teacher annotates the unlabelled pool"),
            verbose=self._verbose == 1,
        )
        return self._corrected(pseudo_labels, teacher, data, settings)

    def select(self, pseudo_labels: PseudoLabels, settings: RoundSettings) -> Selection:
        """Filters by the score, and balances classes or tokens. Called after `annotate`."""
        rules = self._selection_rules(settings.pseudo_labeling, settings.index)
        stored = read_selection(pseudo_labels, rules)
        if stored is not None:
            return stored
        labeling = rules.pseudo_labeling
        selection = select(pseudo_labels.columns, labeling, num_classes=rules.num_classes, seed=rules.seed)
        return labeling.balanced(selection, pseudo_labels, seed=rules.seed)

    def next_store(self, unlabeled: Any) -> NextStore:
        """The store that the next round will look for, so that others may annotate it before that round begins.

        Args:
            unlabeled: what `fit_rounds` was given.

        Raises:
            ValueError: before `fit_rounds`, for other examples than the labelled ones, or when the next round annotates
                nothing, or not the whole pool.
        """
        teacher, index = self.teacher, len(self._rounds)
        pseudo_labeling = value_at(self._pseudo_labeling, index, name="pseudo_labeling")
        if pseudo_labeling.annotate != "stored":
            raise ValueError(
                'Only a round with annotate="stored" can be annotated beforehand. Received: '
                f'annotate="{pseudo_labeling.annotate}" in round {index}. Leave its annotation to `fit_rounds`.'
            )
        if not pseudo_labeling.averaging.is_of_one:
            raise ValueError(
                "Only a round with one teacher and no views can be annotated beforehand. Received: averaging="
                f"{pseudo_labeling.averaging!r} in round {index}. Leave its annotation to `fit_rounds`."
            )
        pool = same_examples_source(unlabeled, self._element_spec, name="unlabeled", num_shards=self.pool_shards)
        return NextStore(pool, self._store_writer(teacher, pool, pseudo_labeling, index), self._run.lock)

    def next_selection_rules(self) -> SelectionRules:
        """What the next round will select by.

        Raises:
            ValueError: before `fit_rounds`, or when the next round fits what it selects by.
        """
        _, index = self.teacher, len(self._rounds)
        pseudo_labeling = value_at(self._pseudo_labeling, index, name="pseudo_labeling")
        if pseudo_labeling.fitted:
            raise ValueError(
                "Only a round in which nothing is fitted can be selected beforehand. Received: pseudo_labeling="
                f"{pseudo_labeling!r} in round {index}. Leave its selection to `fit_rounds`, which fits "
                "them."
            )
        return self._selection_rules(pseudo_labeling, index)

    def _selection_rules(self, pseudo_labeling: Labeling, round_index: int) -> SelectionRules:
        seed = seeds.stream_key(self._seed, "select", round_index)
        return SelectionRules(pseudo_labeling, num_classes=self.task.num_classes, seed=seed)

    def _annotating(self, teacher: NoisyStudent, pseudo_labeling: Labeling) -> Teacher:
        """What annotates in a round."""
        averaging = pseudo_labeling.averaging
        networks = self._teachers.up_to(teacher.network, averaging.num_teachers)
        return Teacher(networks, self.task, views=averaging.views)

    def _online_teacher(self, teacher: NoisyStudent, settings: RoundSettings) -> OnlineTeacher:
        """What labels in the training step, by what `_fit_online` has fitted when it is called."""
        labeling, index = settings.pseudo_labeling, settings.index
        correction = (lambda: self._fitted[index].row_correction(self.task)) if labeling.fitted else None
        return OnlineTeacher(self._annotating(teacher, labeling), labeling, correction=correction)

    def _fit_online(self, teacher: NoisyStudent, data: RunData, settings: RoundSettings) -> None:
        """Fits the corrections of what the teacher will say in the training step, if there are any."""
        if settings.pseudo_labeling.fitted:
            made_by = self._made_by(teacher, settings.pseudo_labeling)
            self._fit(teacher, data, settings, fitted_to=made_by, pseudo_labels=None)

    def _corrected(
        self, pseudo_labels: PseudoLabels, teacher: NoisyStudent, data: RunData, settings: RoundSettings
    ) -> PseudoLabels:
        """The annotated pool as it is corrected in its round."""
        if not settings.pseudo_labeling.fitted:
            return pseudo_labels
        fitted_to = pseudo_labels.digest
        self._fit(teacher, data, settings, fitted_to=fitted_to, pseudo_labels=pseudo_labels)
        return pseudo_labels.corrected(self._fitted[settings.index].row_correction(self.task))

    def _fit(
        self,
        teacher: NoisyStudent,
        data: RunData,
        settings: RoundSettings,
        *,
        fitted_to: Any,
        pseudo_labels: PseudoLabels | None,
    ) -> None:
        self._fitted[settings.index] = fitted_once(
            self._run.corrections_path(settings.index),
            lambda: fit_round(
                settings,
                self._annotating(teacher, settings.pseudo_labeling),
                data,
                batch_size=self.inference_batch_size,
                pseudo_labels=pseudo_labels,
            ),
            origin=digest(describe([fitted_to, settings.pseudo_labeling.fitted])),
            strategy=self._strategy,
            before_writing=self._run.lock.check,
        )

    def _made_by(self, teacher: NoisyStudent, pseudo_labeling: Labeling) -> dict[str, Any]:
        """What tells the annotations of a round from those of another teacher."""
        averaging = pseudo_labeling.averaging
        networks = self._teachers.up_to(teacher.network, averaging.num_teachers)
        *earlier, digest_of_teacher = map(weights_digest, networks)
        made_by: dict[str, Any] = {
            "teacher": digest_of_teacher,
            "task": digest(describe(self.task)),
            "batch_size": self.inference_batch_size,
        }
        if earlier or averaging.views:
            made_by["averaged"] = {"earlier_teachers": earlier, "views": describe(averaging.views)}
        return made_by

    def _store_writer(
        self, teacher: NoisyStudent, pool: Source, pseudo_labeling: Labeling, round_index: int
    ) -> functools.partial[StoreWriter]:
        """Makes a writer of the store of a round, for a `worker`."""
        made_by = self._made_by(teacher, pseudo_labeling)
        if pool.kept_digest is not None:
            made_by["kept"] = pool.kept_digest
        return functools.partial(
            StoreWriter,
            self._run.pseudo_labels_path(round_index),
            made_by=made_by,
            blocks_per_shard=max(1, self.rows_per_shard // self.inference_batch_size),
            num_parts=pool.num_parts,
        )

    def _pool(self, data: RunData, settings: RoundSettings) -> Source:
        """What a round annotates and trains on."""
        rounds = self._rounds[: settings.index + 1]
        return pool_of_round(data.pool, rounds, store_of=self._finished_store, select=self.select)

    def _audit_labels(self, labels: np.ndarray, settings: RoundSettings) -> np.ndarray:
        """Of the labels of the pool those of what a round annotates, in its order."""
        rounds = self._rounds[: settings.index + 1]
        for is_kept, _ in kept_before(rounds, store_of=self._finished_store, select=self.select):
            labels = labels[is_kept]
        return labels

    def _audit(
        self,
        pseudo_labels: PseudoLabels | None,
        selection: Selection | None,
        data: RunData,
        settings: RoundSettings,
    ) -> dict[str, Any]:
        """What the record says of the pseudo-labels where their true classes are known. Nothing follows from it."""
        if pseudo_labels is None or selection is None or data.audit_labels is None:
            return {}
        audit_labels = self._audit_labels(data.audit_labels, settings)
        return audit_figures(pseudo_labels.columns, selection.repeats, audit_labels)

    def _finished_store(self, settings: RoundSettings) -> PseudoLabels:
        pseudo_labels = PseudoLabels(self._run.pseudo_labels_path(settings.index))
        if not settings.pseudo_labeling.fitted:
            return pseudo_labels
        fitted = read_fitted(self._run.corrections_path(settings.index))
        return pseudo_labels.corrected(fitted.row_correction(self.task))

    def _tell(self, message: Any) -> None:
        if self._verbose:
            print(message)
