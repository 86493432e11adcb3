import pathlib

import numpy as np
import pytest

from keras_noisy_student.pseudo_labels.corrected_labels import ProbabilityCorrection
from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap
from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.pseudo_labels.select import select
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.pseudo_labels.store_writer import StoreWriter
from keras_noisy_student.pseudo_labels.stored_selection import (
    SelectionRules,
    read_selection,
    write_repeats,
    write_selection,
)
from keras_noisy_student.storage.checksums import DamagedFileError
from keras_noisy_student.tasks.classification import Classification
from keras_noisy_student.tasks.stored_probabilities import encode
from tests.damage import flip
from tests.toy_data import NUM_CLASSES, columns, distributions

RULES = SelectionRules(PseudoLabeling(confidence_threshold=0.5), num_classes=NUM_CLASSES, seed=1)
CORRECTIONS = [None, ProbabilityMap(2.0), ProbabilityMap(2.0, [1.0, 0.0, 0.0])]


@pytest.fixture
def stored(tmp_path):
    probabilities = distributions(9)
    writer = StoreWriter(str(tmp_path), made_by={}, blocks_per_shard=1)
    writer.claim()
    encoded = {name: tensor.numpy() for name, tensor in encode(probabilities).items()}
    writer.write(0, 0, columns(probabilities.max(axis=-1), probabilities.argmax(axis=-1)), encoded)
    writer.end_part(0, 1)
    writer.finish()
    return PseudoLabels(str(tmp_path))


def seen_through(stored, correction):
    return (
        stored
        if correction is None
        else stored.corrected(ProbabilityCorrection(correction, Classification(NUM_CLASSES)))
    )


@pytest.mark.parametrize("made_by", CORRECTIONS)
def test_a_selection_is_taken_where_it_was_made_by_the_same_corrections(stored, made_by):
    seen = seen_through(stored, made_by)
    selection = select(seen.columns, RULES.pseudo_labeling, num_classes=NUM_CLASSES, seed=RULES.seed)
    digest = write_repeats(stored.directory, 0, selection.repeats)
    write_selection(stored.directory, selection, origin=RULES.origin(seen), repeats=[digest])
    for correction in CORRECTIONS:
        found = read_selection(seen_through(stored, correction), RULES)
        assert (found is not None) == (correction is made_by)
        if found is not None:
            np.testing.assert_array_equal(found.repeats, selection.repeats)


def test_targets_are_checked_too_where_columns_are_computed_from_them(stored):
    corrected = seen_through(stored, CORRECTIONS[1])
    corrected.check_columns()
    flip(pathlib.Path(stored.directory) / "shard-00000-00000.targets.tfrecord")
    stored.check_columns()
    with pytest.raises(DamagedFileError, match=r"shard-00000-00000\.targets\.tfrecord is damaged"):
        corrected.check_columns()
