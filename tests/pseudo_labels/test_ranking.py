import numpy as np
import pytest

from keras_noisy_student.noise import seeds
from keras_noisy_student.pseudo_labels.pool_summary import summarize
from keras_noisy_student.pseudo_labels.ranking import Ranking, hashes
from keras_noisy_student.pseudo_labels.rows import Rows
from tests.toy_data import columns


@pytest.mark.parametrize("seed", [-(2**63), -1, 0, 12345, 2**63 - 1])
def test_hashes_are_those_of_the_seeds(seed):
    fingerprints = np.array([-(2**63), -7, 0, 1, 2**63 - 1])
    np.testing.assert_array_equal(hashes(fingerprints, seed), seeds.fold(seed, fingerprints).numpy().view("uint64"))


def _words(pool, *, is_random):
    summary = summarize(pool, threshold=0.0, num_classes=2)
    ranking = Ranking(np.array(is_random), summary, seed=0)
    rows = Rows(pool, np.arange(len(pool)))
    return ranking, [ranking.word(word, rows) for word in range(3)]


@pytest.mark.parametrize("lowest", [1e-45, 0.3, 0.9999999, 1.0])
def test_the_leading_word_falls_with_the_score_and_uses_its_bits(lowest):
    pool = columns(np.float32([lowest, 1.0, np.nextafter(np.float32(1), np.float32(0)), lowest]), [0, 0, 0, 0])
    _, (leading, _, _) = _words(pool, is_random=[False, False])
    order = np.argsort(-pool["score"], kind="stable")
    np.testing.assert_array_equal(np.argsort(leading, kind="stable"), order)
    assert leading.max() < 2**32
    if lowest < 1:
        assert leading.max() >= 2**31


def test_where_the_choice_is_random_the_leading_word_is_that_of_the_hash():
    pool = columns([0.9, 0.8, 0.7, 0.6], [0, 1, 0, 1])
    _, (leading, hash_word, _) = _words(pool, is_random=[False, True])
    np.testing.assert_array_equal(leading[1::2], hash_word[1::2] >> 32)
    assert (leading[::2] != hash_word[::2] >> 32).all()


@pytest.mark.parametrize(("num_rows", "width"), [(1, 0), (2, 1), (5, 3), (8, 3)])
def test_the_last_word_is_the_place_in_as_many_bits_as_it_needs(num_rows, width):
    ranking, (_, _, place) = _words(columns([0.5] * num_rows, [0] * num_rows), is_random=[False, False])
    assert ranking.widths == (32, 64, width)
    assert place.tolist() == list(range(num_rows))
