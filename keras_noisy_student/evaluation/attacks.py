"""Adversarial attacks in the L-infinity ball around an image: FGSM (arXiv 1412.6572) and PGD (arXiv 1706.06083).

Images are in [0, 255] and distances in the same levels, of which an 8-bit image has whole ones. An attack knows the
label, follows the gradient of the loss up, and works on floats: it does not round to levels.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_noisy_student.argument_checks import POSITIVE, check_count, checked_fixed_seed
from keras_noisy_student.evaluation.image_batches import batches, checked_images, checked_labels
from keras_noisy_student.evaluation.predictions import Predictor, classes_of_batches, inference
from keras_noisy_student.noise.seeds import fold, stream_key, uniform
from keras_noisy_student.tasks.task import Task

EPSILONS = (1, 2, 4, 8, 16)

Gradient = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""From images and labels to the gradient of the loss with respect to the images."""


def fgsm_accuracies(
    model: Predictor,
    images: Any,
    labels: Any,
    *,
    task: Task,
    epsilons: Sequence[float] = EPSILONS,
    batch_size: int = 128,
) -> dict[float, float]:
    """The accuracy under the fast gradient sign method: one step of `epsilon` in each value, up the loss.

    Args:
        model: a Keras model, run in inference mode, or a TensorFlow function, from float32 images
            `(batch, height, width, channels)` in [0, 255] to what `task` expects, through which gradients flow.
        images: in [0, 255], an array `(images, height, width, channels)` or a `tf.data.Dataset` of unbatched images.
        labels: integer class ids `(images,)`.
        task: has the loss that the attack raises.
        epsilons: the largest change of a value, in levels of 255; the paper's run from 1 to 16.
        batch_size: images at a time.

    Returns:
        For each epsilon the accuracy in [0, 1].

    Raises:
        ValueError: for a model without gradients, and for other images, labels or epsilons.

    Example:
        >>> model = keras.Sequential(
        ...     [keras.Input((1, 1, 1)), keras.layers.Flatten(), keras.layers.Dense(2, kernel_initializer="zeros")]
        ... )
        >>> model.layers[-1].set_weights([np.array([[-0.01, 0.01]]), np.array([1.0, -1.0])])  # Above 100 is class 1.
        >>> images, labels = np.full((1, 1, 1, 1), 103, "uint8"), [1]
        >>> fgsm_accuracies(model, images, labels, task=kns.Classification(2, from_logits=True), epsilons=[2, 4])
        {2: 1.0, 4: 0.0}

    Reference:
        Goodfellow et al. 2014, https://arxiv.org/abs/1412.6572
    """
    gradient = _LossGradient(model, task)

    def attack(batch: tf.Tensor, labels_of_batch: tf.Tensor, epsilon: float, first: int) -> tf.Tensor:
        return ascended(batch, labels_of_batch, gradient, epsilon=epsilon, step_size=epsilon, num_steps=1, start=batch)

    accuracies = _accuracies(model, images, labels, attack, epsilons=epsilons, batch_size=batch_size)
    gradient.check()
    return accuracies


def pgd_accuracies(
    model: Predictor,
    images: Any,
    labels: Any,
    *,
    task: Task,
    epsilons: Sequence[float] = EPSILONS,
    num_steps: int = 10,
    step_size: float = 1.0,
    random_start: bool = True,
    seed: int = 0,
    batch_size: int = 128,
) -> dict[float, float]:
    """The accuracy under projected gradient descent: steps in each value, up the loss, never beyond `epsilon`.

    Args:
        model: see `fgsm_accuracies`.
        images: see `fgsm_accuracies`.
        labels: integer class ids `(images,)`.
        task: has the loss that the attack raises.
        epsilons: the largest change of a value, in levels of 255.
        num_steps: 10 in the paper.
        step_size: in levels of 255, 1 in the paper.
        random_start: whether to start at random, uniform within `epsilon` of the image, or at the image itself.
        seed: key of the random start, with the place of the image in `images`.
        batch_size: images at a time.

    Returns:
        For each epsilon the accuracy in [0, 1].

    Raises:
        ValueError: for a model without gradients, and for other images, labels, epsilons or steps.

    Example:
        >>> model = keras.Sequential(
        ...     [keras.Input((1, 1, 1)), keras.layers.Flatten(), keras.layers.Dense(2, kernel_initializer="zeros")]
        ... )
        >>> model.layers[-1].set_weights([np.array([[-0.01, 0.01]]), np.array([1.0, -1.0])])  # Above 100 is class 1.
        >>> images, labels = np.full((1, 1, 1, 1), 103, "uint8"), [1]
        >>> pgd_accuracies(model, images, labels, task=kns.Classification(2, from_logits=True), epsilons=[2, 4])
        {2: 1.0, 4: 0.0}

    Reference:
        Madry et al. 2017, https://arxiv.org/abs/1706.06083
    """
    check_count("num_steps", num_steps)
    POSITIVE.check("step_size", step_size)
    if not isinstance(random_start, bool):
        raise ValueError(f"`random_start` must be True or False. Received: random_start={random_start!r}.")
    key = stream_key(checked_fixed_seed(seed), "pgd")
    gradient = _LossGradient(model, task)

    def attack(batch: tf.Tensor, labels_of_batch: tf.Tensor, epsilon: float, first: int) -> tf.Tensor:
        keys = fold(key, first + tf.range(len(batch)))
        start = _random_start(batch, epsilon, keys) if random_start else batch
        return ascended(
            batch, labels_of_batch, gradient, epsilon=epsilon, step_size=step_size, num_steps=num_steps, start=start
        )

    accuracies = _accuracies(model, images, labels, attack, epsilons=epsilons, batch_size=batch_size)
    gradient.check()
    return accuracies


def ascended(
    images: tf.Tensor,
    labels: tf.Tensor,
    gradient: Gradient,
    *,
    epsilon: float,
    step_size: float,
    num_steps: int,
    start: tf.Tensor,
) -> tf.Tensor:
    """Steps from `start` by the sign of the gradient, each brought back to within `epsilon` of the images and [0, 255].

    Args:
        images: float32 `(batch, height, width, channels)` in [0, 255].
        labels: int32 `(batch,)`.
        gradient: of the loss.
        epsilon: in levels.
        step_size: in levels.
        num_steps: how many.
        start: like `images`.
    """
    lowest, highest = tf.maximum(images - epsilon, 0.0), tf.minimum(images + epsilon, 255.0)
    attacked = tf.clip_by_value(start, lowest, highest)
    for _ in range(num_steps):
        attacked = tf.clip_by_value(attacked + step_size * tf.sign(gradient(attacked, labels)), lowest, highest)
    return attacked


def _accuracies(
    model: Predictor,
    images: Any,
    labels: Any,
    attack: Callable[[tf.Tensor, tf.Tensor, float, int], tf.Tensor],
    *,
    epsilons: Sequence[float],
    batch_size: int,
) -> dict[float, float]:
    images, labels = checked_images(images), checked_labels(labels)
    _check_epsilons(epsilons)
    function = inference(model)
    num_right, first = dict.fromkeys(epsilons, 0), 0
    for batch in batches(images, batch_size=batch_size):
        labels_of_batch = labels[first : first + len(batch)]
        if len(labels_of_batch) < len(batch):
            raise ValueError(f"`labels` must be one per image. Received: {len(labels)} labels for more images.")
        for epsilon in epsilons:
            attacked = attack(tf.cast(batch, tf.float32), tf.constant(labels_of_batch), epsilon, first)
            num_right[epsilon] += int(np.sum(classes_of_batches(function, [attacked]) == labels_of_batch))
        first += len(batch)
    if len(labels) != first:
        raise ValueError(f"`labels` must be one per image. Received: {len(labels)} labels for {first} images.")
    return {epsilon: right / first for epsilon, right in num_right.items()}


def _check_epsilons(epsilons: Any) -> None:
    if not isinstance(epsilons, Sequence) or isinstance(epsilons, str) or not epsilons:
        raise ValueError(f"`epsilons` must be a list of one number or more. Received: epsilons={epsilons!r}.")
    for epsilon in epsilons:
        POSITIVE.check("epsilons", epsilon)


def _random_start(images: tf.Tensor, epsilon: float, keys: tf.Tensor) -> tf.Tensor:
    draws = tf.reshape(uniform(keys, int(np.prod(images.shape[1:]))), tf.shape(images))
    return images + epsilon * (2 * draws - 1)


class _LossGradient:
    """The gradient of the loss with respect to the images, which must be there, and not 0 everywhere."""

    def __init__(self, model: Predictor, task: Task) -> None:
        self._is_ever_above_0 = False

        @tf.function(autograph=False, reduce_retracing=True)
        def gradient(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor | None:
            with tf.GradientTape() as tape:
                tape.watch(images)
                outputs = model(images, training=False) if isinstance(model, keras.Model) else model(images)
                loss = tf.reduce_sum(task.loss(labels, outputs))
            return tape.gradient(loss, images)

        self._gradient = gradient

    def __call__(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        gradient = self._gradient(images, labels)
        if gradient is None:
            raise ValueError(
                "An attack needs the gradient of the loss with respect to the images. Received: a model without one. "
                "Something in it breaks the chain: an input of integers (make it "
                '`keras.Input(..., dtype="float32")`), a cast to integers, rounding, or a function of NumPy.'
            )
        self._is_ever_above_0 |= bool(tf.reduce_any(gradient != 0))
        return gradient

    def check(self) -> None:
        """Raises a `ValueError` when the attack had nothing to follow for any image."""
        if not self._is_ever_above_0:
            raise ValueError(
                "An attack needs the gradient of the loss with respect to the images. Received: 0 for every image. "
                "Where the model is so sure of itself that its probabilities are 0 and 1, take its softmax away and "
                "use a task with from_logits=True."
            )
