"""What `compile` was given: the same for every round, but for the optimizer."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from keras_noisy_student.joint_batch import LossReduction, check_loss_reduction
from keras_noisy_student.non_finite import OnNonFinite, check_on_non_finite
from keras_noisy_student.optimizers import optimizer_for_round
from keras_noisy_student.promotion import Promotion
from keras_noisy_student.student import NoisyStudent


@dataclasses.dataclass(frozen=True)
class CompileArguments:
    """The arguments of `NoisyStudentTrainer.compile`, by their names there.

    Raises:
        ValueError: for one that is not of its kind.
    """

    optimizer: Any
    loss_reduction: LossReduction
    metrics: Sequence[Any]
    promotion: Promotion
    on_non_finite: OnNonFinite
    jit_compile: bool | str
    steps_per_execution: int
    run_eagerly: bool

    def __post_init__(self) -> None:
        check_loss_reduction(self.loss_reduction)
        check_on_non_finite(self.on_non_finite)
        if not isinstance(self.promotion, Promotion):
            raise ValueError(f"`promotion` must be a Promotion. Received: promotion={self.promotion!r}.")
        if not isinstance(self.metrics, list | tuple):
            raise ValueError(f'`metrics` must be a list, such as ["accuracy"]. Received: metrics={self.metrics!r}.')
        if not isinstance(self.run_eagerly, bool):
            raise ValueError(f"`run_eagerly` must be True or False. Received: run_eagerly={self.run_eagerly!r}.")

    def compile(self, student: NoisyStudent, round_index: int) -> None:
        """Compiles the student of a round."""
        student.compile(
            optimizer_for_round(self.optimizer, round_index),
            loss_reduction=self.loss_reduction,
            metrics=self.metrics,
            on_non_finite=self.on_non_finite,
            jit_compile=self.jit_compile,
            steps_per_execution=self.steps_per_execution,
            run_eagerly=self.run_eagerly,
        )

    def description(self) -> dict[str, Any]:
        """Those that change what a round results in.

        The optimizer is not among them, since each round has its own, nor is `on_non_finite`: where every step was
        finite it made no difference, and where one was not, a stopped run may go on by skipping.
        """
        names = ("loss_reduction", "metrics", "jit_compile")
        return {name: getattr(self, name) for name in names}
