"""What is fitted in a round, in its file."""

import dataclasses

import pytest

from keras_noisy_student.pseudo_labels.fitted import read_fitted, read_fitted_to, write_fitted
from keras_noisy_student.pseudo_labels.fitted_corrections import FittedCorrections
from keras_noisy_student.pseudo_labels.fitted_transcripts import FittedTranscripts
from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap
from keras_noisy_student.storage.checksums import DamagedFileError
from keras_noisy_student.storage.json_files import write_json
from tests.damage import flip

FITTED = FittedCorrections(1 / 3, [0.1, -2 / 3], 0.25, 0.125)


@pytest.mark.parametrize(
    "fitted", [FITTED, FittedTranscripts(1, [2, 0]), FittedTranscripts(2, [5], mu=-1 / 3, beta=2 / 3, sigma=0.1)]
)
def test_what_was_written_is_read_to_the_last_digit(tmp_path, fitted):
    path = str(tmp_path / "corrections.json")
    write_fitted(path, fitted, origin="a")
    assert read_fitted(path) == read_fitted_to(path, origin="a") == fitted


def test_corrections_are_one_map():
    assert FITTED.probability_map == ProbabilityMap(1 / 3, (0.1, -2 / 3))


def test_what_was_fitted_to_something_else_or_never_is_not_taken(tmp_path):
    path = str(tmp_path / "corrections.json")
    assert read_fitted_to(path, origin="a") is None
    write_fitted(path, FITTED, origin="a")
    assert read_fitted_to(path, origin="b") is None


def test_a_file_that_is_missing_or_damaged_is_named(tmp_path):
    path = tmp_path / "corrections.json"
    with pytest.raises(DamagedFileError, match=r"corrections\.json is missing"):
        read_fitted(str(path))
    write_fitted(str(path), FITTED, origin="a")
    flip(path)
    with pytest.raises(DamagedFileError, match=r"corrections\.json is damaged"):
        read_fitted_to(str(path), origin="a")


@pytest.mark.parametrize(
    "content",
    [
        {"origin": "a"},
        {"origin": "a", "kind": "FittedCorrections", "fitted": {"power": "1"}},
        {"origin": "a", "kind": "Anything", "fitted": dataclasses.asdict(FITTED)},
        [1],
    ],
)
def test_another_content_is_refused(tmp_path, content):
    path = str(tmp_path / "corrections.json")
    write_json(path, content)
    with pytest.raises(DamagedFileError, match="is damaged: it should hold what was fitted in a round"):
        read_fitted(path)
