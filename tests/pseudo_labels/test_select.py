import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_noisy_student.noise import seeds
from keras_noisy_student.pseudo_labels import cutoffs
from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.pseudo_labels.select import select
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
        selection = select([pool], rules, num_classes=num_classes, seed=1)
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

    selection = select([pool], rules, num_classes=7, seed=0)

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
    selection = select([pool], PseudoLabeling(examples_per_class=3), num_classes=3, seed=0)
    assert selection.repeats.tolist() == [1, 1, 1, 0, 3]
    assert selection.selected_class_counts.tolist() == [3, 3, 0]


def test_auto_keeps_the_selection_as_large_as_it_was():
    pool = columns([0.9, 0.8, 0.7, 0.6, 0.95, 0.2], [0, 0, 0, 0, 1, 1])
    rules = PseudoLabeling(confidence_threshold=0.5, examples_per_class="auto")
    selection = select([pool], rules, num_classes=2, seed=0)
    assert selection.repeats.tolist() == [1, 1, 1, 0, 3, 0]
    assert selection.num_selected >= selection.num_kept


def test_drops_a_score_that_equals_the_threshold():
    pool = columns(np.float32([0.3, 0.30001, 1.0]), [0, 0, 0])
    selection = select([pool], PseudoLabeling(confidence_threshold=0.3), num_classes=1, seed=0)
    assert selection.repeats.tolist() == [0, 1, 1]


@pytest.mark.parametrize("examples_per_class", [None, "auto", 2, 25])
def test_permuting_the_pool_permutes_the_selection(examples_per_class):
    pool = _random_pool(30, 4, num_levels=3)
    rules = PseudoLabeling(confidence_threshold=0.4, examples_per_class=examples_per_class)
    repeats = select([pool], rules, num_classes=4, seed=5).repeats
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(30)
        permuted = select([pool[order]], rules, num_classes=4, seed=5).repeats
        np.testing.assert_array_equal(permuted, repeats[order])


@pytest.mark.parametrize(("examples_per_class", "expected_copies"), [(4, 0.5), (12, 1.5)])
def test_ties_and_duplicates_fall_on_every_row_equally_often_over_the_seeds(examples_per_class, expected_copies):
    num_seeds = 400
    pool = columns([0.9] * 8, [0] * 8)
    rules = PseudoLabeling(examples_per_class=examples_per_class)
    repeats = [select([pool], rules, num_classes=1, seed=seed).repeats for seed in range(num_seeds)]
    standard_error = 0.5 / np.sqrt(num_seeds)
    np.testing.assert_allclose(np.mean(repeats, axis=0), expected_copies, atol=4 * standard_error)


def test_the_same_seed_selects_the_same_and_another_seed_does_not():
    pool = _random_pool(60, 3, num_levels=2)
    rules = PseudoLabeling(examples_per_class=7)
    first, again, other = (select([pool], rules, num_classes=3, seed=seed).repeats for seed in (-(2**62), -(2**62), 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_leaves_the_pool_as_it_was():
    pool = _random_pool(20, 3, num_levels=5)
    before = pool.copy()
    select([pool], PseudoLabeling(examples_per_class="auto"), num_classes=3, seed=0)
    np.testing.assert_array_equal(pool, before)


def test_refuses_a_threshold_that_keeps_nothing_and_names_it_and_the_highest_confidence():
    pool = columns([0.5, 0.625, 0.25], [0, 1, 1])
    message = (
        r"No pseudo-label is more confident than confidence_threshold=0\.9\. The highest confidence among 3 annotated "
        r"examples is 0\.6250: lower the threshold below it, or train a better teacher\."
    )
    with pytest.raises(ValueError, match=message):
        select([pool], PseudoLabeling(confidence_threshold=0.9), num_classes=2, seed=0)


def _repeats_in_memory(pool, rules, seed):
    """The whole pool sorted at once by class, falling score and hash, where equal rows stay in their order."""
    kept = np.flatnonzero(pool["score"] > rules.confidence_threshold)
    repeats = np.zeros(len(pool), np.int32)
    if rules.examples_per_class is None:
        repeats[kept] = 1
        return repeats
    hashes = seeds.fold(seed, pool["fingerprint"]).numpy().view("uint64")
    kept_by_class = _kept_by_class_slowly(pool, rules.confidence_threshold)
    target = _target_slowly(rules.examples_per_class, kept_by_class)
    order = kept[np.lexsort((hashes[kept], -pool["score"][kept], pool["class_id"][kept]))]
    for class_id, rows in kept_by_class.items():
        if len(rows) >= target:
            repeats[order[pool["class_id"][order] == class_id][:target]] = 1
        else:
            repeats[rows] = target // len(rows)
            repeats[np.array(rows)[np.argsort(hashes[rows], kind="stable")][: target % len(rows)]] += 1
    return repeats


def _check_equals_in_memory(pool, rules, *, num_classes, boundaries=()):
    selection = select(np.split(pool, sorted(boundaries)), rules, num_classes=num_classes, seed=3)
    expected = _repeats_in_memory(pool, rules, seed=3)
    np.testing.assert_array_equal(selection.repeats, expected)
    counts = np.bincount(pool["class_id"], expected, minlength=num_classes)
    np.testing.assert_array_equal(selection.selected_class_counts, counts)


# The passes that count digits, which pools of a million rows need, and digits of one bit to many.
SIZES = [(cutoffs.MAX_SORTED_ROWS, cutoffs.MAX_COUNTERS), (3, 64), (0, 1 << 12)]


@pytest.fixture(params=SIZES)
def sizes(request, monkeypatch):
    monkeypatch.setattr(cutoffs, "MAX_SORTED_ROWS", request.param[0])
    monkeypatch.setattr(cutoffs, "MAX_COUNTERS", request.param[1])


@pytest.mark.parametrize("examples_per_class", [None, "auto", 1, 4, 30, 1000])
@pytest.mark.parametrize("num_levels", [1, 3, 10**6])
@pytest.mark.parametrize("num_fingerprints", [1, 5, 2**63])
def test_equals_the_selection_in_memory(sizes, examples_per_class, num_levels, num_fingerprints):
    random = np.random.default_rng(0)
    pool = _random_pool(200, 5, num_levels=num_levels)
    pool["class_id"] = random.choice([0, 1, 3, 4], 200, p=[0.5, 0.3, 0.15, 0.05])
    pool["fingerprint"] = random.integers(0, num_fingerprints, 200)
    rules = PseudoLabeling(confidence_threshold=0.2, examples_per_class=examples_per_class)
    _check_equals_in_memory(pool, rules, num_classes=6, boundaries=[0, 1, 70, 70, 199])


@st.composite
def _pools(draw):
    num_classes = draw(st.integers(1, 4))
    scores = st.sampled_from([1e-45, 1e-30, 0.25, 0.5, 0.9999999, 1.0]) | st.floats(0.0, 1.0, width=32)
    row = st.tuples(scores, st.integers(0, num_classes - 1), st.sampled_from([-(2**63), 0, 1, 2**63 - 1]))
    pool = columns(*zip(*[*draw(st.lists(row, max_size=40)), (0.75, 0, 0)], strict=True))
    return pool, num_classes, draw(st.lists(st.integers(0, len(pool)), max_size=4))


@settings(max_examples=150, deadline=None)
@given(_pools(), st.sampled_from([None, "auto", 1, 3, 100]), st.sampled_from([0.0, 0.5]), st.sampled_from(SIZES))
def test_equals_the_selection_in_memory_for_any_pool(pool, examples_per_class, threshold, sizes):
    pool, num_classes, boundaries = pool
    rules = PseudoLabeling(confidence_threshold=threshold, examples_per_class=examples_per_class)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutoffs, "MAX_SORTED_ROWS", sizes[0])
        patch.setattr(cutoffs, "MAX_COUNTERS", sizes[1])
        _check_equals_in_memory(pool, rules, num_classes=num_classes, boundaries=boundaries)


def test_one_row_is_used_as_often_as_its_class_needs():
    pool = columns([0.5], [1])
    assert select([pool], PseudoLabeling(examples_per_class=7), num_classes=3, seed=0).repeats.tolist() == [7]


def test_rows_that_agree_in_score_and_fingerprint_are_taken_in_the_order_of_the_pool(sizes):
    pool = columns([1.0] * 9, [0] * 9, [5] * 9)
    blocks = np.split(pool, [2, 3, 8])
    cut = select(blocks, PseudoLabeling(examples_per_class=4), num_classes=1, seed=0)
    assert cut.repeats.tolist() == [1] * 4 + [0] * 5
    topped_up = select(blocks, PseudoLabeling(examples_per_class=22), num_classes=1, seed=0)
    assert topped_up.repeats.tolist() == [3] * 4 + [2] * 5


class _CountedBlocks:
    def __init__(self, pool):
        self.pool, self.num_passes = pool, 0

    def __iter__(self):
        self.num_passes += 1
        return iter(np.split(self.pool, 4))


@pytest.mark.parametrize(("examples_per_class", "num_passes"), [(None, 2), (20, 3)])
def test_a_pool_whose_rows_fit_the_sort_is_read_in_few_passes(examples_per_class, num_passes):
    blocks = _CountedBlocks(_random_pool(400, 3, num_levels=1000))
    select(blocks, PseudoLabeling(examples_per_class=examples_per_class), num_classes=3, seed=0)
    assert blocks.num_passes == num_passes


def test_one_digit_leaves_few_enough_rows_to_sort(monkeypatch):
    monkeypatch.setattr(cutoffs, "MAX_SORTED_ROWS", 40)
    blocks = _CountedBlocks(_random_pool(4000, 3, num_levels=10**6))
    select(blocks, PseudoLabeling(examples_per_class=1300), num_classes=3, seed=0)
    assert blocks.num_passes == 4


@pytest.mark.parametrize("class_id", [-1, 3])
def test_refuses_class_ids_that_the_task_does_not_have(class_id):
    message = rf"must be in \[0, num_classes\)\. Received: class_id={class_id}, num_classes=3\."
    with pytest.raises(ValueError, match=message):
        select([columns([0.5, 0.5], [0, class_id])], PseudoLabeling(), num_classes=3, seed=0)
