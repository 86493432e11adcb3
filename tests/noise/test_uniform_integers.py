import numpy as np

from keras_noisy_student.noise.uniform_integers import uniform_integers

_ALL_DRAWS = np.arange(2**24, dtype=np.float32) * np.float32(2.0**-24)


def test_the_largest_draw_never_reaches_the_size():
    sizes = np.arange(1, 100_000, dtype=np.int32)
    np.testing.assert_array_equal(uniform_integers(_ALL_DRAWS[-1], sizes), sizes - 1)


def test_all_draws_together_give_every_integer_equally_often():
    counts = np.bincount(uniform_integers(_ALL_DRAWS, 7))
    assert len(counts) == 7
    assert np.ptp(counts) <= 1


def test_sizes_broadcast():
    draws = np.float32([[0.0, 0.5], [0.75, 0.99]])
    np.testing.assert_array_equal(uniform_integers(draws, np.int32([[1], [4]])), [[0, 0], [3, 3]])
