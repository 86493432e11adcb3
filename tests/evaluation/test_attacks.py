import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.evaluation.attacks import ascended, fgsm_accuracies, pgd_accuracies
from tests.evaluation.toy_images import images

TASK = kns.Classification(2, from_logits=True)
SIDE = 3
WEIGHTS = np.random.default_rng(1).normal(size=SIDE * SIDE * 3).astype("float32")
IMAGES = images(40, side=SIDE)


def margins(batch):
    """Of class 1 over class 0 in the linear model, float64 `(batch,)`."""
    return (np.asarray(batch, "float64").reshape(len(batch), -1) - 127.5) @ WEIGHTS / 1000


def linear_model(activation=None, dtype="float32"):
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3), dtype=dtype),
            keras.layers.Rescaling(1 / 1000, offset=-0.1275),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(2, activation),
        ]
    )
    model.layers[-1].set_weights([np.stack([-WEIGHTS, WEIGHTS], -1) / 2, np.zeros(2)])
    return model


def linear_function(batch):
    margin = tf.linalg.matvec(tf.reshape(tf.cast(batch, tf.float32), [-1, WEIGHTS.size]) - 127.5, WEIGHTS)[:, None]
    return tf.concat([-margin, margin], -1) / 2000


def worst_margins(batch, labels, epsilon):
    """In closed form: the gradient of a linear model is the same everywhere, so that each value goes all the way."""
    direction = np.where(labels == 1, -1, 1)[:, None] * np.sign(WEIGHTS)
    worst = np.clip(batch.reshape(len(batch), -1).astype("float64") + epsilon * direction, 0, 255)
    return margins(worst)


LABELS = (margins(IMAGES) > 0).astype(int)
EPSILONS = [0.5, 1, 2, 4, 8, 16]
EXPECTED = {epsilon: float(np.mean((worst_margins(IMAGES, LABELS, epsilon) > 0) == LABELS)) for epsilon in EPSILONS}


def test_the_closed_form_is_no_foregone_conclusion():
    assert EXPECTED[0.5] > EXPECTED[16] + 0.2


@pytest.mark.parametrize("batch_size", [7, 128])
@pytest.mark.parametrize(("model", "task"), [(linear_model(), TASK), (linear_model("softmax"), kns.Classification(2))])
@pytest.mark.parametrize("as_dataset", [False, True])
def test_fgsm_reaches_the_closed_form_on_a_linear_model(model, task, batch_size, as_dataset):
    given = tf.data.Dataset.from_tensor_slices(IMAGES) if as_dataset else IMAGES
    accuracies = fgsm_accuracies(model, given, LABELS, task=task, epsilons=EPSILONS, batch_size=batch_size)
    assert accuracies == EXPECTED


def test_a_function_is_attacked_like_a_model():
    assert fgsm_accuracies(linear_function, IMAGES, LABELS, task=TASK, epsilons=EPSILONS) == EXPECTED


@pytest.mark.parametrize("arguments", [{"seed": 0}, {"seed": 1}, {"random_start": False}])
def test_pgd_reaches_the_closed_form_when_it_has_the_steps(arguments):
    # From the far side of the ball, 32 steps reach the near one.
    accuracies = pgd_accuracies(linear_model(), IMAGES, LABELS, task=TASK, epsilons=EPSILONS, num_steps=32, **arguments)
    assert accuracies == EXPECTED


def test_pgd_goes_no_further_than_its_steps():
    accuracies = pgd_accuracies(
        linear_model(), IMAGES, LABELS, task=TASK, epsilons=[16], num_steps=4, step_size=0.5, random_start=False
    )
    assert accuracies == {16: EXPECTED[2]}


def test_the_random_start_follows_from_seed_and_place():
    def accuracies(seed, batch_size=128):
        arguments = {"epsilons": [2, 4, 8, 16], "num_steps": 1, "step_size": 1e-3}
        return pgd_accuracies(linear_model(), IMAGES, LABELS, task=TASK, seed=seed, batch_size=batch_size, **arguments)

    assert accuracies(0) == accuracies(0) == accuracies(0, batch_size=3)
    assert len({tuple(accuracies(seed).values()) for seed in range(5)}) > 1


def ascended_slowly(image, label, gradient, epsilon, step_size, num_steps, start):
    attacked = np.clip(np.clip(start, image - epsilon, image + epsilon), 0, 255)
    for _ in range(num_steps):
        step = step_size * np.sign(gradient(attacked[None], np.array([label]))[0])
        attacked = attacked + step
        attacked = np.minimum(np.maximum(attacked, image - epsilon), image + epsilon)
        attacked = np.minimum(np.maximum(attacked, 0), 255)
    return attacked


@pytest.mark.parametrize(("epsilon", "step_size", "num_steps"), [(4, 4, 1), (4, 1, 10), (16, 1, 10), (300, 100, 5)])
def test_steps_stay_in_the_ball_and_in_the_range_of_levels(epsilon, step_size, num_steps):
    def gradient(batch, labels):
        """Of a loss with hills and valleys, flat at 100."""
        batch, sign = np.asarray(batch), np.where(np.asarray(labels) == 1, 1, -1)[:, None, None, None]
        return (np.where(batch == 100, 0, np.sin(batch)) * sign).astype("float32")

    given, labels = IMAGES[:6].astype("float32"), np.array([0, 1] * 3)
    given[0, 0] = 100
    start = given + np.random.default_rng(2).uniform(-epsilon, epsilon, given.shape).astype("float32")
    start[0, 0] = 100
    steps = {"epsilon": epsilon, "step_size": step_size, "num_steps": num_steps}
    attacked = ascended(given, labels, gradient, start=start, **steps).numpy()
    for index in range(6):
        expected = ascended_slowly(given[index], labels[index], gradient, start=start[index], **steps)
        np.testing.assert_allclose(attacked[index], expected, atol=1e-3)
    assert (attacked[0, 0] == 100).all()
    assert (np.abs(attacked - given) <= epsilon + 1e-3).all()


def rounding(batch):
    return linear_function(tf.round(batch))


@pytest.mark.parametrize("attack", [fgsm_accuracies, pgd_accuracies])
@pytest.mark.parametrize("model", [linear_model(dtype="uint8"), rounding])
def test_a_model_of_whole_levels_has_no_gradient(attack, model):
    with pytest.raises(ValueError, match=r"Received: a model without one\..* an input of integers \(make it `keras\.I"):
        attack(model, IMAGES, LABELS, task=TASK)


@pytest.mark.parametrize("attack", [fgsm_accuracies, pgd_accuracies])
def test_a_model_whose_probabilities_are_0_and_1_has_a_gradient_of_0(attack):
    def too_sure(batch):
        return tf.nn.softmax(1000 * tf.sign(linear_function(batch)))

    with pytest.raises(ValueError, match=r"Received: 0 for every image\. .* take its softmax away"):
        attack(too_sure, IMAGES, LABELS, task=kns.Classification(2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epsilons": []}, "`epsilons` must be a list of one number or more. Received: epsilons=[]"),
        ({"epsilons": 4}, "`epsilons` must be a list of one number or more. Received: epsilons=4"),
        ({"epsilons": [1, -1]}, "`epsilons` must be in (0, inf). Received: epsilons=-1"),
        ({"labels": LABELS[:-1]}, "`labels` must be one per image. Received: 39 labels for more images"),
        ({"labels": [*LABELS, 0]}, "`labels` must be one per image. Received: 41 labels for 40 images"),
        ({"num_steps": 0}, "`num_steps` must be a positive integer. Received: num_steps=0"),
        ({"step_size": 0}, "`step_size` must be in (0, inf). Received: step_size=0"),
        ({"seed": "a"}, "`seed` must be an integer of 64 bits. Received: seed='a'"),
        ({"seed": None}, "`seed` must be an integer of 64 bits. Received: seed=None"),
        ({"random_start": None}, "`random_start` must be True or False. Received: random_start=None"),
        ({"batch_size": -1}, "`batch_size` must be a positive integer"),
    ],
)
def test_other_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        pgd_accuracies(**{"model": linear_model(), "images": IMAGES, "labels": LABELS, "task": TASK, **arguments})
