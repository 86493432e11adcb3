import numpy as np
import pytest

from keras_noisy_student.pseudo_labels.calibration import calibration_bins, expected_calibration_error


def reference(confidence, is_correct, num_bins):
    """Guo et al. 2017, equation 3, bin by bin."""
    total = 0.0
    for m in range(1, num_bins + 1):
        in_bin = [
            (score, correct)
            for score, correct in zip(confidence, is_correct, strict=True)
            if (m - 1) / num_bins < score <= m / num_bins
        ]
        if in_bin:
            accuracy = sum(correct for _, correct in in_bin) / len(in_bin)
            mean_confidence = sum(score for score, _ in in_bin) / len(in_bin)
            total += len(in_bin) / len(confidence) * abs(accuracy - mean_confidence)
    return total


@pytest.mark.parametrize("num_bins", [1, 4, 15])
@pytest.mark.parametrize("num_examples", [1, 7, 500])
def test_equals_the_definition(num_bins, num_examples):
    rng = np.random.default_rng(num_examples)
    confidence = rng.uniform(0.01, 1, num_examples)
    is_correct = rng.uniform(size=num_examples) < confidence**2
    error = expected_calibration_error(confidence, is_correct, num_bins=num_bins)
    assert error == pytest.approx(reference(confidence, is_correct, num_bins))


@pytest.mark.parametrize("num_bins", [1, 4, 15])
def test_bins_are_those_of_a_loop(num_bins):
    rng = np.random.default_rng(1)
    confidence, is_correct = rng.uniform(0.3, 1, 60), rng.uniform(size=60) < 0.6
    bins = calibration_bins(confidence, is_correct, num_bins=num_bins)
    for m in range(num_bins):
        in_bin = (m / num_bins < confidence) & (confidence <= (m + 1) / num_bins)
        assert bins.counts[m] == in_bin.sum()
        if in_bin.any():
            assert bins.mean_confidence[m] == pytest.approx(confidence[in_bin].mean())
            assert bins.accuracy[m] == pytest.approx(is_correct[in_bin].mean())
        else:
            assert np.isnan(bins.mean_confidence[m])
            assert np.isnan(bins.accuracy[m])


def test_there_are_15_bins_by_default():
    rng = np.random.default_rng(0)
    confidence, is_correct = rng.uniform(size=99), rng.uniform(size=99) < 0.5
    assert expected_calibration_error(confidence, is_correct) == pytest.approx(reference(confidence, is_correct, 15))


def test_the_ends_of_the_interval_have_bins():
    confidence = np.float32([0, 1, 1, 0])
    assert expected_calibration_error(confidence, np.array([False, True, True, False])) == 0
    assert expected_calibration_error(confidence, np.array([True, False, False, True])) == 1


@pytest.mark.parametrize("num_bins", [0, 2.0, None])
def test_refuses_no_number_of_bins(num_bins):
    with pytest.raises(ValueError, match=rf"`num_bins` must be a positive integer\. Received: num_bins={num_bins!r}\."):
        expected_calibration_error(np.ones(2), np.ones(2, bool), num_bins=num_bins)


@pytest.mark.parametrize(("shape", "other"), [((0,), (0,)), ((2,), (3,)), ((2, 2), (2, 2))])
def test_refuses_arrays_that_do_not_fit(shape, other):
    message = (
        r"`confidence` and `is_correct` must be of one shape \(examples,\), with at least one example\. Received: "
        r"shapes \(.*\) and \(.*\)\."
    )
    with pytest.raises(ValueError, match=message):
        expected_calibration_error(np.ones(shape), np.ones(other, bool))
