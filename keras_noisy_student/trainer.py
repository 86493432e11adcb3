"""`NoisyStudentTrainer`: the loop over rounds, which reads like the paper's algorithm."""

import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student._version import __version__
from keras_noisy_student.annotation_checks import check_annotation, check_audit
from keras_noisy_student.argument_checks import check_count, checked_directory, checked_verbose
from keras_noisy_student.callback_state import check_callbacks
from keras_noisy_student.compile_arguments import CompileArguments
from keras_noisy_student.distributed_model import check_is_in_scope, check_parts_divide
from keras_noisy_student.fine_tuning import FineTuning
from keras_noisy_student.history import RoundRecord, RoundsHistory
from keras_noisy_student.interruption import exit_on_sigterm
from keras_noisy_student.joint_batch import LossReduction
from keras_noisy_student.last_teachers import LastTeachers
from keras_noisy_student.networks import check_examples, check_network, weights_digest
from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.noise import Noise
from keras_noisy_student.non_finite import OnNonFinite, examples_named
from keras_noisy_student.promotion import Promotion
from keras_noisy_student.pseudo_labels.labeling import Labeling
from keras_noisy_student.pseudo_labels.majority import warn_of_majority
from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.pseudo_labels.transcript_labeling import TranscriptLabeling
from keras_noisy_student.round_settings import PerRound, RoundSettings, resolve_rounds, value_at
from keras_noisy_student.round_steps import RoundSteps, validate
from keras_noisy_student.round_summary import RoundSummary, print_summaries, set_noise_of_found_layers
from keras_noisy_student.run_data import RunData, check_run_data
from keras_noisy_student.run_directory.description import describe, describe_network
from keras_noisy_student.run_directory.followed_run_directory import FollowedRunDirectory
from keras_noisy_student.run_directory.run_directory import RunDirectory
from keras_noisy_student.student import NoisyStudent
from keras_noisy_student.student_builder import StudentBuilder
from keras_noisy_student.students.from_teacher import FromTeacher, new_student
from keras_noisy_student.tasks.task import Task
from keras_noisy_student.tasks.transcription import Transcription
from keras_noisy_student.workers import checked_strategy, chief_first, worker_of


class NoisyStudentTrainer(RoundSteps):
    """Trains a teacher, then students that learn from its pseudo-labels with noise, each the teacher of the next.

    Round 0 trains the first teacher on the labelled data alone. Every further round runs the steps of `RoundSteps`,
    each a method that a subclass may override: `make_student`, `annotate`, `select`, `join`, `train`, `fine_tune`,
    `promote`, `record`.

    What is marked "by round" may be a value or a function of the round index.

    Args:
        student: by round: the network. A Keras model, of which every round trains a newly initialised copy, or a
            function that builds one, whose weights are those that the round begins with, be they new or read from a
            file. `students.FromTeacher` of either, in all rounds or some, begins with those of the teacher. A student
            must have at least as many parameters as its teacher. Each network resizes for itself, so that they may
            differ in resolution.
        task: what a target is, for instance `Classification(num_classes=10)`.
        noise: by round: the `Noise` of the training; none by default.
        pseudo_labeling: by round: the `PseudoLabeling`, of a `Transcription` the `TranscriptLabeling`; by default soft
            labels, or transcripts, of the whole pool.
        unlabeled_ratio: by round: unlabelled examples for each labelled one in a joint batch, which holds the nearest
            whole number of them.
        fine_tuning: by round: the `FineTuning` that ends it, the first teacher's too; none by default.
        teacher: a trained model to start from, in place of round 0.
        allow_smaller_student: whether a student may have fewer parameters than its teacher.
        strategy: a `tf.distribute.Strategy` to train and annotate with, on several devices or machines; that of the
            current scope by default. `student` is called inside its scope.
        directory: where the run is kept; a new temporary directory by default. A run that was stopped goes on when it
            is started again with the same arguments.
        seed: of initialisation, order and noise.

    Raises:
        ValueError: for arguments of a wrong type.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> y = rng.integers(0, 2, 64)
        >>> x = rng.normal(y[:, None], 0.5, (64, 4)).astype("float32")
        >>> trainer = NoisyStudentTrainer(
        ...     student=keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")]),
        ...     task=Classification(num_classes=2),
        ... )
        >>> trainer.compile(keras.optimizers.Adam(0.1))
        >>> history = trainer.fit_rounds((x[:32], y[:32]), x[32:], num_rounds=1, batch_size=8, epochs=5, verbose=0)
        >>> [record.num_kept for record in history]
        [0, 32]
        >>> trainer.predict(x[:3], verbose=0).shape
        (3, 2)

    Reference:
        Xie et al. 2019, Self-training with Noisy Student improves ImageNet classification, arXiv 1911.04252.
    """

    def __init__(
        self,
        student: PerRound[keras.Model | FromTeacher],
        task: Task,
        noise: PerRound[Noise] | None = None,
        pseudo_labeling: PerRound[Labeling] | None = None,
        *,
        unlabeled_ratio: PerRound[float] = 1.0,
        fine_tuning: PerRound[FineTuning | None] = None,
        teacher: keras.Model | None = None,
        allow_smaller_student: bool = False,
        strategy: tf.distribute.Strategy | None = None,
        directory: str | os.PathLike[str] | None = None,
        seed: int = 0,
    ) -> None:
        if not callable(student) and not isinstance(student, FromTeacher):
            raise ValueError(
                "`student` must be a keras.Model, a function of the round index that returns one, or a FromTeacher. "
                f"Received: {type(student).__name__}."
            )
        if not isinstance(task, Task):
            raise ValueError(f"`task` must be a Task, such as Classification(num_classes=10). Received: {task!r}.")
        if teacher is not None and not isinstance(teacher, keras.Model):
            raise ValueError(f"`teacher` must be a trained keras.Model. Received: {type(teacher).__name__}.")
        super().__init__(task, strategy=checked_strategy(strategy), seed=seed)
        if teacher is not None:
            check_is_in_scope(teacher.weights, self._strategy, what="`teacher`")
        self.directory = checked_directory(directory)
        self._check_directory_is_shared()
        self._student = student
        self._noise = Noise() if noise is None else noise
        self._pseudo_labeling = _default_labeling(task) if pseudo_labeling is None else pseudo_labeling
        self._unlabeled_ratio = unlabeled_ratio
        self._fine_tuning = fine_tuning
        self._given_teacher = teacher
        self._allow_smaller_student = allow_smaller_student
        self._compiled: CompileArguments | None = None
        self._summaries: list[RoundSummary] = []

    def compile(
        self,
        optimizer: PerRound[Any] = "adam",
        *,
        loss_reduction: LossReduction = "mean",
        metrics: Sequence[Any] | None = None,
        promotion: Promotion | None = None,
        on_non_finite: OnNonFinite = "stop",
        jit_compile: bool | str = "auto",
        steps_per_execution: int = 1,
        run_eagerly: bool = False,
    ) -> None:
        """Configures training. Everything but the loss, which is the task's, means what it means in
        `keras.Model.compile`.

        Args:
            optimizer: by round: an optimizer, of which every round gets an unused copy, or its name.
            loss_reduction: `"mean"` over the joint batch, or `"sum_of_means"` of its two parts.
            metrics: of the labelled examples in training, and of evaluation; the task's own by default.
            promotion: which student becomes the next teacher, and when to stop; every student does, and the last round
                is the end, by default.
            on_non_finite: whether a step with a NaN or infinite loss or gradient stops the run (`"stop"`), or is left
                out and counted (`"skip"`): see `NoisyStudent.compile`.
            jit_compile: whether to compile the step with XLA.
            steps_per_execution: steps run in one call; must divide `steps_per_epoch`.
            run_eagerly: whether to run without a graph, to debug.
        """
        self._compiled = CompileArguments(
            optimizer=optimizer,
            loss_reduction=loss_reduction,
            metrics=self.task.metrics() if metrics is None else metrics,
            promotion=Promotion() if promotion is None else promotion,
            on_non_finite=on_non_finite,
            jit_compile=jit_compile,
            steps_per_execution=steps_per_execution,
            run_eagerly=run_eagerly,
        )

    def fit_rounds(
        self,
        labeled: Any,
        unlabeled: Any = None,
        audit_labels: Any = None,
        *,
        num_rounds: int = 3,
        batch_size: PerRound[int] = 32,
        epochs: PerRound[int] = 1,
        steps_per_epoch: PerRound[int] | None = None,
        validation_data: Any = None,
        callbacks: PerRound[Sequence[keras.callbacks.Callback]] | None = None,
        verbose: int | str = "auto",
    ) -> RoundsHistory:
        """Runs Noisy Student Training, or goes on with the run in `directory`.

        What was finished there is not done again: rounds, epochs, and shards of the annotated pool. On one CPU device
        the run ends as if it had never been stopped, to the last bit.

        Args:
            labeled: a pair of arrays `(x, y)`, or a `tf.data.Dataset` of unbatched `(x, y)`.
            unlabeled: an array of `x`, an unbatched data set of it in a deterministic order, or a function
                `(num_shards, shard)` that returns such a data set for each of `pool_shards` shards; or a list of these,
                which are one pool, mixed in training by their sizes.
            audit_labels: the true class ids of the pool, integers `(examples,)`, for those who have them: the records
                and the report then say how many pseudo-labels are right, and nothing else is made of them. They stand
                in the order of the pool: of several pools one after the other, of a function shard by shard. A run may
                go on with or without them; where nothing is stored (`annotate="online"`), they judge nothing. For
                classes alone, not for transcripts.
            num_rounds: students to train after the first teacher; 0 trains the teacher alone.
            batch_size: by round: labelled examples in a batch.
            epochs: by round: epochs to train.
            steps_per_epoch: by round: joint batches in an epoch; by default those that the labelled data fill.
            validation_data: labelled data to evaluate after every epoch, without noise.
            callbacks: by round: Keras callbacks. Early stopping and learning-rate plateaus go on where they were, as do
                callbacks that have `get_state()` and `set_state(state)`. `keras.callbacks.TensorBoard(log_dir)` shows
                the epochs of each round as runs of their own, `round_<index>`, and as the run `rounds` the figures of
                every round and histograms of its pseudo-labels; by round, its epochs are in its `log_dir` itself. A
                file that a callback writes anew in every round needs a name by round:
                `lambda round_index: [keras.callbacks.CSVLogger(f"round_{round_index}.csv")]`.
            verbose: 0 is silent, 1 shows progress bars, 2 a line per epoch.

        Returns:
            The records of all rounds.

        Raises:
            ValueError: for data or settings that cannot work, or that are not those of the run in `directory`, before
                anything is trained; for a teacher no better than chance, a threshold that keeps nothing, or a loss or
                gradient that is not finite, when it happens.
            RuntimeError: when another process is writing to `directory`.
            OSError: when it cannot be written.
        """
        if self._compiled is None:
            raise ValueError("The trainer is not compiled. Call `compile(optimizer=...)` before `fit_rounds`.")
        data = check_run_data(
            labeled,
            unlabeled,
            validation_data,
            audit_labels=audit_labels,
            task=self.task,
            num_rounds=num_rounds,
            pool_shards=self.pool_shards,
        )
        lengths = {"batch_size": batch_size, "epochs": epochs, "steps_per_epoch": steps_per_epoch}
        rounds = resolve_rounds(
            {**self._settings_by_round(), **lengths},
            num_rounds=num_rounds,
            num_labeled=len(data.labels),
            steps_per_execution=self._compiled.steps_per_execution,
        )
        if self.length_buckets is not None:
            self.length_buckets.check_examples(data.element_spec)
        check_audit(rounds, data)
        self._rounds = rounds
        if not callable(callbacks):
            check_callbacks(callbacks)
        self._callbacks = callbacks
        is_chief = worker_of(self._strategy).is_chief
        self._verbose = checked_verbose(verbose) if is_chief else 0
        self._promotion = self._compiled.promotion
        self._students = StudentBuilder(
            self._student,
            self.task,
            student_class=self.student_class,
            compiled=self._compiled,
            allow_smaller_student=self._allow_smaller_student,
            seed=self._seed,
        )
        with self._strategy.scope():
            self._check_students(data, rounds)
            return self._run_in_directory(data, rounds)

    def summary(self, *, num_rounds: int | None = None, print_fn: Callable[[str], object] | None = None) -> None:
        """Prints a table of the rounds: their networks, what noise is set in which layers, and what they train on.

        Before `fit_rounds` it builds the networks to look at them. Of one that is not built by its constructor
        (a subclassed model, or a `Sequential` without an `Input`), parameters and the layers that `build` makes are
        known once it has been called on examples, which `fit_rounds` does first. `trainer.model.summary()` is that of
        the last student's network.

        Args:
            num_rounds: students to show after the first teacher; by default those of the last `fit_rounds`, or one
                before it.
            print_fn: takes the text, as that of `keras.Model.summary`; by default it is printed.

        Raises:
            ValueError: for settings or networks that do not work.
        """
        if num_rounds is None:
            num_rounds = len(self._summaries) - 1 if self._summaries else 1
        check_count("num_rounds", num_rounds, at_least=0)
        planned = [self._planned(index) for index in range(len(self._summaries), num_rounds + 1)]
        print_summaries([*self._summaries[: num_rounds + 1], *planned], print_fn=print_fn)

    def _planned(self, round_index: int) -> RoundSummary:
        """The summary of a round that `fit_rounds` does not know of yet."""
        if round_index == 0 and self._given_teacher is not None:
            return RoundSummary.of_given_teacher(self._given_teacher)
        settings = {
            name: value_at(setting, round_index, name=name) for name, setting in self._settings_by_round().items()
        }
        with self._strategy.scope(), seeds.seeded_initialization(self._seed):
            network, _ = new_student(self._student, round_index)
            set_noise_of_found_layers(network, settings["noise"])
            return RoundSummary.of(round_index, network, settings)

    def _settings_by_round(self) -> dict[str, Any]:
        return {
            "noise": self._noise,
            "pseudo_labeling": self._pseudo_labeling,
            "unlabeled_ratio": self._unlabeled_ratio,
            "fine_tuning": self._fine_tuning,
        }

    def _run_in_directory(self, data: RunData, rounds: Sequence[RoundSettings]) -> RoundsHistory:
        run_directory = RunDirectory if worker_of(self._strategy).is_chief else FollowedRunDirectory
        self._run = run_directory(self.directory or tempfile.mkdtemp(prefix="noisy_student_"))
        if self.directory is None:
            self._tell(f"`directory` was not given: the run is kept in {self._run.path}")
        with exit_on_sigterm(), self._run.lock:
            with chief_first(self._strategy):
                self._run.claim(self._description(data))
            try:
                return self._run_rounds(data, rounds)
            except (KeyboardInterrupt, SystemExit):
                self._tell(
                    f"Stopped. Every finished epoch and shard is kept: call `fit_rounds` again with the same arguments "
                    f"and directory={self._run.path!r} to go on."
                )
                raise

    def _run_rounds(self, data: RunData, rounds: Sequence[RoundSettings]) -> RoundsHistory:
        teacher, records = None, []
        self._begin_report()
        self._teachers = LastTeachers(max(each.pseudo_labeling.averaging.num_teachers for each in rounds))
        for settings in rounds:
            is_finished = self._run.is_finished(settings.index)
            if settings.index == 0 and self._given_teacher is not None:
                teacher, record = self._start_from_given_teacher(data, settings)
            elif is_finished:
                teacher, record = self._restore_round(teacher, data, settings)
            else:
                teacher, record = self.run_round(teacher, data, settings)
            records.append(record)
            self._teachers.add(teacher.network)
            self._promoted(teacher, data)
            self._tell(f"{record} (from {self._run.path})" if is_finished else record)
            if self._promotion.ends([record.metrics for record in records]):
                self._tell(f"No better student in the last {self._promotion.stop_after} rounds: the run ends here.")
                break
        return RoundsHistory(records)

    def run_round(
        self, teacher: NoisyStudent | None, data: RunData, settings: RoundSettings
    ) -> tuple[NoisyStudent, RoundRecord]:
        """Runs one round: the algorithm of the paper.

        Args:
            teacher: of this round; `None` in round 0, which trains the first one.
            data: what `fit_rounds` was given.
            settings: of this round.

        Returns:
            The teacher of the next round, and the record of this one.
        """
        started = time.monotonic()
        student = self._claimed_student(teacher, data, settings)
        checkpoint = self._run.checkpoints(settings.index).last()
        pseudo_labels, selection = None, None
        if teacher is not None and settings.pseudo_labeling.annotate == "online":
            self._fit_online(teacher, data, settings)
        elif teacher is not None:
            pseudo_labels = self.annotate(teacher, data, settings)
            selection = self.select(pseudo_labels, settings)
            warn_of_majority(selection, data.labels)
        audit = self._audit(pseudo_labels, selection, data, settings)

        def batches_from(first_step: int) -> tf.data.Dataset:
            return self.join(data, pseudo_labels, selection, settings, first_step=first_step)

        first_step = 0 if checkpoint is None else checkpoint.num_epochs * settings.steps_per_epoch
        with examples_named(batches_from):
            epochs = self.train(student, batches_from(first_step), data, settings, checkpoint=checkpoint)
        student, fine_tuning_epochs = self.fine_tune(student, data, settings)
        promoted = self.promote(student, teacher, data, settings)
        record = self.record(student, epochs | fine_tuning_epochs, selection, data, settings)
        record = dataclasses.replace(
            record,
            **audit,
            gain=self._gain(student, teacher, data),
            is_promoted=promoted is student,
            seconds=time.monotonic() - started,
        )
        self._write_to_tensorboard(record, pseudo_labels, selection)
        self._run.save_round(record, student.network)
        self._report_round(record, student, data, settings, pseudo_labels=pseudo_labels, selection=selection)
        return promoted, record

    def _description(self, data: RunData) -> dict[str, Any]:
        """What makes another run of the same directory. More rounds do not, so neither does `stop_after`."""
        promotion = describe(self._promotion)
        del promotion["stop_after"]
        return {
            "version": __version__,
            "seed": self._seed,
            "task": self.task,
            "teacher": None if self._given_teacher is None else weights_digest(self._given_teacher),
            "data": data.description(),
            "promotion": promotion,
        }

    def _claimed_student(self, teacher: NoisyStudent | None, data: RunData, settings: RoundSettings) -> NoisyStudent:
        """The student of a round, whose directory is marked with what it results from."""
        student = self.make_student(teacher, data, settings)
        description = {
            **settings.used(),
            **self._students.compiled.description(),
            "teacher": None if teacher is None else weights_digest(teacher.network),
            "student_class": type(student),
            "network": describe_network(student.network),
            "num_parameters": student.network.count_params(),
            "optimizer": student.optimizer,
        }
        if self.length_buckets is not None:
            description["length_buckets"] = self.length_buckets
        if settings.index > 0:
            description["starts_from_teacher"] = self._students.starts_from_teacher(settings.index)
        with chief_first(self._strategy):
            self._run.claim_round(settings.index, description)
        return student

    def _restore_round(
        self, teacher: NoisyStudent | None, data: RunData, settings: RoundSettings
    ) -> tuple[NoisyStudent, RoundRecord]:
        """Takes a finished round from the run directory."""
        student = self._claimed_student(teacher, data, settings)
        if settings.fine_tuning is not None:
            student = self._students.to_fine_tune(student, settings.index, settings.fine_tuning)
        record = self._run.load_round(settings.index, student.network)
        self._validations[student] = {n: value for n, value in record.metrics.items() if n.startswith("val_")}
        record = self._report_again(record, student, data, settings)
        return self.promote(student, teacher, data, settings), record

    def _start_from_given_teacher(self, data: RunData, settings: RoundSettings) -> tuple[NoisyStudent, RoundRecord]:
        check_network(self._given_teacher, data.first_examples, self.task)
        teacher = self.promote(self._students.wrap(self._given_teacher, settings.index), None, data, settings)
        metrics = self._validate(teacher, data)
        record = RoundRecord(0, teacher.network.count_params(), metrics=metrics, epochs={})
        self._report_round(record, teacher, data, settings, pseudo_labels=None, selection=None)
        return teacher, record

    def _check_directory_is_shared(self) -> None:
        num_workers = worker_of(self._strategy).num_workers
        if self.directory is None and num_workers > 1:
            raise ValueError(
                "`directory` must be given to train with several workers: one that all of them see. Received: "
                f"directory=None, {num_workers} workers. Pass a path on a shared file system or in an object store."
            )

    def _check_students(self, data: RunData, rounds: Sequence[RoundSettings]) -> None:
        """Builds every student once, so that one that does not fit is found before the first is trained."""
        teacher, examples = self._given_teacher, data.first_examples
        self._summaries = [] if teacher is None else [RoundSummary.of_given_teacher(teacher)]
        for settings in rounds:
            check_parts_divide(settings, self._strategy.num_replicas_in_sync)
            if settings.index > 0:
                check_annotation(settings, data, teacher=teacher, task=self.task)
            if settings.index > 0 or teacher is None:
                teacher = self._students.network(settings.index, examples=examples, teacher=teacher)
                check_examples(teacher, data.labeled_batches(self.inference_batch_size), self.task)
                student = self._students.wrap(teacher, settings.index, noise=settings.noise)
                self._summaries.append(RoundSummary.of(settings.index, teacher, settings.used()))
                if settings.fine_tuning is not None:
                    student = self._students.to_fine_tune(student, settings.index, settings.fine_tuning)
                reads_metrics = self._promotion.reads_metrics(has_validation=data.validation is not None)
                if reads_metrics and settings.index == len(rounds) - 1:
                    batches = data.validation_batches(1)
                    self._promotion.check_metrics({} if batches is None else validate(student, batches.take(1)))


def _default_labeling(task: Task) -> Labeling:
    return TranscriptLabeling() if isinstance(task, Transcription) else PseudoLabeling()
