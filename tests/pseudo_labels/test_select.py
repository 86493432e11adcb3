import itertools
import math

import numpy as np
import pytest

from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.pseudo_labels.select import balanced_repeats, select
from tests.toy_data import columns


def _random_pool(num_rows, num_classes, *, num_levels, seed=0):
    """Scores on a grid of `num_levels` levels: few levels make many ties."""
    random = np.random.default_rng(seed)
    scores = random.integers(1, num_levels + 1, num_rows) / num_levels
    fingerprints = random.integers(-(2**63), 2**63 - 1, num_rows)
    return columns(scores, random.integers(0, num_classes, num_rows), fingerprints)


def _kept_by_class_slowly(pool, threshold):
    kept = {}
    for row, (_, score, class_id) in enumerate(pool.tolist()):
        if score > threshold:
            kept.setdefault(class_id, []).append(row)
    return kept


def _target_slowly(examples_per_class, kept):
    if examples_per_class == "auto":
        return math.ceil(sum(len(rows) for rows in kept.values()) / len(kept))
    return examples_per_class


def _check_class_slowly(pool, repeats, rows, target):
    """`repeats` of the kept `rows` of one class must be what the words of `PseudoLabeling` say, ties apart."""
    used = [repeats[row] for row in rows]
    if target is None:
        assert used == [1] * len(rows)
    elif len(rows) >= target:
        highest = sorted((pool["score"][row] for row in rows), reverse=True)[:target]
        assert sorted((pool["score"][row] for row in rows if repeats[row]), reverse=True) == highest
        assert set(used) <= {0, 1}
    else:
        assert sum(used) == target
        assert max(used) - min(used) <= 1


@pytest.mark.parametrize("examples_per_class", [None, "auto", 1, 4, 30])
@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_equals_a_slow_statement_over_random_pools(examples_per_class, threshold):
    rules = PseudoLabeling(confidence_threshold=threshold, examples_per_class=examples_per_class)
    for num_rows, num_classes, num_levels in itertools.product((3, 17, 60), (2, 5), (4, 10_000)):
        pool = _random_pool(num_rows, num_classes, num_levels=num_levels)
        selection = select(pool, rules, num_classes=num_classes, seed=1)
        repeats = selection.repeats.tolist()
        kept = _kept_by_class_slowly(pool, threshold)
        for rows in kept.values():
            _check_class_slowly(pool, repeats, rows, _target_slowly(examples_per_class, kept))
        kept_rows = set(itertools.chain(*kept.values()))
        assert all(repeats[row] == 0 for row in range(num_rows) if row not in kept_rows)


@pytest.mark.parametrize("examples_per_class", [None, "auto", 3])
def test_counts_are_exact(examples_per_class):
    pool = _random_pool(40, 5, num_levels=1000)
    rules = PseudoLabeling(confidence_threshold=0.6, examples_per_class=examples_per_class)

    selection = select(pool, rules, num_classes=7, seed=0)

    repeats = selection.repeats.tolist()
    class_ids = pool["class_id"].tolist()
    assert selection.num_annotated == 40
    assert selection.num_kept == sum(count > 0 for count in repeats)
    assert selection.num_selected == sum(repeats)
    assert selection.class_counts.tolist() == [class_ids.count(c) for c in range(7)]
    copies_of_class = [sum(n for n, c in zip(repeats, class_ids, strict=True) if c == k) for k in range(7)]
    assert selection.selected_class_counts.tolist() == copies_of_class
    assert selection.mean_confidence == pytest.approx(sum(pool["score"].tolist()) / 40)
    assert selection.repeats.dtype == np.int32
    assert selection.selected_class_counts.dtype == np.int64


def test_a_number_balances_every_class_that_has_an_example():
    pool = columns([0.9, 0.8, 0.7, 0.6, 0.9], [0, 0, 0, 0, 1])
    selection = select(pool, PseudoLabeling(examples_per_class=3), num_classes=3, seed=0)
    assert selection.repeats.tolist() == [1, 1, 1, 0, 3]
    assert selection.selected_class_counts.tolist() == [3, 3, 0]


def test_auto_keeps_the_selection_as_large_as_it_was():
    pool = columns([0.9, 0.8, 0.7, 0.6, 0.95, 0.2], [0, 0, 0, 0, 1, 1])
    rules = PseudoLabeling(confidence_threshold=0.5, examples_per_class="auto")
    selection = select(pool, rules, num_classes=2, seed=0)
    assert selection.repeats.tolist() == [1, 1, 1, 0, 3, 0]
    assert selection.num_selected >= selection.num_kept


def test_drops_a_score_that_equals_the_threshold():
    pool = columns(np.float32([0.3, 0.30001, 1.0]), [0, 0, 0])
    selection = select(pool, PseudoLabeling(confidence_threshold=0.3), num_classes=1, seed=0)
    assert selection.repeats.tolist() == [0, 1, 1]


@pytest.mark.parametrize("examples_per_class", [None, "auto", 2, 25])
def test_permuting_the_pool_permutes_the_selection(examples_per_class):
    pool = _random_pool(30, 4, num_levels=3)
    rules = PseudoLabeling(confidence_threshold=0.4, examples_per_class=examples_per_class)
    repeats = select(pool, rules, num_classes=4, seed=5).repeats
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(30)
        permuted = select(pool[order], rules, num_classes=4, seed=5).repeats
        np.testing.assert_array_equal(permuted, repeats[order])


@pytest.mark.parametrize(("examples_per_class", "expected_copies"), [(4, 0.5), (12, 1.5)])
def test_ties_and_duplicates_fall_on_every_row_equally_often_over_the_seeds(examples_per_class, expected_copies):
    num_seeds = 400
    pool = columns([0.9] * 8, [0] * 8)
    rules = PseudoLabeling(examples_per_class=examples_per_class)
    repeats = [select(pool, rules, num_classes=1, seed=seed).repeats for seed in range(num_seeds)]
    standard_error = 0.5 / np.sqrt(num_seeds)
    np.testing.assert_allclose(np.mean(repeats, axis=0), expected_copies, atol=4 * standard_error)


def test_the_same_seed_selects_the_same_and_another_seed_does_not():
    pool = _random_pool(60, 3, num_levels=2)
    rules = PseudoLabeling(examples_per_class=7)
    first, again, other = (select(pool, rules, num_classes=3, seed=seed).repeats for seed in (-(2**62), -(2**62), 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_leaves_the_pool_as_it_was():
    pool = _random_pool(20, 3, num_levels=5)
    before = pool.copy()
    select(pool, PseudoLabeling(examples_per_class="auto"), num_classes=3, seed=0)
    np.testing.assert_array_equal(pool, before)


def test_refuses_a_threshold_that_keeps_nothing_and_names_it_and_the_highest_confidence():
    pool = columns([0.5, 0.625, 0.25], [0, 1, 1])
    message = (
        r"No pseudo-label is more confident than confidence_threshold=0\.9\. The highest confidence among 3 annotated "
        r"examples is 0\.6250: lower the threshold below it, or train a better teacher\."
    )
    with pytest.raises(ValueError, match=message):
        select(pool, PseudoLabeling(confidence_threshold=0.9), num_classes=2, seed=0)


@pytest.mark.parametrize("members", [1, 2, 3, 10])
@pytest.mark.parametrize("target", [1, 2, 3, 7, 10, 25])
def test_balanced_repeats_add_up_to_the_target_as_evenly_as_can_be(members, target):
    repeats = balanced_repeats(np.arange(members, dtype=np.int64), target, seed=3).tolist()
    assert sum(repeats) == target
    assert max(repeats) - min(repeats) <= 1
    if members >= target:
        assert repeats == [1] * target + [0] * (members - target)
