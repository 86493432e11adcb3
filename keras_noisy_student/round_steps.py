"""`RoundSteps`: what a round of Noisy Student Training is made of, a method for each step."""

import functools
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_noisy_student import pipeline
from keras_noisy_student.argument_checks import is_integer
from keras_noisy_student.callback_state import append_to_logs, check_callbacks
from keras_noisy_student.data_checks import same_examples_source
from keras_noisy_student.epoch_checkpointing import EpochCheckpointing
from keras_noisy_student.fine_tuning import FineTuning
from keras_noisy_student.freezing import frozen_before
from keras_noisy_student.history import RoundRecord
from keras_noisy_student.last_teachers import LastTeachers
from keras_noisy_student.networks import check_teacher, weights_digest
from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.noise import Noise
from keras_noisy_student.non_finite import examples_named
from keras_noisy_student.promoted_student import PromotedStudent
from keras_noisy_student.promotion import Promotion
from keras_noisy_student.pseudo_labels.annotate import annotate
from keras_noisy_student.pseudo_labels.corrected_labels import RowCorrection
from keras_noisy_student.pseudo_labels.fitted_corrections import FittedCorrections, read_fitted
from keras_noisy_student.pseudo_labels.online import OnlineTeacher
from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.pseudo_labels.select import select
from keras_noisy_student.pseudo_labels.selection import Selection
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.pseudo_labels.store_writer import StoreWriter
from keras_noisy_student.pseudo_labels.stored_selection import SelectionRules, read_selection
from keras_noisy_student.pseudo_labels.teacher import Teacher
from keras_noisy_student.relabeling import pool_of_round
from keras_noisy_student.round_corrections import fit_round, fitted_once
from keras_noisy_student.round_settings import PerRound, RoundSettings, value_at
from keras_noisy_student.run_data import RunData
from keras_noisy_student.run_directory.description import describe, digest
from keras_noisy_student.run_directory.epoch_checkpoints import EpochCheckpoint
from keras_noisy_student.run_directory.run_directory import RunDirectory
from keras_noisy_student.run_directory.run_lock import RunLock
from keras_noisy_student.sources.source import Source
from keras_noisy_student.student import NoisyStudent
from keras_noisy_student.student_builder import StudentBuilder
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


class RoundSteps(PromotedStudent):
    """The steps that `NoisyStudentTrainer` runs in every round; a subclass of it may override each.

    Args:
        task: what a target is.
        strategy: whose replicas and workers share the work.
        seed: of order, selection and noise.

    Raises:
        ValueError: for a seed that is no integer, or negative.
    """

    student_class: type[NoisyStudent] = NoisyStudent
    """The model of a round; a subclass of `NoisyStudent` here changes the training step."""

    inference_batch_size: int = 256
    """Examples that a network annotates or validates at a time. With another number the pool is annotated again."""

    rows_per_shard: int = 65_536
    """Annotated examples in a shard of the store: what is annotated again at most when a run is stopped."""

    pool_shards: int = 16
    """The number of shards that `unlabeled`, given as a function, is asked for; each is annotated by one worker.

    At least as many as there are ever workers, since the order of the pool, and so the run, depends on it."""

    _pseudo_labeling: PerRound[PseudoLabeling]
    _run: RunDirectory
    _rounds: Sequence[RoundSettings]
    _students: StudentBuilder
    _promotion: Promotion
    _callbacks: PerRound[Sequence[keras.callbacks.Callback]] | None
    _verbose: int

    def __init__(self, task: Task, *, strategy: tf.distribute.Strategy, seed: int) -> None:
        super().__init__(task)
        self._strategy = strategy
        if not is_integer(seed, at_least=0):
            raise ValueError(f"`seed` must be an integer of at least 0. Received: seed={seed!r}.")
        self._seed = int(seed)
        self._teachers = LastTeachers()
        self._fitted: dict[int, FittedCorrections] = {}
        self._validations: weakref.WeakKeyDictionary[NoisyStudent, dict[str, float]] = weakref.WeakKeyDictionary()

    def make_student(self, teacher: NoisyStudent | None, data: RunData, settings: RoundSettings) -> NoisyStudent:
        """Builds the network of a round, checks it and wraps it, compiled, with its noise."""
        teacher_network = None if teacher is None else teacher.network
        network = self._students.network(settings.index, examples=data.first_examples(), teacher=teacher_network)
        online_teacher = None
        if teacher is not None and settings.pseudo_labeling.annotate == "online":
            online_teacher = self._online_teacher(teacher, data, settings)
        return self._students.wrap(network, settings.index, noise=settings.noise, online_teacher=online_teacher)

    def annotate(self, teacher: NoisyStudent, data: RunData, settings: RoundSettings) -> PseudoLabels:
        """Labels the pool with the un-noised teacher. Not called in round 0, nor for online annotation."""
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
        """Filters by confidence and balances the classes. Called after `annotate`."""
        rules = self._selection_rules(settings.pseudo_labeling, settings.index)
        stored = read_selection(pseudo_labels, rules)
        if stored is not None:
            return stored
        return select(pseudo_labels.columns, rules.pseudo_labeling, num_classes=rules.num_classes, seed=rules.seed)

    def join(
        self,
        data: RunData,
        pseudo_labels: PseudoLabels | None,
        selection: Selection | None,
        settings: RoundSettings,
        *,
        first_step: int,
    ) -> tf.data.Dataset:
        """Joins labelled and pseudo-labelled examples into an endless stream of joint batches, from a step on.

        Round 0 has labelled examples only; with online annotation there are no pseudo-labels to join yet. A round that
        goes on does so at the step after its last finished epoch.
        """
        labeled = pipeline.shuffled_examples(
            data.labeled, settings.batch_size, key=self._key("labeled", settings), first_batch=first_step
        )
        if settings.index == 0:
            return pipeline.join(labeled, noise=settings.noise)
        batch_size = settings.num_pseudo_labeled
        key = self._key("pseudo_labeled", settings)
        if pseudo_labels is None or selection is None:
            unlabeled = pipeline.unlabeled_examples(data.pool, batch_size, key=key, first_batch=first_step)
            return pipeline.join(labeled, unlabeled, noise=settings.noise)
        selected = self._pool(data, settings).selected(selection.repeats, pseudo_labels.rows())
        pseudo_labeled = pipeline.pseudo_labeled_examples(
            selected,
            settings.pseudo_labeling,
            num_classes=self.task.num_classes,
            correction=pseudo_labels.correction,
            batch_size=batch_size,
            key=key,
            first_batch=first_step,
        )
        return pipeline.join(labeled, pseudo_labeled, noise=settings.noise)

    def train(
        self,
        student: NoisyStudent,
        batches: tf.data.Dataset,
        data: RunData,
        settings: RoundSettings,
        *,
        checkpoint: EpochCheckpoint | None,
    ) -> dict[str, list[float]]:
        """Trains the student with noise, from a checkpoint on if there is one; returns the logs of every epoch."""
        callbacks = value_at(self._callbacks, settings.index, name="callbacks")
        check_callbacks(callbacks)
        if checkpoint is not None:
            _check_epochs(checkpoint, settings)
            append_to_logs(callbacks or [])
        checkpointing = EpochCheckpointing(
            functools.partial(self._run.save_epoch, settings.index),
            resume_from=checkpoint,
            callbacks=callbacks or [],
        )
        self._run_epochs(
            student,
            batches,
            data,
            checkpointing,
            epochs=settings.epochs,
            steps_per_epoch=settings.steps_per_epoch,
            what=f"Round {settings.index}: training the {_who(settings)}",
        )
        return checkpointing.logs

    def fine_tune(
        self, student: NoisyStudent, data: RunData, settings: RoundSettings
    ) -> tuple[NoisyStudent, dict[str, list[float]]]:
        """Trains on, on the labelled data alone and without input noise, where the round has a `FineTuning`.

        Goes on from its last finished epoch if there is one.

        Returns:
            The fine-tuned student, and its logs of every epoch by names that begin with `fine_tune_`; the student as it
            is and no logs where the round has no fine-tuning.
        """
        fine_tuning = settings.fine_tuning
        if fine_tuning is None:
            return student, {}
        trained = weights_digest(student.network)
        student = self._students.to_fine_tune(student, settings.index, fine_tuning)
        checkpointing = EpochCheckpointing(
            functools.partial(self._run.save_epoch, settings.index, fine_tuned=trained),
            resume_from=self._run.checkpoints(settings.index, fine_tuned=trained).last(),
            callbacks=[],
        )
        batch_size, steps_per_epoch = fine_tuning.steps(batch_size=settings.batch_size, num_labeled=len(data.labels))

        def batches_from(first_step: int) -> tf.data.Dataset:
            key = self._key("fine_tuning", settings)
            examples = pipeline.shuffled_examples(data.labeled, batch_size, key=key, first_batch=first_step)
            return pipeline.join(examples, noise=Noise())

        with frozen_before(student.network, fine_tuning.train_from), examples_named(batches_from):
            self._run_epochs(
                student,
                batches_from(checkpointing.num_epochs * steps_per_epoch),
                data,
                checkpointing,
                epochs=fine_tuning.epochs,
                steps_per_epoch=steps_per_epoch,
                what=f"Round {settings.index}: fine-tuning the {_who(settings)}{_at(fine_tuning)}",
            )
        logs = ", ".join(f"{name} {values[-1]:.4f}" for name, values in sorted(checkpointing.logs.items()))
        self._tell(f"Round {settings.index}: fine-tuned: {logs}")
        return student, {f"fine_tune_{name}": values for name, values in checkpointing.logs.items()}

    def promote(
        self, student: NoisyStudent, teacher: NoisyStudent | None, data: RunData, settings: RoundSettings
    ) -> NoisyStudent:
        """Makes the student the teacher of the next round, or keeps the teacher of this one, as `promotion` says.

        Stops if the student is no better than chance on the labelled data. `teacher` is `None` in round 0.
        """
        check_teacher(student.network, data.labeled_batches(self.inference_batch_size), self.task)
        if teacher is None or self._promotion.promote == "always":
            return student
        gain = self._gain(student, teacher, data)
        return student if gain is not None and gain > 0 else teacher

    def record(
        self,
        student: NoisyStudent,
        epochs: dict[str, list[float]],
        selection: Selection | None,
        data: RunData,
        settings: RoundSettings,
    ) -> RoundRecord:
        """What is kept of the round: the last logs, with the validation of the weights that training left."""
        metrics = {name: values[-1] for name, values in epochs.items()} | self._validate(student, data)
        corrections = self._fitted.get(settings.index)
        return RoundRecord.of(
            settings.index, student.network, epochs, selection, metrics=metrics, corrections=corrections
        )

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
            ValueError: before `fit_rounds`, or when the next round has corrections, which it fits itself.
        """
        _, index = self.teacher, len(self._rounds)
        pseudo_labeling = value_at(self._pseudo_labeling, index, name="pseudo_labeling")
        if pseudo_labeling.corrections:
            raise ValueError(
                "Only a round without corrections can be selected beforehand. Received: corrections="
                f"{pseudo_labeling.corrections!r} in round {index}. Leave its selection to `fit_rounds`, which fits "
                "them."
            )
        return self._selection_rules(pseudo_labeling, index)

    def _selection_rules(self, pseudo_labeling: PseudoLabeling, round_index: int) -> SelectionRules:
        seed = seeds.stream_key(self._seed, "select", round_index)
        return SelectionRules(pseudo_labeling, num_classes=self.task.num_classes, seed=seed)

    def _annotating(self, teacher: NoisyStudent, pseudo_labeling: PseudoLabeling) -> Teacher:
        """What annotates in a round."""
        averaging = pseudo_labeling.averaging
        teachers = self._teachers.up_to(teacher, averaging.num_teachers)
        return Teacher([each.network for each in teachers], self.task, views=averaging.views)

    def _online_teacher(self, teacher: NoisyStudent, data: RunData, settings: RoundSettings) -> OnlineTeacher:
        annotating = self._annotating(teacher, settings.pseudo_labeling)
        if not settings.pseudo_labeling.corrections:
            return OnlineTeacher(annotating, settings.pseudo_labeling)
        batch_size = self.inference_batch_size
        fitted = fit_round(settings, annotating, data, batch_size=batch_size, pseudo_labels=None)
        self._fitted[settings.index] = fitted
        return OnlineTeacher(annotating, settings.pseudo_labeling, correction=fitted.probability_map)

    def _corrected(
        self, pseudo_labels: PseudoLabels, teacher: NoisyStudent, data: RunData, settings: RoundSettings
    ) -> PseudoLabels:
        """The annotated pool through the corrections of its round."""
        corrections = settings.pseudo_labeling.corrections
        if not corrections:
            return pseudo_labels
        self._fitted[settings.index] = fitted_once(
            self._run.corrections_path(settings.index),
            lambda: fit_round(
                settings,
                self._annotating(teacher, settings.pseudo_labeling),
                data,
                batch_size=self.inference_batch_size,
                pseudo_labels=pseudo_labels,
            ),
            origin=digest(describe([pseudo_labels.digest, corrections])),
            strategy=self._strategy,
            before_writing=self._run.lock.check,
        )
        return pseudo_labels.corrected(RowCorrection(self._fitted[settings.index].probability_map, self.task))

    def _store_writer(
        self, teacher: NoisyStudent, pool: Source, pseudo_labeling: PseudoLabeling, round_index: int
    ) -> functools.partial[StoreWriter]:
        """Makes a writer of the store of a round, for a `worker`."""
        batch_size, averaging = self.inference_batch_size, pseudo_labeling.averaging
        teachers = self._teachers.up_to(teacher, averaging.num_teachers)
        *earlier, digest_of_teacher = [weights_digest(each.network) for each in teachers]
        made_by: dict[str, Any] = {"teacher": digest_of_teacher, "batch_size": batch_size}
        if earlier or averaging.views:
            made_by["averaged"] = {"earlier_teachers": earlier, "views": describe(averaging.views)}
        if pool.kept_digest is not None:
            made_by["kept"] = pool.kept_digest
        return functools.partial(
            StoreWriter,
            self._run.pseudo_labels_path(round_index),
            made_by=made_by,
            blocks_per_shard=max(1, self.rows_per_shard // batch_size),
            num_parts=pool.num_parts,
        )

    def _pool(self, data: RunData, settings: RoundSettings) -> Source:
        """What a round annotates and trains on."""
        rounds = self._rounds[: settings.index + 1]
        return pool_of_round(data.pool, rounds, store_of=self._finished_store, select=self.select)

    def _finished_store(self, settings: RoundSettings) -> PseudoLabels:
        pseudo_labels = PseudoLabels(self._run.pseudo_labels_path(settings.index))
        if not settings.pseudo_labeling.corrections:
            return pseudo_labels
        fitted = read_fitted(self._run.corrections_path(settings.index))
        return pseudo_labels.corrected(RowCorrection(fitted.probability_map, self.task))

    def _run_epochs(
        self,
        student: NoisyStudent,
        batches: tf.data.Dataset,
        data: RunData,
        checkpointing: EpochCheckpointing,
        *,
        epochs: int,
        steps_per_epoch: int,
        what: str,
    ) -> None:
        """Trains what is left of the epochs, which may be nothing but the end of training."""
        done = epochs if checkpointing.has_stopped else checkpointing.num_epochs
        if done < epochs:
            self._tell(what + (f" from epoch {done + 1}" if done else ""))
        with pipeline.pool_errors_explained():
            student.fit(
                batches,
                initial_epoch=done,
                epochs=epochs,
                steps_per_epoch=steps_per_epoch,
                validation_data=data.validation_batches(self.inference_batch_size),
                callbacks=[*checkpointing.callbacks, checkpointing],
                verbose=self._verbose,
            )

    def _key(self, purpose: str, settings: RoundSettings) -> int:
        return seeds.stream_key(self._seed, purpose, settings.index)

    def _tell(self, message: Any) -> None:
        if self._verbose:
            print(message)

    def _validate(self, student: NoisyStudent, data: RunData) -> dict[str, float]:
        """The validation metrics of a trained student; it is evaluated once."""
        if student not in self._validations:
            batches = data.validation_batches(self.inference_batch_size)
            self._validations[student] = {} if batches is None else validate(student, batches)
        return self._validations[student]

    def _gain(self, student: NoisyStudent, teacher: NoisyStudent | None, data: RunData) -> float | None:
        if teacher is None:
            return None
        return self._promotion.gain(self._validate(student, data), over=self._validate(teacher, data))


def _who(settings: RoundSettings) -> str:
    return "student" if settings.index else "first teacher"


def _at(fine_tuning: FineTuning) -> str:
    return "" if fine_tuning.size is None else f" at {fine_tuning.size[0]}x{fine_tuning.size[1]}"


def _check_epochs(checkpoint: EpochCheckpoint, settings: RoundSettings) -> None:
    if checkpoint.num_epochs > settings.epochs:
        raise ValueError(
            f"`epochs` must be at least as many as were trained. Received: epochs={settings.epochs} in round "
            f"{settings.index}, of which {checkpoint.num_epochs} are finished. Pass epochs={checkpoint.num_epochs}, or "
            "delete the checkpoints of the round to train it anew."
        )


def validate(student: NoisyStudent, batches: tf.data.Dataset) -> dict[str, float]:
    """The loss and the metrics of a student on validation data, by the names that Keras gives them in training."""
    metrics: Mapping[str, float] = student.evaluate(batches, return_dict=True, verbose=0)
    return {f"val_{name}": value for name, value in metrics.items()}
