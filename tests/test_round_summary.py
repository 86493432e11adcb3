"""`trainer.summary()`."""

import keras
import numpy as np
import pytest

import keras_noisy_student as kns
from keras_noisy_student.noise.model_noise import find_model_noise
from tests.toy_data import NUM_CLASSES, NUM_FEATURES, features, labels, network

LABELED = features(30) + 3 * np.eye(NUM_CLASSES, NUM_FEATURES, dtype="float32")[labels(30)], labels(30)
POOL = features(60, seed=1)


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")


def residual_network(num_blocks, name):
    inputs = x = keras.Input((NUM_FEATURES,))
    for block in range(num_blocks):
        branch = kns.StochasticDepth(name=f"depth_{block}")(keras.layers.Dense(NUM_FEATURES)(x))
        x = keras.layers.Add()([x, branch])
    x = keras.layers.Dropout(0.1, name="head_dropout")(x)
    return keras.Model(inputs, keras.layers.Dense(NUM_CLASSES, "softmax")(x), name=name)


class Subclassed(keras.Model):
    """Has a dropout layer from the beginning, and its weights when it is built."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.dropout = keras.layers.Dropout(0.1, name="early_dropout")
        self.head = keras.layers.Dense(NUM_CLASSES, "softmax")

    def call(self, x, training=None):
        return self.head(self.dropout(x, training=training))


def make_trainer(student=lambda round_index: residual_network(2, f"net_{round_index}"), **arguments):
    return kns.NoisyStudentTrainer(student, kns.Classification(num_classes=NUM_CLASSES), **arguments)


def rows(trainer, **arguments):
    """The rows of the table, each a list of texts by column: what is in one row is joined over its lines."""
    (text,) = texts_of(trainer, **arguments)
    parts, row = [], None
    for line in text.splitlines():
        if line.startswith("│"):
            cells = [cell.strip() for cell in line.strip("│").split("│")]
            row = cells if row is None else [f"{a}\n{b}".strip() for a, b in zip(row, cells, strict=True)]
        elif row is not None:
            parts, row = [*parts, row], None
    return parts


def texts_of(trainer, **arguments):
    texts = []
    trainer.summary(print_fn=texts.append, **arguments)
    return texts


def test_says_before_training_which_noise_is_set_where():
    noise = kns.Noise(keras.layers.GaussianNoise(0.2), dropout_rate=0.5, survival_probability=0.8)
    teacher, student = rows(make_trainer(noise=noise, unlabeled_ratio=3))
    assert teacher[0] == "0 (teacher)" and student[0] == "1 (student)"
    assert student[1] == "net_1\n(Functional)"
    assert student[2] == f"{residual_network(2, 'net').count_params():,}"
    assert student[3].splitlines() == [
        "input: GaussianNoise(stddev=0.2)",
        "dropout rates: 0.5 in head_dropout",
        "survival probabilities: 0.9 in depth_0, 0.8 in depth_1",
    ]
    assert student[4].splitlines() == [
        "PseudoLabeling()",
        "unlabeled_ratio=3",
        "batch_size, epochs, steps_per_epoch: given to fit_rounds",
    ]
    assert teacher[4] == "batch_size, epochs, steps_per_epoch: given to fit_rounds"


def test_shows_the_rates_that_a_network_has_where_noise_sets_none():
    _, student = rows(make_trainer())
    assert "dropout rates: 0.1 in head_dropout\nsurvival probabilities: 0.8 in depth_0, 0.8 in depth_1" in student[3]


def test_shows_the_first_and_the_last_of_many_layers():
    trainer = make_trainer(lambda r: residual_network(8, "deep"), noise=kns.Noise(survival_probability=0.2))
    assert rows(trainer)[0][3].splitlines()[-1] == (
        "survival probabilities: 0.9 in depth_0, 0.8 in depth_1, ..., 0.2 in depth_7 (8 layers)"
    )


def test_layers_of_nested_networks_that_share_a_name_are_all_shown():
    towers = [keras.Sequential([keras.layers.Dropout(0.1, name="drop")], name=name) for name in ("one", "other")]
    x = keras.Input((4,))
    outputs = keras.layers.Dense(3, "softmax")(keras.layers.Add()([tower(x) for tower in towers]))
    (teacher, _) = rows(make_trainer(lambda round_index: keras.Model(x, outputs), noise=kns.Noise(dropout_rate=0.5)))
    assert "dropout rates: 0.5 in drop, 0.5 in drop\n" in teacher[3]


def test_shows_placement_mixing_and_fine_tuning():
    noise = kns.Noise(np.flipud, placement="pipeline", mixing=keras.layers.MixUp(0.3))
    trainer = make_trainer(noise=noise, fine_tuning=kns.FineTuning(epochs=2))
    _, student = rows(trainer)
    assert student[3].splitlines()[:2] == ["input: flipud (in the pipeline)", "mixing: MixUp(alpha=0.3)"]
    assert student[4].splitlines()[-1] == "FineTuning(epochs=2)"


def test_says_that_a_network_is_not_built_yet():
    trainer = make_trainer(lambda r: Subclassed(), noise=kns.Noise(dropout_rate=0.5, survival_probability=0.8))
    _, student = rows(trainer)
    assert student[2] == "not built"
    assert student[3].splitlines() == [
        "input: none",
        "dropout rates: 0.5 in early_dropout",
        "survival probabilities: no such layer",
        "(not built: layers that `build` makes are missing)",
    ]


def test_a_given_teacher_is_not_trained():
    teacher, student = rows(make_trainer(teacher=network(dropout_rate=0.3)))
    assert teacher[2:] == ["15", "", "given as `teacher`"]
    assert student[0] == "1 (student)"


def test_settings_and_networks_by_round_are_those_of_the_round():
    trainer = make_trainer(
        lambda r: residual_network(1 + r, f"net_{r}"), noise=lambda r: kns.Noise(dropout_rate=(0.1, 0.2, 0.3)[r])
    )
    assert len(rows(trainer, num_rounds=0)) == 1
    third = rows(trainer, num_rounds=2)[2]
    assert third[:2] == ["2 (student)", "net_2\n(Functional)"]
    assert "0.3 in head_dropout" in third[3]


def test_says_after_training_what_was_trained_and_changes_nothing_of_it():
    def fitted(looks):
        trainer = make_trainer(noise=kns.Noise(dropout_rate=0.2))
        trainer.compile(keras.optimizers.Adam(0.05))
        for _ in range(looks):
            trainer.summary(print_fn=str)
        trainer.fit_rounds(LABELED, POOL, num_rounds=1, batch_size=10, epochs=2, verbose=0)
        return trainer

    trainer = fitted(looks=0)
    of_teacher, last = rows(trainer)
    assert last[0] == "1 (student)"
    assert last[2] == f"{trainer.model.count_params():,}"
    assert "0.2 in head_dropout" in last[3]
    for row in (of_teacher, last):
        assert row[4].splitlines()[-1] == "batch_size=10, epochs=2, steps_per_epoch=3"
    assert [row[0] for row in rows(trainer, num_rounds=2)] == ["0 (teacher)", "1 (student)", "2 (student)"]
    for one, two in zip(trainer.model.get_weights(), fitted(looks=2).model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_subclassed_network_is_built_after_training():
    trainer = make_trainer(lambda r: Subclassed(), noise=kns.Noise(dropout_rate=0.5))
    trainer.compile(keras.optimizers.Adam(0.05))
    trainer.fit_rounds(LABELED, num_rounds=0, batch_size=10, epochs=2, verbose=0)
    ((_, _, num_parameters, noise, _),) = rows(trainer)
    assert num_parameters == "15"
    assert "not built" not in noise


def test_prints_without_a_print_fn_and_shows_names_as_they_are(capsys):
    make_trainer(lambda r: residual_network(1, f"net[{r}]")).summary()
    printed = capsys.readouterr().out
    assert printed.startswith("Noisy Student Training\n")
    assert "net[1]" in printed


def test_noise_that_a_built_network_cannot_take_is_an_error():
    trainer = make_trainer(lambda r: network(), noise=kns.Noise(survival_probability=0.8))
    with pytest.raises(ValueError, match=r"`survival_probability` cannot be set: .* has no stochastic depth layer"):
        trainer.summary()


def test_the_number_of_rounds_is_checked():
    with pytest.raises(ValueError, match=r"`num_rounds` must be .*Received: num_rounds=-1"):
        make_trainer().summary(num_rounds=-1)


def test_model_noise_is_found_dropout_first_and_left_as_it_is():
    model = residual_network(2, "net")
    found = find_model_noise(model)
    assert [(each.layer_name, each.kind) for each in found] == [
        ("head_dropout", "dropout"),
        ("depth_0", "stochastic depth"),
        ("depth_1", "stochastic depth"),
    ]
    assert [each.new_drop_rate for each in found] == pytest.approx([0.1, 0.2, 0.2])
    assert model.get_layer("head_dropout").rate == 0.1
