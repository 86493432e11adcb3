import functools
import re

import keras
import pytest

from keras_noisy_student.noise.noise import Noise
from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.round_settings import RoundSettings, resolve_rounds, value_at

VALUES = {
    "noise": Noise(),
    "pseudo_labeling": PseudoLabeling(),
    "unlabeled_ratio": 2.5,
    "batch_size": 8,
    "epochs": 3,
    "steps_per_epoch": 4,
}


def _resolve(num_rounds=2, num_labeled=100, steps_per_execution=1, **settings):
    return resolve_rounds(
        VALUES | settings, num_rounds=num_rounds, num_labeled=num_labeled, steps_per_execution=steps_per_execution
    )


def test_a_value_holds_in_every_round():
    assert _resolve() == [RoundSettings(index=index, **VALUES) for index in range(3)]


@pytest.mark.parametrize("num_rounds", [0, 1, 4])
def test_there_is_one_round_more_than_students(num_rounds):
    assert [settings.index for settings in _resolve(num_rounds)] == list(range(num_rounds + 1))


def test_a_function_is_asked_for_every_round():
    rounds = _resolve(
        noise=lambda r: Noise(dropout_rate=r / 10),
        pseudo_labeling=lambda r: PseudoLabeling(confidence_threshold=r / 10),
        unlabeled_ratio=lambda r: r + 1,
        batch_size=lambda r: 10 * (r + 1),
        epochs=(5, 6, 7).__getitem__,
        steps_per_epoch=lambda r: None if r else 50,
    )
    assert [settings.noise.dropout_rate for settings in rounds] == [0.0, 0.1, 0.2]
    assert [settings.pseudo_labeling.confidence_threshold for settings in rounds] == [0.0, 0.1, 0.2]
    assert [settings.unlabeled_ratio for settings in rounds] == [1, 2, 3]
    assert [settings.batch_size for settings in rounds] == [10, 20, 30]
    assert [settings.epochs for settings in rounds] == [5, 6, 7]
    assert [settings.steps_per_epoch for settings in rounds] == [50, 5, 3]


@pytest.mark.parametrize(("num_labeled", "batch_size", "steps"), [(8, 8, 1), (15, 8, 1), (16, 8, 2), (100, 7, 14)])
def test_an_epoch_has_as_many_batches_as_the_labelled_examples_fill(num_labeled, batch_size, steps):
    (settings,) = _resolve(0, num_labeled, batch_size=batch_size, steps_per_epoch=None)
    assert settings.steps_per_epoch == steps


@pytest.mark.parametrize(
    ("name", "expected", "values"),
    [
        ("noise", "Noise", (None, "RandAugment", 0.5)),
        ("pseudo_labeling", "PseudoLabeling (a TranscriptLabeling for speech)", ("soft", {"labels": "soft"})),
    ],
)
def test_refuses_a_value_of_another_type(name, expected, values):
    for value in values:
        message = (
            f"`{name}` must be a {expected}, or a function of the round index that returns one. Received: "
            f"{type(value).__name__} in round 0."
        )
        with pytest.raises(ValueError, match=re.escape(message)):
            _resolve(**{name: value})


@pytest.mark.parametrize("name", ["batch_size", "epochs", "steps_per_epoch"])
@pytest.mark.parametrize("value", [0, -1, 2.0, "8", True])
def test_refuses_what_is_no_positive_integer(name, value):
    message = re.escape(f"`{name}` must be a positive integer. Received: {name}={value!r} in round 0.")
    with pytest.raises(ValueError, match=message):
        _resolve(**{name: value})


@pytest.mark.parametrize("batch_size", [0, None, "8"])
def test_names_the_batch_size_and_not_the_steps_that_would_follow_from_it(batch_size):
    with pytest.raises(ValueError, match="`batch_size` must be a positive integer"):
        _resolve(batch_size=batch_size, steps_per_epoch=None)


@pytest.mark.parametrize("value", [0, -1.5, float("nan"), float("inf"), "3", None])
def test_refuses_a_ratio_that_is_no_positive_number(value):
    message = re.escape(f"`unlabeled_ratio` must be a positive number. Received: unlabeled_ratio={value!r} in round 0.")
    with pytest.raises(ValueError, match=message):
        _resolve(unlabeled_ratio=value)


def test_a_later_round_is_checked_before_the_first_is_trained():
    with pytest.raises(ValueError, match=r"`epochs` must be a positive integer\. Received: epochs=0 in round 2\."):
        _resolve(epochs=lambda r: 2 - r)


def test_refuses_a_batch_larger_than_the_labelled_data():
    message = (
        r"`batch_size` must be at most the number of labelled examples, 7\. Received: batch_size=8 in round 0\. Lower "
        r"it, or repeat the labelled examples\."
    )
    with pytest.raises(ValueError, match=message):
        _resolve(num_labeled=7)


def test_refuses_steps_that_executions_do_not_divide():
    message = (
        r"`steps_per_epoch` must be a multiple of `steps_per_execution`, or Keras runs more steps than asked for\. "
        r"Received: steps_per_epoch=4, steps_per_execution=3 in round 0\."
    )
    with pytest.raises(ValueError, match=message):
        _resolve(steps_per_execution=3)
    assert _resolve(steps_per_execution=2)[0].steps_per_epoch == 4


@pytest.mark.parametrize("value", [0, 1.0, "2", None, True])
def test_refuses_other_steps_per_execution(value):
    message = rf"`steps_per_execution` must be a positive integer\. Received: steps_per_execution={value!r}\."
    with pytest.raises(ValueError, match=message):
        _resolve(steps_per_execution=value)


@pytest.mark.parametrize("value", [3, "adam", None, keras.optimizers.SGD(), Noise(), [1, 2]])
def test_what_cannot_be_called_is_a_value(value):
    assert value_at(value, 1, name="setting") is value


def test_a_layer_or_a_model_is_a_value():
    for value in (keras.layers.Dense(1), keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])):
        assert value_at(value, 1, name="student") is value


@pytest.mark.parametrize(
    "function",
    [lambda r: r + 1, lambda r, width=3: r + 1, functools.partial(lambda a, b: a + b, 1), lambda *r: r[0] + 1],
)
def test_a_function_gets_the_round_index(function):
    assert value_at(function, 4, name="setting") == 5


def test_a_function_that_says_nothing_of_its_arguments_is_refused():
    message = r"`epochs` given as a function must take the round index as its one argument, .* Received: min\."
    with pytest.raises(ValueError, match=message):
        value_at(min, 1, name="epochs")


def test_the_signature_of_a_function_is_shown_when_it_does_not_take_the_round_index():
    def build_network(width, depth):
        raise NotImplementedError

    message = (
        r"`student` given as a function must take the round index as its one argument, as in `lambda round_index: "
        r"\.\.\.`\. Received: build_network\(width, depth\)\."
    )
    with pytest.raises(ValueError, match=message):
        value_at(build_network, 0, name="student")


@pytest.mark.parametrize("function", [lambda: 3, lambda r, *, width: 3])
def test_refuses_a_function_of_other_arguments(function):
    with pytest.raises(ValueError, match="`epochs` given as a function must take the round index as its one argument"):
        value_at(function, 0, name="epochs")


def test_an_error_inside_the_function_is_shown_as_it_is():
    def fail(round_index):
        raise TypeError("inside")

    with pytest.raises(TypeError, match="inside"):
        value_at(fail, 0, name="student")


def test_a_class_in_place_of_an_instance_is_refused():
    with pytest.raises(ValueError, match=r"`optimizer` must be a value, or a function .* Received: the class Adam\."):
        value_at(keras.optimizers.Adam, 0, name="optimizer")
