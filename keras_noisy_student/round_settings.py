"""What one round is run with: settings given once or by round, resolved and checked."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import keras

from keras_noisy_student.argument_checks import POSITIVE, check_count, check_takes, is_integer
from keras_noisy_student.fine_tuning import FineTuning
from keras_noisy_student.joint_batch import num_pseudo_labeled
from keras_noisy_student.noise.noise import Noise
from keras_noisy_student.pseudo_labels.labeling import Labeling

Setting = TypeVar("Setting")
PerRound: TypeAlias = Setting | Callable[[int], Setting]
"""A value, or a function of the round index."""


@dataclasses.dataclass(frozen=True)
class RoundSettings:
    """The settings of one round.

    Args:
        index: 0 for the first teacher, then 1, 2, ... for the students.
        noise: of the training.
        pseudo_labeling: how pseudo-labels are made and selected; unused in round 0.
        unlabeled_ratio: unlabelled examples for each labelled one in a joint batch; unused in round 0.
        batch_size: labelled examples in a batch.
        epochs: number of epochs.
        steps_per_epoch: joint batches in an epoch.
        fine_tuning: the last step of the training; `None` where there is none.

    Raises:
        ValueError: for a value of the wrong type or out of range.
    """

    index: int
    noise: Noise
    pseudo_labeling: Labeling
    unlabeled_ratio: float
    batch_size: int
    epochs: int
    steps_per_epoch: int
    fine_tuning: FineTuning | None = None

    def __post_init__(self) -> None:
        self._check_type("noise", Noise)
        self._check_type("pseudo_labeling", Labeling, called="PseudoLabeling (a TranscriptLabeling for speech)")
        if self.fine_tuning is not None:
            self._check_type("fine_tuning", FineTuning)
        for name in ("batch_size", "epochs", "steps_per_epoch"):
            value = getattr(self, name)
            if not is_integer(value, at_least=1):
                raise ValueError(
                    f"`{name}` must be a positive integer. Received: {name}={value!r} in round {self.index}."
                )
        if self.unlabeled_ratio not in POSITIVE:
            raise ValueError(
                "`unlabeled_ratio` must be a positive number. Received: "
                f"unlabeled_ratio={self.unlabeled_ratio!r} in round {self.index}."
            )

        is_online = self.pseudo_labeling.annotate == "online"
        if is_online and self.noise.augmentation is not None and self.noise.placement == "pipeline":
            raise ValueError(
                "An online teacher must see clean examples, and input noise in the pipeline comes before it. Use "
                'placement="step" or annotate="stored". Received: placement="pipeline", annotate="online" in round '
                f"{self.index}."
            )

    @property
    def is_relabeling(self) -> bool:
        """Whether the round annotates what the selection of the round before kept."""
        return self.index > 0 and self.pseudo_labeling.annotate == "kept"

    def used(self) -> dict[str, Any]:
        """The settings that this round uses, by name: the first teacher has no pseudo-labels."""
        settings = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if self.index == 0:
            del settings["pseudo_labeling"], settings["unlabeled_ratio"]
        return settings

    @property
    def num_pseudo_labeled(self) -> int:
        """Pseudo-labelled examples in a joint batch."""
        return num_pseudo_labeled(self.batch_size, self.unlabeled_ratio)

    def _check_type(self, name: str, expected: type, *, called: str | None = None) -> None:
        value = getattr(self, name)
        if not isinstance(value, expected):
            raise ValueError(
                f"`{name}` must be a {called or expected.__name__}, or a function of the round index that returns one. "
                f"Received: {type(value).__name__} in round {self.index}."
            )


def resolve_rounds(
    settings: Mapping[str, Any], *, num_rounds: int, num_labeled: int, steps_per_execution: int
) -> list[RoundSettings]:
    """The settings of round 0 and of `num_rounds` students, all checked before the first of them is trained.

    Args:
        settings: by the names of `RoundSettings`, each a value or a function of the round index. `steps_per_epoch` may
            be `None`: as many as the labelled examples fill.
        num_rounds: number of students.
        num_labeled: number of labelled examples.
        steps_per_execution: as compiled.

    Raises:
        ValueError: for a setting that is out of range, or does not fit the data.
    """
    rounds = []
    for index in range(int(num_rounds) + 1):
        values = {name: value_at(setting, index, name=name) for name, setting in settings.items()}
        if values["steps_per_epoch"] is None and is_integer(values["batch_size"], at_least=1):
            values["steps_per_epoch"] = max(1, num_labeled // values["batch_size"])
        rounds.append(RoundSettings(index=index, **values))
        _check_fits(rounds[-1], num_labeled, steps_per_execution)
        if rounds[-1].is_relabeling:
            _check_follows_a_selection(rounds[-1], rounds[-2])
    return rounds


def value_at(setting: Any, round_index: int, *, name: str) -> Any:
    """Resolves a setting that is a value, or a function of the round index.

    Args:
        setting: the value or the function. A Keras layer or model is a value.
        round_index: the round.
        name: what the setting is called, for the error.

    Raises:
        ValueError: when the function does not take one argument.

    Example:
        >>> value_at(3, 1, name="unlabeled_ratio"), value_at(lambda r: 2 * r, 1, name="unlabeled_ratio")
        (3, 2)
    """
    if not callable(setting) or isinstance(setting, keras.Layer):
        return setting
    if inspect.isclass(setting):
        raise ValueError(
            f"`{name}` must be a value, or a function of the round index. Received: the class {setting.__name__}. Pass "
            f"an instance, or `lambda round_index: {setting.__name__}(...)`."
        )
    check_takes(name, setting, 0, expected="the round index as its one argument, as in `lambda round_index: ...`")
    return setting(round_index)


def _check_follows_a_selection(settings: RoundSettings, before: RoundSettings) -> None:
    has_selection = before.index > 0 and before.pseudo_labeling.annotate != "online"
    if not has_selection:
        raise ValueError(
            'annotate="kept" annotates what the selection of the round before kept. Received: annotate="kept" in round '
            f"{settings.index}, and in round {before.index} "
            + ("nothing is annotated" if before.index == 0 else 'annotate="online", which selects nothing')
            + '. Use annotate="stored" there first: `pseudo_labeling=lambda round_index: PseudoLabeling(annotate='
            f'"stored" if round_index <= {max(1, before.index)} else "kept")`.'
        )


def _check_fits(settings: RoundSettings, num_labeled: int, steps_per_execution: int) -> None:
    check_count("steps_per_execution", steps_per_execution)
    if settings.index > 0:
        _ = settings.num_pseudo_labeled
    steps = {"": (settings.batch_size, settings.steps_per_epoch)}
    if settings.fine_tuning is not None:
        steps["fine_tuning."] = settings.fine_tuning.steps(batch_size=settings.batch_size, num_labeled=num_labeled)
    for of, (batch_size, steps_per_epoch) in steps.items():
        if batch_size > num_labeled:
            raise ValueError(
                f"`{of}batch_size` must be at most the number of labelled examples, {num_labeled}. Received: "
                f"{of}batch_size={batch_size} in round {settings.index}. Lower it, or repeat the labelled examples."
            )
        if steps_per_epoch % steps_per_execution:
            raise ValueError(
                f"`{of}steps_per_epoch` must be a multiple of `steps_per_execution`, or Keras runs more steps than "
                f"asked for. Received: {of}steps_per_epoch={steps_per_epoch}, steps_per_execution="
                f"{steps_per_execution} in round {settings.index}."
            )
