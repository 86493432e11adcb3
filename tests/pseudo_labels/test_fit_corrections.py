import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.pseudo_labels.correction import Correction, HeldOut
from keras_noisy_student.pseudo_labels.distribution_alignment import DistributionAlignment
from keras_noisy_student.pseudo_labels.fit_corrections import annotate_held_out, fit_corrections
from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap
from keras_noisy_student.pseudo_labels.teacher import Teacher
from keras_noisy_student.pseudo_labels.temperature_scaling import TemperatureScaling
from keras_noisy_student.tasks.classification import Classification
from keras_noisy_student.tasks.stored_probabilities import encode
from tests.pseudo_labels.test_calibration import reference as calibration_error
from tests.pseudo_labels.test_probability_map import reference as mapped
from tests.pseudo_labels.test_temperature_scaling import negative_log_likelihood, overconfident
from tests.toy_data import NUM_CLASSES, NUM_FEATURES, distributions, features, labels, network

TASK = Classification(NUM_CLASSES)
LABELS = np.array([0, 0, 1, 2])
HELD_OUT = HeldOut(distributions(30, seed=1), labels(30))


class Store:
    """What fitting asks of a store."""

    def __init__(self, probabilities, block=4):
        self._probabilities, self._block = probabilities, block

    def __len__(self):
        return len(self._probabilities)

    def rows(self):
        return tf.data.Dataset.from_tensor_slices(encode(tf.constant(self._probabilities))).batch(self._block)


class Map(Correction):
    """Is what a function says of the evidence, or always the same."""

    def __init__(self, found=None, *, function=None):
        self._function = function or (lambda evidence: found)

    def fit(self, evidence):
        return self._function(evidence)


def fit(*corrections, held_out=HELD_OUT, pseudo_labels=None):
    return fit_corrections(corrections, TASK, labels=LABELS, held_out=held_out, pseudo_labels=pseudo_labels)


def weights_of(pool):
    return np.log((1e-6 + np.array([0.5, 0.25, 0.25])) / (1e-6 + pool.mean(axis=0)))


def best_of_grid(held_out):
    grid = np.exp(np.linspace(np.log(1 / 20), np.log(20), 8001))
    return grid[np.argmin([negative_log_likelihood(held_out, each) for each in grid])]


def test_each_is_fitted_on_what_those_before_it_left():
    pool = distributions(10)
    power = 1 / best_of_grid(HELD_OUT)
    fitted = fit(TemperatureScaling(), DistributionAlignment(), pseudo_labels=Store(pool))
    assert fitted.power == pytest.approx(power, rel=2e-3)
    np.testing.assert_allclose(fitted.log_weights, weights_of(mapped(pool, power, 0.0)), atol=5e-3)

    fitted = fit(DistributionAlignment(), TemperatureScaling(), pseudo_labels=Store(pool))
    aligned = HELD_OUT._replace(probabilities=mapped(HELD_OUT.probabilities, 1, weights_of(pool)))
    power = 1 / best_of_grid(aligned)
    assert fitted.power == pytest.approx(power, rel=5e-3)
    np.testing.assert_allclose(fitted.log_weights, power * weights_of(pool), atol=5e-3)


def test_where_labels_are_stored_the_temperature_is_that_of_what_is_stored():
    num_classes, num_stored = 100, 64
    held_out = overconfident(3.0, num_examples=50, num_classes=num_classes)
    exact = held_out.probabilities
    stored = exact.astype("float64")
    for row in stored:
        rest = np.argsort(row)[:-num_stored]
        row[rest] = row[rest].mean()
    arguments = {"labels": np.arange(num_classes), "held_out": held_out}
    online, of_store = (
        fit_corrections([TemperatureScaling()], Classification(num_classes), pseudo_labels=pool, **arguments)
        for pool in (None, Store(exact))
    )
    assert online.power == pytest.approx(1 / best_of_grid(held_out), rel=2e-3)
    assert of_store.power == pytest.approx(1 / best_of_grid(HeldOut(stored, held_out.labels)), rel=2e-3)
    assert abs(of_store.power / online.power - 1) > 0.02
    after = mapped(stored, of_store.power, 0.0)
    is_correct = after.argmax(axis=-1) == held_out.labels
    expected = [calibration_error(p.max(axis=-1), is_correct, 15) for p in (exact, after)]
    found = [of_store.calibration_error, of_store.corrected_calibration_error]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_calibration_error_is_told_before_and_after_all_of_them():
    fitted = fit(Map(ProbabilityMap(2.0)), Map(ProbabilityMap(1.5, [1.0, 0.0, -1.0])))
    expected = []
    for probabilities in (HELD_OUT.probabilities, mapped(HELD_OUT.probabilities, 3.0, [1.0, 0.0, -1.0])):
        is_correct = probabilities.argmax(axis=-1) == HELD_OUT.labels
        expected.append(calibration_error(probabilities.max(axis=-1), is_correct, 15))
    found = [fitted.calibration_error, fitted.corrected_calibration_error]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_without_held_out_data_there_is_no_calibration_error():
    fitted = fit(DistributionAlignment(), held_out=None, pseudo_labels=Store(distributions(10)))
    assert (fitted.calibration_error, fitted.corrected_calibration_error) == (None, None)


@pytest.mark.parametrize(
    ("correction", "message"),
    [
        (
            Map(2.0),
            r"`Map\.fit` must return a ProbabilityMap with a weight for each of 3 classes, or none\. .*: 2\.0\.",
        ),
        (
            Map(ProbabilityMap(log_weights=[1.0])),
            r"must return a ProbabilityMap with a weight .* log_weights=\(1\.0,\)",
        ),
        (
            Map(function=lambda evidence: evidence.held_out()),
            r"asks for held-out data, and there is none\. Pass `validation_data`",
        ),
        (
            Map(function=lambda evidence: evidence.pool_mean()),
            r"asks for the annotated pool, which online annotation never sees",
        ),
    ],
)
def test_a_correction_of_ones_own_that_does_not_fit_is_an_error(correction, message):
    with pytest.raises(ValueError, match=message):
        fit(correction, held_out=None)


def test_held_out_data_is_annotated_by_the_un_noised_teacher():
    alone, x, y = network(dropout_rate=0.9), features(7), labels(7)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(3)
    held_out = annotate_held_out(Teacher([alone], TASK), batches)
    np.testing.assert_allclose(held_out.probabilities, alone(x, training=False), rtol=1e-6)
    np.testing.assert_array_equal(held_out.labels, y)


def test_held_out_data_of_which_the_teacher_says_nothing_finite_is_an_error():
    x = np.zeros((7, NUM_FEATURES), "float32")
    x[[4, 5]] = np.nan
    batches = tf.data.Dataset.from_tensor_slices((x, labels(7))).batch(3)
    message = (
        r"outputs must be finite\. Received: NaN or infinity for 2 examples of `validation_data`, the first at row 4"
    )
    with pytest.raises(ValueError, match=message):
        annotate_held_out(Teacher([network()], TASK), batches)
