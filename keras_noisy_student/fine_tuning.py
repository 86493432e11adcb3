"""`FineTuning`: the last step of a round, at another resolution and without input noise, as one value."""

import dataclasses
from typing import Any

import keras

from keras_noisy_student.argument_checks import check_count, is_integer


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """How the student of a round is trained a little longer on the labelled data alone, without input noise.

    Input noise such as random crops shows objects larger in training than they are later, which a few steps on clean
    examples at a higher resolution make up for: train at a low resolution, which is cheap, and end at a high one. The
    fine-tuned student is the one that is validated, promoted, annotates, and is saved and exported.

    A network takes images of any size and resizes them by itself, with exactly one `keras.layers.Resizing`, as a rule
    right behind its input: what changes is the size to which it resizes. The data stay as they are, so give them at
    the highest resolution of the run.

    The paper says that these examples are not augmented, and nothing of model noise: dropout and stochastic depth stay
    those of the round. Callbacks do not see this step: a learning rate that changes is a schedule of `optimizer`.

    Args:
        epochs: epochs to train.
        resolution: the size to which the network resizes its images: `(height, width)`, or an integer for both. `None`
            trains on at the same one.
        train_from: name of the first layer that is trained, in order of depth, nested models included. Those before
            it are frozen for the time, their batch normalization in inference mode. `None` trains all layers.
        optimizer: a `keras.optimizers.Optimizer`, of which every round gets an unused copy, or the name of one.
        batch_size: labelled examples in a batch; that of the round by default.
        steps_per_epoch: batches in an epoch; by default those that the labelled data fill.

    Raises:
        ValueError: for a value of a wrong type or out of range.

    Example:
        >>> optimizer = keras.optimizers.SGD(0.001, momentum=0.9)
        >>> FineTuning(resolution=475, train_from="block6a_expand_conv", optimizer=optimizer).size
        (475, 475)

    Reference:
        Touvron et al. 2019, Fixing the train-test resolution discrepancy, arXiv 1906.06423; Xie et al. 2019, arXiv
        1911.04252, section 3.1.
    """

    epochs: int = 1
    resolution: int | tuple[int, int] | None = None
    train_from: str | None = None
    optimizer: Any = "sgd"
    batch_size: int | None = None
    steps_per_epoch: int | None = None

    def __post_init__(self) -> None:
        check_count("epochs", self.epochs)
        for name in ("batch_size", "steps_per_epoch"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        self._check_resolution()
        if self.train_from is not None and not isinstance(self.train_from, str):
            raise ValueError(
                f"`train_from` must be the name of a layer, or None. Received: train_from={self.train_from!r}."
            )
        self._check_optimizer()

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width; `None` where the resolution stays."""
        if self.resolution is None:
            return None
        height, width = self.resolution if isinstance(self.resolution, tuple | list) else (self.resolution,) * 2
        return int(height), int(width)

    def steps(self, *, batch_size: int, num_labeled: int) -> tuple[int, int]:
        """The labelled examples in a batch, and the batches in an epoch.

        Args:
            batch_size: of the round.
            num_labeled: number of labelled examples.
        """
        own_batch_size = self.batch_size or batch_size
        return own_batch_size, self.steps_per_epoch or max(1, num_labeled // own_batch_size)

    def _check_resolution(self) -> None:
        value = self.resolution
        sizes = list(value) if isinstance(value, tuple | list) else [value, value]
        if value is not None and not (len(sizes) == 2 and all(is_integer(size, at_least=1) for size in sizes)):
            raise ValueError(
                "`resolution` must be a positive integer, a pair (height, width) of them, or None. Received: "
                f"resolution={value!r}."
            )

    def _check_optimizer(self) -> None:
        if isinstance(self.optimizer, keras.optimizers.Optimizer):
            return
        try:
            keras.optimizers.get(self.optimizer if isinstance(self.optimizer, str) else "")
        except ValueError as error:
            raise ValueError(
                "`optimizer` must be a keras.optimizers.Optimizer, or the name of one. Received: "
                f"optimizer={self.optimizer!r}."
            ) from error
