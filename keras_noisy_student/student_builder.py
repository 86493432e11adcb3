"""Builds the students of a run: new networks, checked, wrapped with their noise and compiled."""

import dataclasses
from typing import Any

import keras

from keras_noisy_student.compile_arguments import CompileArguments
from keras_noisy_student.fine_tuning import FineTuning
from keras_noisy_student.freezing import check_freezes
from keras_noisy_student.networks import at_resolution, check_is_new, check_network, check_not_smaller
from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.noise import Noise
from keras_noisy_student.pseudo_labels.online import OnlineTeacher
from keras_noisy_student.round_settings import PerRound
from keras_noisy_student.student import NoisyStudent
from keras_noisy_student.students.from_teacher import FromTeacher, new_student, start_from
from keras_noisy_student.tasks.task import Task


class StudentBuilder:
    """Builds a student for each round.

    Args:
        student: by round: the network, or a `FromTeacher` of it or of a function that builds it.
        task: what a target is.
        student_class: what wraps the network.
        compiled: what the student is compiled with.
        allow_smaller_student: whether it may have fewer parameters than its teacher.
        seed: of initialisation and noise.
    """

    def __init__(
        self,
        student: PerRound[keras.Model | FromTeacher],
        task: Task,
        *,
        student_class: type[NoisyStudent],
        compiled: CompileArguments,
        allow_smaller_student: bool,
        seed: int,
    ) -> None:
        self._student = student
        self._starts_from_teacher: dict[int, bool] = {}
        self._task = task
        self._student_class = student_class
        self.compiled = compiled
        self._allow_smaller_student = allow_smaller_student
        self._seed = seed

    def network(self, round_index: int, *, examples: Any, teacher: keras.Model | None) -> keras.Model:
        """A new network, with weights of its own or those of its teacher.

        Args:
            round_index: the round.
            examples: a batch of `x`, which the network is called on.
            teacher: the network that the new one has to be as large as, or begins with the weights of.

        Raises:
            ValueError: when it does not fit the task or its teacher, or is smaller.
        """
        with seeds.seeded_initialization(seeds.stream_key(self._seed, "initialization", round_index)):
            network, starts_from_teacher = new_student(self._student, round_index)
            check_network(network, examples, self._task)
        if teacher is not None:
            check_is_new(network, teacher, round_index)
            if not self._allow_smaller_student:
                check_not_smaller(network, teacher, round_index)
            if starts_from_teacher:
                start_from(teacher, network, round_index)
        self._starts_from_teacher[round_index] = starts_from_teacher and teacher is not None
        return network

    def starts_from_teacher(self, round_index: int) -> bool:
        """Whether the last network that was built for a round begins with the weights of its teacher."""
        return self._starts_from_teacher.get(round_index, False)

    def wrap(
        self,
        network: keras.Model,
        round_index: int,
        *,
        noise: Noise | None = None,
        online_teacher: OnlineTeacher | None = None,
    ) -> NoisyStudent:
        """A compiled student around a network; see `NoisyStudent`."""
        seed = seeds.stream_key(self._seed, "student", round_index)
        student = self._student_class(network, task=self._task, noise=noise, online_teacher=online_teacher, seed=seed)
        self.compiled.compile(student, round_index)
        return student

    def to_fine_tune(self, trained: NoisyStudent, round_index: int, fine_tuning: FineTuning) -> NoisyStudent:
        """A compiled student without input noise around a trained network, at the resolution of the fine-tuning.

        Raises:
            ValueError: when the network cannot be run at it, or has no such layers to freeze.
        """
        size = fine_tuning.size
        network = trained.network if size is None else at_resolution(trained.network, size)
        check_freezes(network, fine_tuning.train_from)
        seed = seeds.stream_key(self._seed, "fine-tuned student", round_index)
        student = self._student_class(network, task=self._task, seed=seed)
        dataclasses.replace(self.compiled, optimizer=fine_tuning.optimizer).compile(student, round_index)
        return student
