"""Public classes and functions given arguments they are not made for: accepted, or an error that explains itself."""

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

import keras_noisy_student as kns
from tests.odd_values import ALL, ODD_VALUES, check_accepts_or_explains, fuzz_settings, with_noise_seed
from tests.toy_data import NUM_CLASSES, features, labels, network

RETURNED_TO_USERS = {"Annotation", "LayerNoise", "RoundRecord", "RoundsHistory", "RunData"}
TO_BE_SUBCLASSED = {"Correction", "Task"}
TASK = kns.Classification(NUM_CLASSES)
EXAMPLES = features(9), labels(9)
REQUIRED_ARGUMENTS = {
    "Classification": {"num_classes": NUM_CLASSES},
    "Compose": {"steps": [kns.RandomFlip()]},
    "Cutout": {"half_size": 4},
    "FeatureMasks": {"num_masks": 2},
    "LengthBuckets": {"frames": 4},
    "NoisyStudent": {"network": network(dropout_rate=0.1), "task": TASK},
    "NoisyStudentTrainer": {"student": network(), "task": TASK},
    "PerClip": {"augmentation": with_noise_seed},
    "RandomResizedCrop": {"height": 8, "width": 8},
    "RoundSettings": {
        "index": 1,
        "noise": kns.Noise(),
        "pseudo_labeling": kns.PseudoLabeling(),
        "unlabeled_ratio": 1.0,
        "batch_size": 4,
        "epochs": 1,
        "steps_per_epoch": 2,
    },
    "SegmentSampling": {"num_frames": 2},
    "TemporalCrop": {"num_frames": 2},
    "Transcription": {"vocabulary": kns.speech.Vocabulary("ab"), "max_tokens": 3},
    "joint_dataset": {"labeled": EXAMPLES, "pseudo_labeled": EXAMPLES, "batch_size": 2},
    "set_model_noise": {"model": network(dropout_rate=0.1)},
}
FUZZED = [
    name for name in kns.__all__ if callable(getattr(kns, name)) and name not in RETURNED_TO_USERS | TO_BE_SUBCLASSED
]


def usual_arguments(name):
    """Every argument with its default, also those that a subclass hands to `ImageNoise`.

    What `keras.layers.Layer` takes beside them is checked by Keras.
    """
    function = getattr(kns, name)
    bases = [base for base in getattr(function, "__mro__", [])[1:] if base.__module__.startswith(kns.__name__)]
    parameters = {}
    for callable_ in [function, *bases]:
        parameters = dict(inspect.signature(callable_).parameters) | parameters
    defaults = {
        parameter.name: parameter.default
        for parameter in parameters.values()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }
    return defaults | REQUIRED_ARGUMENTS.get(name, {})


def fuzzed_arguments(name):
    return sorted(usual_arguments(name))


@st.composite
def with_odd_ones(draw, name):
    """Up to three of the arguments replaced: more would only hide the later checks behind the first."""
    replaced = draw(st.lists(st.sampled_from(fuzzed_arguments(name)), min_size=1, max_size=3, unique=True))
    return usual_arguments(name) | {argument: draw(ODD_VALUES) for argument in replaced}


@pytest.mark.parametrize("name", FUZZED)
def test_usual_arguments_are_accepted(name):
    assert inspect.Parameter.empty not in usual_arguments(name).values()
    assert getattr(kns, name)(**usual_arguments(name)) is not None


@pytest.mark.parametrize("name", FUZZED)
def test_each_odd_argument_alone_is_accepted_or_explained(name):
    for argument in fuzzed_arguments(name):
        for value in ALL:
            arguments = usual_arguments(name) | {argument: value}
            check_accepts_or_explains(getattr(kns, name), arguments, about=[argument])


@pytest.mark.parametrize("name", [name for name in FUZZED if fuzzed_arguments(name)])
@fuzz_settings(max_examples=100)
@given(data=st.data())
def test_odd_arguments_together_are_accepted_or_explained(name, data):
    check_accepts_or_explains(getattr(kns, name), data.draw(with_odd_ones(name)))
