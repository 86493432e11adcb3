import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.pseudo_labels.correction import Evidence
from keras_noisy_student.pseudo_labels.distribution_alignment import DistributionAlignment
from tests.toy_data import distributions


def fit(frequencies, pool_mean):
    evidence = Evidence(np.array(frequencies), held_out=lambda: None, pool_mean=lambda: np.array(pool_mean))
    return DistributionAlignment().fit(evidence)


@pytest.mark.parametrize("pool_mean", [[0.2, 0.3, 0.5], [0.9, 0.1, 0.0]])
def test_equals_the_ratio_of_the_authors_code(pool_mean):
    frequencies, probabilities = [0.5, 0.3, 0.2], distributions(8)
    expected = np.empty((8, 3))
    for row in range(8):
        for class_id in range(3):
            ratio = (1e-6 + frequencies[class_id]) / (1e-6 + pool_mean[class_id])
            expected[row, class_id] = probabilities[row, class_id] * ratio
        expected[row] /= sum(expected[row])
    np.testing.assert_allclose(fit(frequencies, pool_mean)(tf.constant(probabilities)), expected, rtol=1e-5)


def test_the_mean_moves_towards_the_shares_and_need_not_reach_them():
    shares, probabilities = np.array([0.5, 0.3, 0.2]), distributions(50)
    mean = probabilities.mean(0)
    moved = np.asarray(fit(shares, mean)(tf.constant(probabilities))).mean(0)
    assert 0.01 < np.abs(moved - shares).sum() < 0.5 * np.abs(mean - shares).sum()


def test_a_pool_like_the_labelled_data_stays_as_it_is():
    probabilities = distributions(8)
    mapped = fit([0.5, 0.3, 0.2], [0.5, 0.3, 0.2])(tf.constant(probabilities))
    np.testing.assert_allclose(mapped, probabilities, rtol=1e-6)


def test_it_needs_the_pool_alone():
    assert DistributionAlignment.needs_pool
    assert not DistributionAlignment.needs_validation
