"""The settings of the authors' SVHN script: B0 on house numbers of 32 x 32 pixels, one student.

It takes 69,257 labelled images (the training set without 4,000) and the 531,131 extra ones without their labels, starts
from a teacher of 97.9% accuracy and ends at 98.6 +- 0.1%. How that teacher was trained is not published.
"""

import math

import keras

from keras_noisy_student.argument_checks import check_count
from keras_noisy_student.joint_batch import LossReduction
from keras_noisy_student.noise.compose import Compose
from keras_noisy_student.noise.cutout import Cutout
from keras_noisy_student.noise.noise import Noise
from keras_noisy_student.noise.op_settings import OpSettings
from keras_noisy_student.noise.pad_crop import PadCrop
from keras_noisy_student.noise.rand_augment import RandAugment
from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.recipes.paper_optimizer import paper_optimizer
from keras_noisy_student.recipes.rmsprop_with_l2 import RMSpropWithL2
from keras_noisy_student.recipes.warm_up_staircase import WarmUpStaircase
from keras_noisy_student.students.efficientnet import efficientnet
from keras_noisy_student.tasks.classification import Classification

NUM_CLASSES = 10
NUM_LABELED = 69_257
"""Training images without the 4,000 that are held out."""
BATCH_SIZE = 128
"""Labelled images in a batch."""
LOSS_REDUCTION: LossReduction = "sum_of_means"
"""For `compile`: the mean over labelled images, plus `UNLABELED_RATIO` times that over unlabelled ones."""
UNLABELED_RATIO = 5.0
NUM_STEPS = 109_474
"""Steps of training: 202 passes over the labelled images."""

_PIXEL_MEAN = (0.4376821, 0.4437697, 0.47280442)
_PIXEL_STD = (0.19803012, 0.20101562, 0.19703614)
_PEAK_FOR_256, _LAST_FOR_256 = 0.016, 0.0002
_DECAY_RATE = 0.97
_WARM_UP_EPOCHS = 5


def task() -> Classification:
    """10 classes, with a label smoothing of 0.1 on labelled images and hard pseudo-labels.

    Example:
        >>> task().label_smoothing
        0.1
    """
    return Classification(num_classes=NUM_CLASSES, label_smoothing=0.1)


def student() -> keras.Model:
    """B0 for 32 x 32 pixels, without two of its strides, normalised by the statistics of SVHN.

    Example:
        >>> student().output_shape
        (None, 10)
    """
    return efficientnet(
        "B0",
        num_classes=NUM_CLASSES,
        image_size=32,
        small_images=True,
        pixel_mean=_PIXEL_MEAN,
        pixel_std=_PIXEL_STD,
    )


def noise() -> Noise:
    """Two ops of RandAugment of magnitude 5, a cut of 16 x 16 pixels, a shift by up to 4 pixels; no flip.

    Where it shifts, the image is mirrored at its border. Dropout 0.2, survival probability 0.8.

    Example:
        >>> len(noise().augmentation.steps)
        3
    """
    rand_augment = RandAugment(2, 5, overflow="paper", op_settings=OpSettings(contrast_mean="paper"))
    augmentation = Compose([rand_augment, Cutout(half_size=8), PadCrop(padding=4, mode="reflect")])
    return Noise(augmentation=augmentation, dropout_rate=0.2, survival_probability=0.8)


def pseudo_labeling() -> PseudoLabeling:
    """Soft labels of confidence above 0.3, 53,113 a class: as many as there are extra images for each.

    Example:
        >>> pseudo_labeling().examples_per_class
        53113
    """
    return PseudoLabeling(labels="soft", confidence_threshold=0.3, examples_per_class=53_113)


def optimizer(
    *, batch_size: int = BATCH_SIZE, num_steps: int = NUM_STEPS, num_labeled: int = NUM_LABELED
) -> RMSpropWithL2:
    """RMSprop whose learning rate rises to 0.008 and falls to 0.0001, with a weight decay of 1e-4.

    Those of the script are 0.016 and 0.0002 for each 256 labelled images in a batch. The falls are by 0.97, as many as
    it takes. Weight decay is weighed against the gradient of `LOSS_REDUCTION`, without which it is relatively larger.

    Args:
        batch_size: labelled images in a batch.
        num_steps: steps of training; more than 5 passes over the labelled images.
        num_labeled: number of labelled images.

    Raises:
        ValueError: for a value that is no positive integer, or fewer steps.

    Example:
        >>> optimizer().get_config()["learning_rate"]["config"]["peak"]
        0.008
    """
    for name, count in (("batch_size", batch_size), ("num_steps", num_steps), ("num_labeled", num_labeled)):
        check_count(name, count)
    steps_per_epoch = num_labeled / batch_size
    warm_up_steps = _WARM_UP_EPOCHS * steps_per_epoch
    if num_steps <= warm_up_steps:
        raise ValueError(
            f"`num_steps` must be more than the {warm_up_steps:.0f} of the warm-up, which is {_WARM_UP_EPOCHS} passes "
            f"over the labelled images. Received: num_steps={num_steps}, batch_size={batch_size}, "
            f"num_labeled={num_labeled}."
        )
    num_falls = math.log(_LAST_FOR_256 / _PEAK_FOR_256) / math.log(_DECAY_RATE)
    schedule = WarmUpStaircase(
        _PEAK_FOR_256 * batch_size / 256,
        warm_up_steps=warm_up_steps,
        decay_steps=(num_steps - warm_up_steps) / num_falls,
        decay_rate=_DECAY_RATE,
    )
    return paper_optimizer(schedule, l2=1e-4)
