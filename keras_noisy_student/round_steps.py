"""`RoundSteps`: what a round of Noisy Student Training is made of, a method for each step."""

import functools
import weakref
from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from keras_noisy_student import pipeline
from keras_noisy_student.callback_state import append_to_logs, check_callbacks
from keras_noisy_student.epoch_checkpointing import EpochCheckpointing
from keras_noisy_student.fine_tuning import FineTuning
from keras_noisy_student.freezing import frozen_before
from keras_noisy_student.history import RoundRecord
from keras_noisy_student.length_buckets import LengthBuckets
from keras_noisy_student.networks import check_teacher, weights_digest
from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.noise import Noise
from keras_noisy_student.non_finite import examples_named
from keras_noisy_student.pseudo_labels.corrected_labels import stored_annotation
from keras_noisy_student.pseudo_labels.score_histogram import score_histogram
from keras_noisy_student.pseudo_labels.selection import Selection
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.report_step import ReportStep
from keras_noisy_student.round_settings import PerRound, RoundSettings, value_at
from keras_noisy_student.run_data import RunData
from keras_noisy_student.run_directory.epoch_checkpoints import EpochCheckpoint
from keras_noisy_student.student import NoisyStudent
from keras_noisy_student.student_builder import StudentBuilder
from keras_noisy_student.tasks.task import Task
from keras_noisy_student.tensorboard_rounds import epochs_apart, log_dirs, write_round
from keras_noisy_student.workers import worker_of


class RoundSteps(ReportStep):
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

    length_buckets: LengthBuckets | None = None
    """Sorts utterances into batches by length; `None` leaves the stream as it is, for inputs of one length."""

    _students: StudentBuilder
    _callbacks: PerRound[Sequence[keras.callbacks.Callback]] | None

    def __init__(self, task: Task, *, strategy: tf.distribute.Strategy, seed: int) -> None:
        super().__init__(task, strategy=strategy, seed=seed)
        self._log_dirs: dict[int, list[str]] = {}
        self._validations: weakref.WeakKeyDictionary[NoisyStudent, dict[str, float]] = weakref.WeakKeyDictionary()

    def make_student(self, teacher: NoisyStudent | None, data: RunData, settings: RoundSettings) -> NoisyStudent:
        """Builds the network of a round, checks it and wraps it, compiled, with its noise."""
        teacher_network = None if teacher is None else teacher.network
        network = self._students.network(settings.index, examples=data.first_examples, teacher=teacher_network)
        online_teacher = None
        if teacher is not None and settings.pseudo_labeling.annotate == "online":
            online_teacher = self._online_teacher(teacher, settings)
        return self._students.wrap(network, settings.index, noise=settings.noise, online_teacher=online_teacher)

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

        def part(make: Callable[..., tf.data.Dataset], batch_size: int) -> tf.data.Dataset:
            return pipeline.in_buckets(
                lambda size, first: make(batch_size=size, first_batch=first),
                batch_size,
                first_batch=first_step,
                buckets=self.length_buckets,
                order_key=self._key("length buckets", settings),
            )

        key = self._key("labeled", settings)
        labeled_examples = functools.partial(pipeline.shuffled_examples, data.labeled, key=key)
        parts = [part(labeled_examples, settings.batch_size)]
        if settings.index > 0:
            unlabeled_examples = self._unlabeled_examples(data, pseudo_labels, selection, settings)
            parts.append(part(unlabeled_examples, settings.num_pseudo_labeled))
        return pipeline.join(*parts, noise=settings.noise, buckets=self.length_buckets)

    def _unlabeled_examples(
        self, data: RunData, pseudo_labels: PseudoLabels | None, selection: Selection | None, settings: RoundSettings
    ) -> Callable[..., tf.data.Dataset]:
        """Makes the batches of the part of the joint batch that the teacher labels, or has labelled."""
        key = self._key("pseudo_labeled", settings)
        if pseudo_labels is None or selection is None:
            return functools.partial(pipeline.unlabeled_examples, data.pool, key=key)
        selected = self._pool(data, settings).selected(
            selection.repeats, pseudo_labels.rows(), part_rows=pseudo_labels.part_rows
        )
        return functools.partial(
            pipeline.pseudo_labeled_examples,
            selected,
            settings.pseudo_labeling,
            annotation_of=pseudo_labels.correction or functools.partial(stored_annotation, task=self.task),
            key=key,
        )

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
        self._log_dirs[settings.index] = log_dirs(callbacks or [])
        shared_by_rounds = [] if callable(self._callbacks) else callbacks or []
        with epochs_apart(shared_by_rounds, settings.index):
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
        fitted = self._fitted.get(settings.index)
        return RoundRecord.of(settings.index, student.network, epochs, selection, metrics=metrics, fitted=fitted)

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

    def _write_to_tensorboard(
        self, record: RoundRecord, pseudo_labels: PseudoLabels | None, selection: Selection | None
    ) -> None:
        """Writes the finished round where a `TensorBoard` callback wrote its epochs."""
        log_dirs = self._log_dirs.get(record.round_index)
        if not log_dirs or not worker_of(self._strategy).is_chief:
            return
        scores = None
        if pseudo_labels is not None and selection is not None:
            scores = score_histogram(pseudo_labels.columns, selection.repeats)
        for log_dir in log_dirs:
            write_round(log_dir, record, scores)

    def _key(self, purpose: str, settings: RoundSettings) -> int:
        return seeds.stream_key(self._seed, purpose, settings.index)

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
