import numpy as np
import pytest

from keras_noisy_student.report.gallery_rows import gallery_rows


def slow_in_turn(rows, class_ids):
    by_class = {class_id: [row for row in rows if class_ids[row] == class_id] for class_id in sorted(set(class_ids))}
    taken = []
    while any(by_class.values()):
        taken += [left.pop(0) for left in by_class.values() if left]
    return taken


@pytest.mark.parametrize("num", [1, 5, 100])
def test_galleries_are_those_of_a_loop(num):
    rng = np.random.default_rng(0)
    scores, class_ids, truth = rng.uniform(size=40), rng.integers(4, size=40), rng.integers(4, size=40)
    is_kept = rng.uniform(size=40) < 0.5
    galleries = gallery_rows(scores, class_ids, is_kept, truth, num=num)
    by_score = sorted(range(40), key=lambda row: scores[row])
    mistakes = [row for row in reversed(by_score) if class_ids[row] != truth[row]]
    assert {title: rows.tolist() for title, rows in galleries.items()} == {
        "Kept": slow_in_turn(np.flatnonzero(is_kept), class_ids)[:num],
        "Dropped": slow_in_turn(np.flatnonzero(~is_kept), class_ids)[:num],
        "Least certain": by_score[:num],
        "Most confident mistakes": mistakes[:num],
    }


def test_a_gallery_without_a_row_is_left_out():
    scores, class_ids = np.array([0.5, 0.75]), np.array([0, 1])
    assert list(gallery_rows(scores, class_ids, np.array([True, True]), class_ids, num=3)) == ["Kept", "Least certain"]


def test_without_audit_labels_mistakes_are_not_known():
    galleries = gallery_rows(np.array([0.5]), np.array([0]), np.array([False]), None, num=3)
    assert list(galleries) == ["Dropped", "Least certain"]


def test_refused_examples_are_not_called_uncertain():
    galleries = gallery_rows(np.array([-np.inf, -2.0]), np.array([0, 0]), np.array([False, True]), None, num=3)
    assert galleries["Least certain"].tolist() == [1]
