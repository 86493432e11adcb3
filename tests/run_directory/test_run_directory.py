import functools
import json
import re

import keras
import numpy as np
import pytest

from keras_noisy_student.history import RoundRecord
from keras_noisy_student.noise.noise import Noise
from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.run_directory.description import describe
from keras_noisy_student.run_directory.run_directory import RunDirectory
from keras_noisy_student.tasks.classification import Classification
from tests.toy_data import features, network

# Keras itself, when it saves weights, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SETTINGS = {"seed": 0, "task": Classification(3), "teacher": None, "data": {"num_labeled": 9}}
RECORD = RoundRecord(
    round_index=1,
    num_parameters=15,
    metrics={"loss": 0.1 + 0.2, "val_accuracy": 1 / 3},
    epochs={"loss": [1.5, 0.1 + 0.2], "val_accuracy": [0.0, 1 / 3]},
    num_annotated=5,
    num_kept=4,
    num_selected=6,
    class_counts=[2, 2, 1],
    selected_class_counts=[2, 2, 2],
    mean_confidence=0.75,
    seconds=1.25,
)


def _run(tmp_path):
    return RunDirectory(str(tmp_path / "run"))


def _file_names(tmp_path):
    return {str(path.relative_to(tmp_path / "run")) for path in tmp_path.rglob("*") if path.is_file()}


def test_a_run_finds_its_directory_as_it_left_it(tmp_path):
    for _ in range(2):
        run = _run(tmp_path)
        run.claim(SETTINGS)
        run.claim_round(0, {"epochs": 3, "noise": Noise()})
        run.claim_round(1, {"epochs": 5, "noise": Noise()})
    assert _file_names(tmp_path) == {"run.json", "round_00/settings.json", "round_01/settings.json"}


def test_another_run_is_an_error_that_shows_the_difference_and_what_to_do(tmp_path):
    _run(tmp_path).claim(SETTINGS | {"former": 1})
    _run(tmp_path).save_round(RECORD, network())
    message = (
        rf"{re.escape(str(tmp_path / 'run'))} holds another run.*run\.json.*:\n"
        r"  former: 1 there, absent now\n"
        r"  later: absent there, 2 now\n"
        r"  seed: 0 there, 3 now\n"
        r"To resolve this, do one of the following: pass another `directory`, pass the settings of that run, or delete "
        r"the directory\."
    )
    with pytest.raises(ValueError, match=message):
        _run(tmp_path).claim(SETTINGS | {"seed": 3, "later": 2})


def test_a_round_of_other_settings_is_an_error_and_stays_as_it_was(tmp_path):
    run = _run(tmp_path)
    run.claim_round(1, {"epochs": 3})
    run.save_round(RECORD, network())
    with pytest.raises(ValueError, match=r"holds another run.*settings\.json.*\n  epochs: 3 there, 4 now\n"):
        run.claim_round(1, {"epochs": 4})
    run.claim_round(1, {"epochs": 3})


def test_settings_of_a_round_that_never_finished_may_be_changed(tmp_path):
    run = _run(tmp_path)
    for settings in (SETTINGS, SETTINGS | {"seed": 3}):
        run.claim(settings)
    for epochs in (3, 4):
        run.claim_round(1, {"epochs": epochs})
    assert json.loads((tmp_path / "run" / "round_01" / "settings.json").read_text()) == {"epochs": 4}


def test_the_difference_is_that_of_the_innermost_setting(tmp_path):
    run = _run(tmp_path)
    run.claim(SETTINGS)
    run.save_round(RECORD, network())
    with pytest.raises(ValueError, match=r":\n  task\.num_classes: 3 there, 4 now\nTo resolve"):
        run.claim(SETTINGS | {"task": Classification(4)})


def test_a_damaged_file_is_an_error_that_names_it(tmp_path):
    run = _run(tmp_path)
    run.claim(SETTINGS)
    run.save_round(RECORD, network())
    (tmp_path / "run" / "run.json").write_text('{"seed": ')
    with pytest.raises(ValueError, match=rf"{re.escape(str(tmp_path))}/run/run\.json is damaged"):
        run.claim(SETTINGS)


def test_a_round_is_finished_once_it_is_saved(tmp_path):
    run = _run(tmp_path)
    assert not run.is_finished(1)
    run.save_round(RECORD, network())
    assert _run(tmp_path).is_finished(1)
    assert not run.is_finished(0)
    assert _file_names(tmp_path) == {"round_01/record.json", "round_01/student.weights.h5"}


def test_a_round_whose_record_was_not_written_is_not_finished(tmp_path):
    run = _run(tmp_path)
    run.save_round(RECORD, network())
    (tmp_path / "run" / "round_01" / "record.json").unlink()
    assert not run.is_finished(1)


def test_a_saved_round_is_loaded_to_the_last_bit(tmp_path):
    trained, fresh = network(seed=1), network(seed=2)
    _run(tmp_path).save_round(RECORD, trained)
    run = _run(tmp_path)
    run.load_weights(1, fresh)
    assert run.load_record(1) == RECORD
    np.testing.assert_array_equal(fresh(features(4)), trained(features(4)))


def test_saving_a_round_again_replaces_it(tmp_path):
    run = _run(tmp_path)
    for seed in (1, 2):
        run.save_round(RECORD, network(seed=seed))
    loaded = network()
    run.load_weights(1, loaded)
    np.testing.assert_array_equal(loaded(features(4)), network(seed=2)(features(4)))


def test_every_round_has_a_place_for_its_pseudo_labels(tmp_path):
    run = _run(tmp_path)
    assert [run.pseudo_labels_path(index) for index in (0, 12)] == [
        f"{run.path}/round_00/pseudo_labels",
        f"{run.path}/round_12/pseudo_labels",
    ]


def _named_function(x):
    return x


@pytest.mark.parametrize(
    ("value", "description"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.1, 0.1),
        ("soft", "soft"),
        ((1, [2.5, None]), [1, [2.5, None]]),
        ({"a": {1: "b"}}, {"a": {"1": "b"}}),
        (_named_function, "_named_function"),
        (functools.partial(_named_function, 1), {"function": "_named_function", "args": [1], "keywords": {}}),
        (Classification, "Classification"),
    ],
)
def test_describes_values_as_json(value, description):
    assert describe(value) == description
    assert json.loads(json.dumps(describe(value))) == description


@pytest.mark.parametrize(
    ("value", "description"), [(np.float32(0.5), 0.5), (np.int64(3), 3), (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]])]
)
def test_describes_numpy_values_by_what_they_hold(value, description):
    assert json.loads(json.dumps(describe(value))) == description


def test_describes_data_classes_by_their_fields():
    assert describe(PseudoLabeling(temperature=0.5)) == {
        "class": "PseudoLabeling",
        "labels": "soft",
        "temperature": 0.5,
        "confidence_threshold": 0.0,
        "examples_per_class": None,
        "annotate": "stored",
    }


def test_describes_keras_objects_by_their_configuration():
    layers = [keras.layers.GaussianNoise(stddev, seed=1) for stddev in (0.1, 0.1, 0.2)]
    optimizers = [keras.optimizers.Adam(rate) for rate in (0.1, 0.1, 0.2)]
    schedules = [keras.optimizers.schedules.CosineDecay(0.1, steps) for steps in (10, 10, 20)]
    for same, also_same, other in (layers, optimizers, [keras.optimizers.SGD(schedule) for schedule in schedules]):
        assert json.loads(json.dumps(describe(same))) == describe(also_same)
        assert describe(other) != describe(same)


def test_the_names_of_layers_that_count_up_make_no_difference():
    first, second = (keras.Sequential([keras.layers.GaussianNoise(0.1)]) for _ in range(2))
    assert first.name != second.name
    assert describe(first) == describe(second)


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.layers.RandomFlip("horizontal"),
        lambda: keras.Sequential([keras.layers.RandomRotation(0.1), keras.layers.GaussianNoise(0.1)]),
        lambda: keras.Sequential([keras.Input((8, 8, 3)), keras.layers.RandomFlip()]),
    ],
)
def test_an_augmentation_is_described_alike_before_and_after_it_was_used(make):
    """A run that is started again restores its first rounds, and uses the augmentation later than it did before."""
    used = make()
    used(np.ones((2, 8, 8, 3), "float32"), training=True)
    assert describe(used) == describe(make())


def test_a_layer_that_has_no_configuration_is_described_by_its_class():
    class Augmentation(keras.layers.Layer):
        def __init__(self, function):
            super().__init__()
            self.function = function

    assert describe(Augmentation(_named_function))["class"] == "Augmentation"
