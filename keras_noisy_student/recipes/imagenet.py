"""The paper's ImageNet settings: noise, optimizer, pseudo-labels, fine-tuning and rounds.

Where the first version of the paper (v1, 2019), the last one (v4, 2020) and the released code differ, the function says
so. What the published sources leave open is marked "not published".
"""

import dataclasses
from typing import Literal

import keras

from keras_noisy_student.argument_checks import check_choice, check_count, is_integer
from keras_noisy_student.fine_tuning import FineTuning
from keras_noisy_student.joint_batch import LossReduction
from keras_noisy_student.noise.compose import Compose
from keras_noisy_student.noise.image_noise import ImageNoise
from keras_noisy_student.noise.noise import Noise
from keras_noisy_student.noise.op_settings import OpSettings
from keras_noisy_student.noise.rand_augment import RandAugment
from keras_noisy_student.noise.random_flip import RandomFlip
from keras_noisy_student.noise.random_resized_crop import RandomResizedCrop
from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.recipes.paper_optimizer import paper_optimizer
from keras_noisy_student.recipes.rmsprop_with_l2 import RMSpropWithL2
from keras_noisy_student.recipes.warm_up_staircase import WarmUpStaircase
from keras_noisy_student.run_data import MAX_ROUNDS
from keras_noisy_student.students.efficientnet import efficientnet
from keras_noisy_student.students.scaling import scaling_of
from keras_noisy_student.tasks.classification import Classification

NUM_CLASSES = 1000
NUM_LABELED = 1_281_167
"""Labelled training images of ImageNet 2012."""
BATCH_SIZE = 2048
"""Labelled images in a batch. The paper found the same accuracy with 512 and 1024."""
LOSS_REDUCTION: LossReduction = "sum_of_means"
"""For `compile`: the mean over labelled images, plus `unlabeled_ratio` times that over unlabelled ones."""

_MAGNITUDES = {"B0": 0, "B1": 0, "B2": 6, "B3": 12, "B4": 15, "B5": 18, "B6": 24}
_LARGEST_MAGNITUDE = 27
_LONG_TRAINED = ("B0", "B1", "B2", "B3", "B4")
_PEAK_FOR_2048, _DECAY_RATE, _NUM_FALLS = 0.128, 0.97, 145
_WEIGHT_DECAY = 1e-5


def task() -> Classification:
    """1000 classes, with a label smoothing of 0.1 on labelled images and hard pseudo-labels.

    Example:
        >>> task().num_classes
        1000
    """
    return Classification(num_classes=NUM_CLASSES, label_smoothing=0.1)


def student(name: str) -> keras.Model:
    """An EfficientNet for 1000 classes, newly initialised, at the size that it is trained at.

    Args:
        name: of the network, such as `"B7"`.

    Raises:
        ValueError: for an unknown name.

    Example:
        >>> student("B0").output_shape
        (None, 1000)
    """
    return efficientnet(name, num_classes=NUM_CLASSES)


def noise(name: str, *, image_size: int | None = None) -> Noise:
    """The noise of an EfficientNet: crop and flip, RandAugment, dropout, stochastic depth.

    Two ops of RandAugment, of magnitude 6 for B2, 12 for B3, 15 for B4, 18 for B5, 24 for B6, and 27 for B7 and L0 to
    L2; none for B0 and B1, as in the released script. The text of the paper names 27 alone. The ops are those of the
    released code with what overflows at such magnitudes, and its constant for the mean of Contrast. Dropout of the last
    layer is that of the EfficientNet, 0.2 for B0 to 0.5 for B6 and larger; the survival probability falls in a straight
    line to 0.8 at the last block.

    Args:
        name: of the network, such as `"B7"`.
        image_size: side of the cropped images in pixels. Default: that which the network is trained at.

    Raises:
        ValueError: for an unknown name, or a size that is no positive integer.

    Example:
        >>> noise("B7").augmentation.steps[-1].magnitude
        27.0
    """
    scaling = scaling_of(name)
    size = scaling.image_size if image_size is None else image_size
    if not is_integer(size, at_least=1):
        raise ValueError(f"`image_size` must be a positive integer, or None. Received: image_size={image_size!r}.")
    steps: list[ImageNoise] = [RandomResizedCrop(size, size), RandomFlip()]
    magnitude = _MAGNITUDES.get(name, _LARGEST_MAGNITUDE)
    if magnitude > 0:
        as_released = OpSettings(contrast_mean="paper")
        steps.append(RandAugment(2, magnitude, overflow="paper", op_settings=as_released))
    return Noise(augmentation=Compose(steps), dropout_rate=scaling.dropout_rate, survival_probability=0.8)


def epochs(name: str) -> int:
    """Passes over the labelled images: 700 for B0 to B4, 350 for larger networks.

    Args:
        name: of the network, such as `"B7"`.

    Raises:
        ValueError: for an unknown name.

    Example:
        >>> epochs("B0"), epochs("L2")
        (700, 350)
    """
    scaling_of(name)
    return 700 if name in _LONG_TRAINED else 350


def optimizer(*, batch_size: int = BATCH_SIZE, epochs: int = 350, num_labeled: int = NUM_LABELED) -> RMSpropWithL2:
    """RMSprop with the paper's learning rate, weight decay and average of the weights.

    The learning rate rises for 5 epochs to 0.128 for each 2048 labelled images in a batch (the released code: 0.016
    for each 256), and falls by 0.97 every 2.4 of 350 epochs, every 4.8 of 700. Weight decay is 1e-5 on everything but
    batch normalization; it is weighed against the gradient of `LOSS_REDUCTION`, without which it is relatively larger.
    The average of the weights has a momentum of 0.9999.

    Args:
        batch_size: labelled images in a batch.
        epochs: passes over the labelled images, by which the falls are spread.
        num_labeled: number of labelled images.

    Raises:
        ValueError: for a value that is no positive integer.

    Example:
        >>> optimizer(batch_size=512).get_config()["learning_rate"]["config"]["peak"]
        0.032
    """
    for name, count in (("batch_size", batch_size), ("epochs", epochs), ("num_labeled", num_labeled)):
        check_count(name, count)
    steps_per_epoch = num_labeled / batch_size
    schedule = WarmUpStaircase(
        _PEAK_FOR_2048 * batch_size / 2048,
        warm_up_steps=5 * steps_per_epoch,
        decay_steps=2.4 * epochs / 350 * steps_per_epoch,
        decay_rate=_DECAY_RATE,
    )
    return paper_optimizer(schedule, l2=_WEIGHT_DECAY)


def pseudo_labeling(*, examples_per_class: int | Literal["auto"] | None = 130_000) -> PseudoLabeling:
    """Soft labels of confidence above 0.3, 130,000 a class.

    The most confident of a class are taken; of a class with fewer, some twice or more. From the 300M images of JFT that
    made 130M, 81M of them different.

    Args:
        examples_per_class: as in `PseudoLabeling`; a pool much smaller than JFT wants fewer, or `"auto"`.

    Example:
        >>> pseudo_labeling(examples_per_class="auto").confidence_threshold
        0.3
    """
    return PseudoLabeling(labels="soft", confidence_threshold=0.3, examples_per_class=examples_per_class)


def fine_tuning(name: str, *, batch_size: int = BATCH_SIZE, num_labeled: int = NUM_LABELED) -> FineTuning | None:
    """1.5 epochs on clean labelled images at the higher resolution, with the shallow layers frozen; L0 to L2 only.

    The learning rate is that of the last epoch and a half of 350, as in the released code. Which layers are frozen is
    not published: here all but the last two of the seven stages and what follows them. The average of the weights has
    a momentum of 0.99, which is what the released code comes to in so few steps.

    Args:
        name: of the network, such as `"L2"`.
        batch_size: labelled images in a batch.
        num_labeled: number of labelled images.

    Returns:
        `None` for B0 to B7, which are trained and tested at one resolution.

    Raises:
        ValueError: for an unknown name, or a value that is no positive integer.

    Example:
        >>> fine_tuning("L2").size
        (800, 800)
    """
    scaling = scaling_of(name)
    check_count("batch_size", batch_size)
    check_count("num_labeled", num_labeled)
    if scaling.test_image_size == scaling.image_size:
        return None
    learning_rate = _PEAK_FOR_2048 * batch_size / 2048 * _DECAY_RATE**_NUM_FALLS
    return FineTuning(
        resolution=scaling.test_image_size,
        train_from="block6a_expand_conv",
        optimizer=paper_optimizer(learning_rate, l2=_WEIGHT_DECAY, ema_momentum=0.99),
        batch_size=batch_size,
        steps_per_epoch=max(1, round(1.5 * num_labeled / batch_size)),
    )


@dataclasses.dataclass(frozen=True)
class RoundRecipe:
    """What a round of the paper trains.

    Args:
        student: name of the EfficientNet.
        unlabeled_ratio: unlabelled images for each labelled one in a batch; not used in round 0.
    """

    student: str
    unlabeled_ratio: float


_ROUNDS = {
    "v1": (("B7", 1), ("B7", 3), ("L0", 3), ("L1", 3), ("L2", 3), ("L2", 3)),
    "v4": (("B7", 1), ("L2", 14), ("L2", 14), ("L2", 28)),
}


def rounds(version: Literal["v1", "v4"] = "v4") -> tuple[RoundRecipe, ...]:
    """The rounds of the paper's best result, by round index: the first teacher, then the students.

    Args:
        version: of the paper. `"v4"`: B7, then L2 three times, with 14 unlabelled images for each labelled one, at last
            28; 88.4% top-1. `"v1"`: B7, B7, L0, L1, L2 and L2 with 3 unlabelled images for each; 87.4%.

    Raises:
        ValueError: for another version.

    Example:
        >>> [recipe.student for recipe in rounds("v4")]
        ['B7', 'L2', 'L2', 'L2']
    """
    check_choice("version", version, tuple(_ROUNDS))
    return tuple(RoundRecipe(student, float(ratio)) for student, ratio in _ROUNDS[version])


def same_size_rounds(name: str, *, num_rounds: int = 1) -> tuple[RoundRecipe, ...]:
    """Rounds in which a teacher and its students have the same size, by round index.

    There is one unlabelled image for each labelled one for B0, and there are three for larger networks, as in the
    released script. The text of v1 has three for B7 and larger only.

    Args:
        name: of the network, such as `"B0"`.
        num_rounds: number of students, 1 to 1000.

    Raises:
        ValueError: for an unknown name, or a number of rounds out of range.

    Example:
        >>> same_size_rounds("B0")
        (RoundRecipe(student='B0', unlabeled_ratio=1.0), RoundRecipe(student='B0', unlabeled_ratio=1.0))
    """
    scaling_of(name)
    if not is_integer(num_rounds, at_least=1) or num_rounds > MAX_ROUNDS:
        raise ValueError(
            f"`num_rounds` must be an integer from 1 to {MAX_ROUNDS}. Received: num_rounds={num_rounds!r}."
        )
    ratio = 1.0 if name == "B0" else 3.0
    return (RoundRecipe(name, 1.0), *[RoundRecipe(name, ratio)] * int(num_rounds))
