"""The runs that the CIFAR-10 benchmark compares: Noisy Student Training, its baselines, and one change at a time."""

import dataclasses
import functools
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from cifar10_data import NUM_CLASSES, Split
from cifar10_presets import Preset

import keras_noisy_student as kns

TASK = kns.Classification(num_classes=NUM_CLASSES)
NO_NOISE = kns.Noise(dropout_rate=0.0, survival_probability=1.0)


@dataclasses.dataclass(frozen=True)
class RoundPlan:
    """How a student is trained.

    Args:
        widen_factor: of its network.
        begins_as_teacher: whether it begins with the weights of its teacher; else with new ones.
        noise: of its training.
        pseudo_labeling: how its pseudo-labels are made.
        unlabeled_ratio: pseudo-labelled images for each labelled one.
    """

    widen_factor: float
    begins_as_teacher: bool
    noise: kns.Noise
    pseudo_labeling: kns.PseudoLabeling
    unlabeled_ratio: float

    def relabeled(self, **changes: Any) -> "RoundPlan":
        """The same with other pseudo-labels."""
        return dataclasses.replace(self, pseudo_labeling=dataclasses.replace(self.pseudo_labeling, **changes))


Change = Callable[[RoundPlan, Preset], RoundPlan]

CHANGES_OF_ROUND_1: dict[str, Change] = {
    "no_noise": lambda plan, preset: dataclasses.replace(plan, noise=NO_NOISE),
    "hard_labels": lambda plan, preset: plan.relabeled(labels="hard", temperature=1.0),
    "no_balancing": lambda plan, preset: plan.relabeled(examples_per_class=None),
    "no_filter": lambda plan, preset: plan.relabeled(confidence_threshold=0.0),
    "other_first_weights": lambda plan, preset: dataclasses.replace(plan, begins_as_teacher=not plan.begins_as_teacher),
    "larger_student": lambda plan, preset: dataclasses.replace(
        plan, begins_as_teacher=False, widen_factor=preset.larger_widen_factor
    ),
    "temperature_scaling": lambda plan, preset: plan.relabeled(corrections=[kns.TemperatureScaling()]),
    "distribution_alignment": lambda plan, preset: plan.relabeled(corrections=[kns.DistributionAlignment()]),
    "one_view": lambda plan, preset: plan.relabeled(averaging=kns.TeacherAveraging()),
}
"""What is compared with student 1, which shares its teacher with them."""

CHANGES_OF_ROUND_2: dict[str, Change] = {
    "higher_threshold": lambda plan, preset: plan.relabeled(
        confidence_threshold=min(2 * plan.pseudo_labeling.confidence_threshold, 0.9)
    ),
    "higher_ratio": lambda plan, preset: dataclasses.replace(plan, unlabeled_ratio=2 * plan.unlabeled_ratio + 1),
    "higher_magnitude": lambda plan, preset: dataclasses.replace(plan, noise=preset.noise(2 * preset.magnitude)),
    "two_teachers": lambda plan, preset: plan.relabeled(
        averaging=dataclasses.replace(plan.pseudo_labeling.averaging, num_teachers=2)
    ),
}
"""What is compared with student 2, which shares its teacher with them: settings that change by round, and averaging."""


@dataclasses.dataclass(frozen=True)
class Runs:
    """The runs of one seed, each kept in a directory, where it goes on if it was stopped.

    Args:
        preset: settings.
        split: images.
        seed: of initialisation, order and noise.
        directory: of all runs of the seed.
    """

    preset: Preset
    split: Split
    seed: int
    directory: pathlib.Path

    def noisy_student(self) -> list[keras.Model]:
        """The networks of the teacher and of all students, in their order."""
        num_rounds = self.preset.num_rounds
        return self._fit("noisy_student", lambda round_index: self._plan, num_rounds=num_rounds)[1]

    def supervised_noised(self) -> keras.Model:
        """As many steps as the teacher and all students together, on the labelled images alone."""
        num_steps = self.preset.teacher_steps + self.preset.num_rounds * self.preset.student_steps
        return self._fit("supervised_noised", lambda round_index: self._plan, num_rounds=0, num_steps=num_steps)[1][0]

    def changed(self, name: str) -> tuple[keras.Model, kns.RoundRecord]:
        """The student and the record of the round in which a change is made, after the rounds of `noisy_student`.

        The run of `noisy_student` is copied as it was when that round began, with the annotated pool where the change
        leaves what the teacher says, and goes on with the change.
        """
        changed_round = 1 if name in CHANGES_OF_ROUND_1 else 2
        changed_plan = (CHANGES_OF_ROUND_1 | CHANGES_OF_ROUND_2)[name](self._plan, self.preset)
        copy_rounds(
            self.directory / "noisy_student",
            self.directory / name,
            num_rounds=changed_round,
            with_pool=changed_plan.pseudo_labeling.averaging == self._plan.pseudo_labeling.averaging,
        )

        def plan(round_index: int) -> RoundPlan:
            return changed_plan if round_index == changed_round else self._plan

        history, networks = self._fit(name, plan, num_rounds=changed_round)
        return networks[-1], history[-1]

    @functools.cached_property
    def _plan(self) -> RoundPlan:
        preset = self.preset
        return RoundPlan(
            widen_factor=preset.widen_factor,
            begins_as_teacher=preset.begins_as_teacher,
            noise=preset.noise(preset.magnitude),
            pseudo_labeling=preset.pseudo_labeling,
            unlabeled_ratio=preset.unlabeled_ratio,
        )

    def _fit(
        self, name: str, plan: Callable[[int], RoundPlan], *, num_rounds: int, num_steps: int | None = None
    ) -> tuple[kns.RoundsHistory, list[keras.Model]]:
        preset = self.preset
        steps = [num_steps or preset.teacher_steps, *[preset.student_steps] * num_rounds]

        def network(round_index: int) -> keras.Model:
            return preset.network(plan(round_index).widen_factor)

        begins_as_teacher = plan(num_rounds).begins_as_teacher
        trainer = Rounds(
            student=kns.students.FromTeacher(network) if begins_as_teacher else network,
            task=TASK,
            noise=lambda round_index: plan(round_index).noise,
            pseudo_labeling=lambda round_index: plan(round_index).pseudo_labeling,
            unlabeled_ratio=lambda round_index: plan(round_index).unlabeled_ratio,
            directory=str(self.directory / name),
            seed=self.seed,
        )
        rates = [
            preset.student_learning_rate if index and begins_as_teacher else preset.learning_rate
            for index in range(num_rounds + 1)
        ]
        trainer.compile(
            lambda round_index: preset.optimizer(steps[round_index], rates[round_index]),
            metrics=["accuracy"],
            jit_compile=preset.jit_compile,
        )
        history = trainer.fit_rounds(
            self.split.labeled,
            self.split.unlabeled,
            num_rounds=num_rounds,
            # A step costs about as much in every round.
            batch_size=lambda round_index: preset.batch_size if round_index else preset.joint_batch_size,
            steps_per_epoch=lambda round_index: steps[round_index],
            validation_data=self.split.held_out,
            verbose=0,
        )
        return history, trainer.networks


class Rounds(kns.NoisyStudentTrainer):
    """A trainer that keeps the network of every round."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.networks: list[keras.Model] = []

    def promote(self, student: kns.NoisyStudent, *args: Any) -> kns.NoisyStudent:
        """Promotes as always."""
        self.networks.append(student.network)
        return super().promote(student, *args)


def copy_rounds(source: pathlib.Path, target: pathlib.Path, *, num_rounds: int, with_pool: bool) -> None:
    """Copies the first rounds of a run, and the annotated pool of the next, where this was not done before."""
    if not target.exists():
        unfinished = target.with_suffix(".copying")
        shutil.rmtree(unfinished, ignore_errors=True)
        folders = [pathlib.Path(f"round_{index:02d}") for index in range(num_rounds)]
        folders += [pathlib.Path(f"round_{num_rounds:02d}", "pseudo_labels")] if with_pool else []
        for folder in folders:
            shutil.copytree(source / folder, unfinished / folder)
        shutil.copy(source / "run.json", unfinished)
        unfinished.rename(target)


def accuracy(network: keras.Model, split: Split) -> float:
    """Of the images that are reported on, in [0, 1]."""
    images, labels = split.reported
    return float(np.mean(network.predict(images, batch_size=500, verbose=0).argmax(-1) == labels))
