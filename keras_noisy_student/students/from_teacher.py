"""`FromTeacher`: students that begin with the weights of their teacher."""

import dataclasses

import keras

from keras_noisy_student.networks import copy_weights, first_difference, new_network
from keras_noisy_student.round_settings import PerRound, value_at


@dataclasses.dataclass(frozen=True)
class FromTeacher:
    """The `student` of a `NoisyStudentTrainer`, in all rounds or some, that begins with the weights of its teacher.

    Round 0 trains a newly initialised network, or the one with the weights that a function returned; every further
    round goes on from its teacher's weights, with another optimizer and noise. That takes fewer steps, and is sometimes
    worse than new weights: compare. A function of the round index may return it for some rounds, and a network of new
    weights for the others.

    Args:
        network: by round: a Keras model, of which every round gets a copy, or a function that builds one; of the
            architecture of its teacher.

    Raises:
        ValueError: when it is neither.

    Example:
        >>> network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
        >>> trainer = NoisyStudentTrainer(FromTeacher(network), Classification(num_classes=2))
        >>> def student(round_index):
        ...     new = keras.models.clone_model(network)
        ...     return FromTeacher(new) if round_index > 1 else new
        >>> trainer = NoisyStudentTrainer(student, Classification(num_classes=2))

    Reference:
        Xie et al. 2019, arXiv 1911.04252, and its released code, which starts a student from a checkpoint.
    """

    network: PerRound[keras.Model]

    def __post_init__(self) -> None:
        if not callable(self.network):
            raise ValueError(
                "`network` must be a keras.Model, or a function of the round index that returns one. Received: "
                f"{type(self.network).__name__}."
            )


def new_student(student: PerRound[keras.Model | FromTeacher], round_index: int) -> tuple[keras.Model, bool]:
    """The new network of a round, and whether it is to begin with the weights of its teacher.

    Args:
        student: by round: what `new_network` takes, or a `FromTeacher` of it.
        round_index: the round.

    Raises:
        ValueError: when a function returns something else.
    """
    given = value_at(student, round_index, name="student")
    if isinstance(given, FromTeacher):
        return new_network(given.network, round_index), True
    return new_network(student if given is student else lambda _: given, round_index), False


def start_from(teacher: keras.Model, network: keras.Model, round_index: int) -> None:
    """Gives the network of a student the weights of its teacher.

    Raises:
        ValueError: when it has another architecture.
    """
    difference = first_difference(network, teacher)
    if difference is not None:
        raise ValueError(
            "A student that begins with the weights of its teacher must have the same architecture. Received: the "
            f"weight {difference[0]} in the student of round {round_index}, and {difference[1]} in its teacher. Build "
            "the same network in every round, or pass `student` without `FromTeacher`."
        )
    copy_weights(teacher, network)
