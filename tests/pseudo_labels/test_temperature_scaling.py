import numpy as np
import pytest

from keras_noisy_student.pseudo_labels import temperature_scaling
from keras_noisy_student.pseudo_labels.correction import Evidence, HeldOut
from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap
from keras_noisy_student.pseudo_labels.temperature_scaling import TemperatureScaling, best_temperature


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (exponentials / exponentials.sum(axis=-1, keepdims=True)).astype("float32")


def overconfident(temperature, num_examples=400, num_classes=4, seed=0):
    """A teacher whose logits are `temperature` times too large for how often it is right."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (num_examples, num_classes))
    labels = np.array([rng.choice(num_classes, p=row / row.sum()) for row in softmax(logits).astype("float64")])
    return HeldOut(softmax(logits * temperature), labels)


def negative_log_likelihood(held_out, temperature):
    powers = held_out.probabilities.astype("float64") ** (1 / temperature)
    probabilities = powers / powers.sum(axis=-1, keepdims=True)
    return -np.mean(np.log(probabilities[np.arange(len(held_out.labels)), held_out.labels]))


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_no_other_temperature_of_a_fine_grid_explains_the_labels_better(temperature):
    held_out = overconfident(temperature)
    grid = np.exp(np.linspace(np.log(1 / 20), np.log(20), 4001))
    losses = [negative_log_likelihood(held_out, each) for each in grid]
    found = best_temperature(held_out)
    assert found == pytest.approx(grid[np.argmin(losses)], rel=2e-3)
    assert negative_log_likelihood(held_out, found) <= min(losses) + 1e-12
    assert found == pytest.approx(temperature, rel=0.3)


def test_it_does_not_matter_how_many_rows_are_read_at_once(monkeypatch):
    held_out = overconfident(2.0)
    expected = best_temperature(held_out)
    monkeypatch.setattr(temperature_scaling, "_ROWS_AT_ONCE", 7)
    assert best_temperature(held_out) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("label", "limit"), [(0, 1 / 20), (1, 20)])
def test_a_teacher_that_is_always_right_or_always_wrong_has_the_temperature_of_a_limit(label, limit):
    held_out = HeldOut(np.float32([[0.75, 0.25]] * 5), np.full(5, label))
    assert best_temperature(held_out) == pytest.approx(limit)


def test_labels_that_the_teacher_held_for_impossible_do_not_break_it():
    held_out = HeldOut(np.float32([[1, 0], [1, 0], [0.9, 0.1]]), np.array([0, 1, 0]))
    assert 1 < best_temperature(held_out) <= 20


def test_the_fit_is_the_temperature_as_a_power():
    held_out = overconfident(2.0)
    evidence = Evidence(np.full(4, 0.25), held_out=lambda: held_out, pool_mean=lambda: np.zeros(4))
    assert TemperatureScaling().fit(evidence) == ProbabilityMap(power=1 / best_temperature(held_out))
    assert TemperatureScaling.needs_validation
    assert not TemperatureScaling.needs_pool
