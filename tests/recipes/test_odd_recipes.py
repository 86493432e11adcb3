"""Recipes given arguments they are not made for: accepted, or an error that explains itself."""

import pytest

from keras_noisy_student.recipes import RMSpropWithL2, WarmUpStaircase, imagenet, svhn
from tests.odd_values import ALL, check_accepts_or_explains

USUAL = [
    (imagenet.student, {"name": "B2"}),
    (imagenet.noise, {"name": "B2", "image_size": 32}),
    (imagenet.epochs, {"name": "B2"}),
    (imagenet.optimizer, {"batch_size": 256, "epochs": 10, "num_labeled": 5000}),
    (imagenet.pseudo_labeling, {"examples_per_class": 100}),
    (imagenet.fine_tuning, {"name": "L2", "batch_size": 256, "num_labeled": 5000}),
    (imagenet.rounds, {"version": "v4"}),
    (imagenet.same_size_rounds, {"name": "B2", "num_rounds": 2}),
    (svhn.optimizer, {"batch_size": 64, "num_steps": 20_000, "num_labeled": 5000}),
    (WarmUpStaircase, {"peak": 1.0, "warm_up_steps": 5, "decay_steps": 2, "decay_rate": 0.9}),
    (RMSpropWithL2, {"l2": 0.1}),
]


@pytest.mark.parametrize(("function", "usual"), USUAL)
def test_each_odd_argument_is_accepted_or_explained(function, usual):
    for argument in usual:
        for value in ALL:
            check_accepts_or_explains(function, {**usual, argument: value}, about=[argument])
