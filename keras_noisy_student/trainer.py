"""`NoisyStudentTrainer`: the loop over rounds, which reads like the paper's algorithm."""

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student import pipeline
from keras_noisy_student.argument_checks import is_integer
from keras_noisy_student.history import RoundRecord, RoundsHistory
from keras_noisy_student.joint_batch import LossReduction, check_loss_reduction
from keras_noisy_student.networks import (
    check_is_new,
    check_network,
    check_not_smaller,
    check_teacher,
    new_network,
    weights_digest,
)
from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.noise import Noise
from keras_noisy_student.optimizers import optimizer_for_round
from keras_noisy_student.promoted_student import PromotedStudent
from keras_noisy_student.pseudo_labels.annotate import annotate
from keras_noisy_student.pseudo_labels.online import OnlineTeacher
from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.pseudo_labels.select import Selection, select
from keras_noisy_student.pseudo_labels.store import PseudoLabels, StoreWriter
from keras_noisy_student.round_settings import PerRound, RoundSettings, resolve_rounds, value_at
from keras_noisy_student.run_data import RunData, check_run_data
from keras_noisy_student.run_directory import RunDirectory, network_digest
from keras_noisy_student.student import NoisyStudent
from keras_noisy_student.tasks.task import Task


class NoisyStudentTrainer(PromotedStudent):
    """Trains a teacher, then students that learn from its pseudo-labels with noise, each the teacher of the next.

    Round 0 trains the first teacher on the labelled data alone. Every further round runs the steps below, each of which
    is a method that a subclass may override: `make_student`, `annotate`, `select`, `join`, `train`, `promote`,
    `record`.

    What is marked "by round" may be a value or a function of the round index.

    Args:
        student: by round: the network. A Keras model, of which every round trains a newly initialised copy, or a
            function that builds one. A student must have at least as many parameters as its teacher.
        task: what a target is, for instance `Classification(num_classes=10)`.
        noise: by round: the `Noise` of the training; none by default.
        pseudo_labeling: by round: the `PseudoLabeling`; soft labels of the whole pool by default.
        unlabeled_ratio: by round: unlabelled examples for each labelled one in a joint batch.
        teacher: a trained model to start from, in place of round 0.
        allow_smaller_student: whether a student may have fewer parameters than its teacher.
        directory: where the run is kept; a new temporary directory by default. A run that is started again with the
            same arguments takes the finished rounds from there.
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

    student_class: type[NoisyStudent] = NoisyStudent
    """The model of a round; a subclass of `NoisyStudent` here changes the training step."""

    inference_batch_size: int = 256
    """Examples that a network annotates or validates at a time; it changes the speed only."""

    rows_per_shard: int = 65_536
    """Annotated examples in a shard of the store: what is annotated again at most when a run is stopped."""

    def __init__(
        self,
        student: PerRound[keras.Model],
        task: Task,
        *,
        noise: PerRound[Noise] | None = None,
        pseudo_labeling: PerRound[PseudoLabeling] | None = None,
        unlabeled_ratio: PerRound[float] = 1.0,
        teacher: keras.Model | None = None,
        allow_smaller_student: bool = False,
        directory: str | None = None,
        seed: int = 0,
    ) -> None:
        if not callable(student):
            raise ValueError(
                "`student` must be a keras.Model, or a function of the round index that returns one. Received: "
                f"{type(student).__name__}."
            )
        if not isinstance(task, Task):
            raise ValueError(f"`task` must be a Task, such as Classification(num_classes=10). Received: {task!r}.")
        if teacher is not None and not isinstance(teacher, keras.Model):
            raise ValueError(f"`teacher` must be a trained keras.Model. Received: {type(teacher).__name__}.")
        super().__init__(task)
        self.directory = directory
        self._student = student
        self._noise = noise or Noise()
        self._pseudo_labeling = pseudo_labeling or PseudoLabeling()
        self._unlabeled_ratio = unlabeled_ratio
        self._given_teacher = teacher
        self._allow_smaller_student = allow_smaller_student
        if not is_integer(seed, at_least=0):
            raise ValueError(f"`seed` must be an integer of at least 0. Received: seed={seed!r}.")
        self._seed = int(seed)
        self._optimizer: Any = None

    def compile(
        self,
        optimizer: PerRound[Any] = "adam",
        *,
        loss_reduction: LossReduction = "mean",
        metrics: Sequence[Any] | None = None,
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
            jit_compile: whether to compile the step with XLA.
            steps_per_execution: steps run in one call; must divide `steps_per_epoch`.
            run_eagerly: whether to run without a graph, to debug.
        """
        check_loss_reduction(loss_reduction)
        self._optimizer = optimizer
        self._compile_arguments: dict[str, Any] = {
            "loss_reduction": loss_reduction,
            "metrics": self.task.metrics() if metrics is None else metrics,
            "jit_compile": jit_compile,
            "steps_per_execution": steps_per_execution,
            "run_eagerly": run_eagerly,
        }

    def fit_rounds(
        self,
        labeled: Any,
        unlabeled: Any = None,
        *,
        num_rounds: int = 3,
        batch_size: PerRound[int] = 32,
        epochs: PerRound[int] = 1,
        steps_per_epoch: PerRound[int] | None = None,
        validation_data: Any = None,
        callbacks: PerRound[Sequence[keras.callbacks.Callback]] | None = None,
        verbose: int | str = "auto",
    ) -> RoundsHistory:
        """Runs Noisy Student Training.

        Args:
            labeled: a pair of arrays `(x, y)`, or a `tf.data.Dataset` of unbatched `(x, y)`.
            unlabeled: an array of `x`, or an unbatched data set of it in a deterministic order.
            num_rounds: students to train after the first teacher; 0 trains the teacher alone.
            batch_size: by round: labelled examples in a batch.
            epochs: by round: epochs to train.
            steps_per_epoch: by round: joint batches in an epoch; by default those that the labelled data fill.
            validation_data: labelled data to evaluate after every epoch, without noise.
            callbacks: by round: Keras callbacks.
            verbose: 0 is silent, 1 shows progress bars, 2 a line per epoch.

        Returns:
            The records of all rounds.

        Raises:
            ValueError: for data or settings that cannot work, before anything is trained; for a teacher no better than
                chance, a threshold that keeps nothing, or a loss that is not finite, when it happens.
        """
        if self._optimizer is None:
            raise ValueError("The trainer is not compiled. Call `compile(optimizer=...)` before `fit_rounds`.")
        data = check_run_data(labeled, unlabeled, validation_data, task=self.task, num_rounds=num_rounds)
        rounds = resolve_rounds(
            {
                "noise": self._noise,
                "pseudo_labeling": self._pseudo_labeling,
                "unlabeled_ratio": self._unlabeled_ratio,
                "batch_size": batch_size,
                "epochs": epochs,
                "steps_per_epoch": steps_per_epoch,
            },
            num_rounds=num_rounds,
            num_labeled=len(data.labels),
            steps_per_execution=self._compile_arguments["steps_per_execution"],
        )
        self._callbacks = callbacks
        self._verbose = 1 if verbose == "auto" else int(verbose)
        self._check_students(data, rounds)
        self._run = self._open_run(data)

        teacher, records = None, []
        for settings in rounds:
            is_finished = self._run.is_finished(settings.index)
            if settings.index == 0 and self._given_teacher is not None:
                teacher, record = self._start_from_given_teacher(data, settings)
            elif is_finished:
                teacher, record = self._restore_round(teacher, data, settings)
            else:
                teacher, record = self.run_round(teacher, data, settings)
            records.append(record)
            if self._verbose:
                print(f"{record} (from {self._run.path})" if is_finished else record)
        self._promoted(teacher, data.element_spec)
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
        student = self.make_student(teacher, data, settings)
        pseudo_labels, selection = None, None
        if teacher is not None and settings.pseudo_labeling.annotate == "stored":
            pseudo_labels = self.annotate(teacher, data, settings)
            selection = self.select(pseudo_labels, settings)
        batches = self.join(data, pseudo_labels, selection, settings)
        epochs = self.train(student, batches, data, settings)
        promoted = self.promote(student, teacher, data, settings)
        record = self.record(student, epochs, selection, data, settings)
        return promoted, self._finish(student, record, seconds=time.monotonic() - started)

    def make_student(self, teacher: NoisyStudent | None, data: RunData, settings: RoundSettings) -> NoisyStudent:
        """Builds the network of a round, checks it and wraps it, compiled, with its noise."""
        network = self._new_network(data, settings)
        self._check_size(network, None if teacher is None else teacher.network, settings)
        online_teacher = None
        if teacher is not None and settings.pseudo_labeling.annotate == "online":
            online_teacher = OnlineTeacher(teacher.network, self.task, settings.pseudo_labeling)
        student = self._wrap(network, settings, noise=settings.noise, online_teacher=online_teacher)
        description = {
            "settings": settings.used(),
            "num_parameters": network.count_params(),
            "network": network_digest(network),
            "optimizer": student.optimizer,
            "loss_reduction": self._compile_arguments["loss_reduction"],
        }
        self._run.claim_round(settings.index, description)
        return student

    def annotate(self, teacher: NoisyStudent, data: RunData, settings: RoundSettings) -> PseudoLabels:
        """Labels the pool with the un-noised teacher. Not called in round 0, nor for online annotation."""
        if self._verbose:
            print(f"Round {settings.index}: the teacher annotates the unlabelled pool")
        batch_size = self.inference_batch_size
        store = StoreWriter(
            self._run.pseudo_labels_path(settings.index),
            made_by={"teacher": weights_digest(teacher.network), "batch_size": batch_size},
            blocks_per_shard=max(1, self.rows_per_shard // batch_size),
        )
        pool = data.pool.batches(batch_size)
        return annotate(teacher.network, pool, self.task, store=store, verbose=self._verbose == 1)

    def select(self, pseudo_labels: PseudoLabels, settings: RoundSettings) -> Selection:
        """Filters by confidence and balances the classes. Called after `annotate`."""
        return select(
            pseudo_labels.columns,
            settings.pseudo_labeling,
            num_classes=self.task.num_classes,
            seed=self._key("select", settings),
        )

    def join(
        self,
        data: RunData,
        pseudo_labels: PseudoLabels | None,
        selection: Selection | None,
        settings: RoundSettings,
    ) -> tf.data.Dataset:
        """Joins labelled and pseudo-labelled examples into an endless stream of joint batches.

        Round 0 has labelled examples only; with online annotation there are no pseudo-labels to join yet.
        """
        labeled = pipeline.shuffled_examples(data.labeled, settings.batch_size, key=self._key("labeled", settings))
        if settings.index == 0:
            return pipeline.join(labeled, noise=settings.noise)
        batch_size = settings.num_pseudo_labeled
        key = self._key("pseudo_labeled", settings)
        if pseudo_labels is None or selection is None:
            unlabeled = pipeline.unlabeled_examples(data.pool, batch_size, key=key)
            return pipeline.join(labeled, unlabeled, noise=settings.noise)
        selected = data.pool.selected(selection.repeats, pseudo_labels.rows())
        pseudo_labeled = pipeline.pseudo_labeled_examples(
            selected, settings.pseudo_labeling, num_classes=self.task.num_classes, batch_size=batch_size, key=key
        )
        return pipeline.join(labeled, pseudo_labeled, noise=settings.noise)

    def train(
        self, student: NoisyStudent, batches: tf.data.Dataset, data: RunData, settings: RoundSettings
    ) -> dict[str, list[float]]:
        """Trains the student with noise; returns the logs of every epoch."""
        if self._verbose:
            print(f"Round {settings.index}: training the {'student' if settings.index else 'first teacher'}")
        with pipeline.pool_errors_explained():
            history = student.fit(
                batches,
                epochs=settings.epochs,
                steps_per_epoch=settings.steps_per_epoch,
                validation_data=data.validation_batches(self.inference_batch_size),
                callbacks=value_at(self._callbacks, settings.index, name="callbacks"),
                verbose=self._verbose,
            )
        return {name: [float(value) for value in values] for name, values in history.history.items()}

    def promote(
        self, student: NoisyStudent, teacher: NoisyStudent | None, data: RunData, settings: RoundSettings
    ) -> NoisyStudent:
        """Makes the student the teacher of the next round; stops if it is no better than chance on the labelled data.

        `teacher` is that of this round, `None` in round 0: a subclass may return it to keep it.
        """
        check_teacher(student.network, data.labeled_batches(self.inference_batch_size), self.task)
        return student

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
        return RoundRecord.of(settings.index, student.network, epochs, selection, metrics=metrics)

    def _key(self, purpose: str, settings: RoundSettings) -> int:
        return seeds.stream_key(self._seed, purpose, settings.index)

    def _open_run(self, data: RunData) -> RunDirectory:
        run = RunDirectory(self.directory or tempfile.mkdtemp(prefix="noisy_student_"))
        if self._verbose and self.directory is None:
            print(f"`directory` was not given: the run is kept in {run.path}")
        teacher = None if self._given_teacher is None else weights_digest(self._given_teacher)
        run.claim({"seed": self._seed, "task": self.task, "teacher": teacher, "data": data.description()})
        return run

    def _restore_round(
        self, teacher: NoisyStudent | None, data: RunData, settings: RoundSettings
    ) -> tuple[NoisyStudent, RoundRecord]:
        """Takes a finished round from the run directory."""
        student = self.make_student(teacher, data, settings)
        self._run.load_weights(settings.index, student.network)
        return self.promote(student, teacher, data, settings), self._run.load_record(settings.index)

    def _start_from_given_teacher(self, data: RunData, settings: RoundSettings) -> tuple[NoisyStudent, RoundRecord]:
        check_network(self._given_teacher, data.first_examples(), self.task)
        teacher = self.promote(self._wrap(self._given_teacher, settings), None, data, settings)
        metrics = self._validate(teacher, data)
        return teacher, RoundRecord(0, teacher.network.count_params(), metrics=metrics, epochs={})

    def _validate(self, student: NoisyStudent, data: RunData) -> dict[str, float]:
        batches = data.validation_batches(self.inference_batch_size)
        if batches is None:
            return {}
        return {f"val_{name}": value for name, value in student.evaluate(batches, return_dict=True, verbose=0).items()}

    def _finish(self, student: NoisyStudent, record: RoundRecord, *, seconds: float) -> RoundRecord:
        record = dataclasses.replace(record, seconds=seconds)
        self._run.save_round(record, student.network)
        return record

    def _check_students(self, data: RunData, rounds: list[RoundSettings]) -> None:
        """Builds every network once, so that one that does not fit is found before the first is trained."""
        teacher = self._given_teacher
        for settings in rounds:
            if settings.index > 0 or teacher is None:
                network = self._new_network(data, settings)
                self._check_size(network, teacher, settings)
                self._wrap(network, settings, noise=settings.noise)
                teacher = network

    def _new_network(self, data: RunData, settings: RoundSettings) -> keras.Model:
        with seeds.seeded_initialization(self._key("initialization", settings)):
            network = new_network(self._student, settings.index)
            check_network(network, data.first_examples(), self.task)
        return network

    def _check_size(self, network: keras.Model, teacher: keras.Model | None, settings: RoundSettings) -> None:
        if teacher is not None:
            check_is_new(network, teacher, settings.index)
            if not self._allow_smaller_student:
                check_not_smaller(network, teacher, settings.index)

    def _wrap(self, network: keras.Model, settings: RoundSettings, **arguments: Any) -> NoisyStudent:
        student = self.student_class(network, task=self.task, seed=self._key("student", settings), **arguments)
        optimizer = optimizer_for_round(self._optimizer, settings.index)
        student.compile(optimizer, **self._compile_arguments)
        return student
