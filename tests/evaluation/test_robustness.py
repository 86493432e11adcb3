import dataclasses
import inspect
import json

import keras
import numpy as np
import pytest

import keras_noisy_student as kns
from keras_noisy_student.evaluation import robustness
from tests.evaluation.toy_images import images

TASK = kns.Classification(2)
IMAGES, LABELS = images(6, side=8), [0, 1, 0, 1, 1, 0]
CORRUPTED = {(name, severity): IMAGES // severity for name in ("fog", "snow") for severity in range(1, 6)}
TEACHER = robustness.RobustnessReport(0.5, {"fog": [0.5, 0.5]}, {"tilt": 0.5, "snow": 0.25}, {4: 0.25}, {4: 0.125})
STUDENT = robustness.RobustnessReport(0.75, {"fog": [0.25, 0.5]}, {"tilt": 0.25, "snow": 0.25}, {4: 0.5}, {4: 0.25})


def model():
    network = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")]
    )
    network.layers[-1].set_weights([np.float32([[0.1, 0], [-0.1, 0], [0, 0]]), np.zeros(2)])
    return network


def test_everything_is_evaluated_as_the_functions_of_the_parts_do():
    report = robustness.evaluate(
        model(), IMAGES, LABELS, task=TASK, corrupted=CORRUPTED, strengths="imagenet_p", epsilons=[2, 8], seed=3
    )
    classes = model().predict(IMAGES, verbose=0).argmax(-1)
    attacks = {"task": TASK, "epsilons": [2, 8]}
    assert dataclasses.asdict(report) == {
        "accuracy": pytest.approx(np.mean(classes == LABELS)),
        "corruption_errors": robustness.corruption_errors(model(), CORRUPTED, LABELS),
        "flip_rates": robustness.flip_rates(model(), IMAGES, strengths="imagenet_p", seed=3),
        "fgsm_accuracies": robustness.fgsm_accuracies(model(), IMAGES, LABELS, **attacks),
        "pgd_accuracies": robustness.pgd_accuracies(model(), IMAGES, LABELS, seed=3, **attacks),
    }
    assert report.figures()["fgsm_8"] == report.fgsm_accuracies[8]


def test_figures_by_hand():
    assert STUDENT.figures() == {
        "accuracy": 0.75,
        "mean_corruption_error": 0.375,
        "mean_flip_rate": 0.25,
        "fgsm_4": 0.5,
        "pgd_4": 0.25,
    }


def test_figures_normalised_by_a_baseline_by_hand():
    figures = STUDENT.figures(baseline=TEACHER)
    assert figures["normalized_mean_corruption_error"] == 0.75
    assert figures["normalized_mean_flip_rate"] == 0.75
    assert {name: figures[name] for name in STUDENT.figures()} == STUDENT.figures()
    itself = TEACHER.figures(baseline=TEACHER)
    assert itself["normalized_mean_corruption_error"] == itself["normalized_mean_flip_rate"] == 1


def test_figures_are_json():
    assert json.loads(json.dumps(STUDENT.figures(baseline=TEACHER))) == STUDENT.figures(baseline=TEACHER)


def test_public_names_are_those_that_are_listed():
    assert kns.evaluation.robustness is robustness
    of_this_room = {
        name
        for name, value in vars(robustness).items()
        if getattr(value, "__module__", "").startswith("keras_noisy_student.evaluation")
    }
    constants = {"ALEXNET_CORRUPTION_ERRORS", "CORRUPTIONS", "PERTURBATIONS", "SEVERITIES"}
    assert set(robustness.__all__) == of_this_room - {"error_rate"} | constants
    for name in robustness.__all__:
        if callable(value := getattr(robustness, name)):
            assert ">>>" in value.__doc__, name
            kinds = [parameter.kind for parameter in inspect.signature(value).parameters.values()]
            assert kinds.count(inspect.Parameter.KEYWORD_ONLY) <= 7, name
