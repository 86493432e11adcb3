import hashlib
import json
import re

import pytest

from keras_noisy_student.storage.checksums import DamagedFileError, check_file, checksum
from keras_noisy_student.storage.json_files import read_json, write_json

CONTENT = {"b": [1, 0.1 + 0.2, float("inf"), None, True], "a": {"text": "é", "nested": [{}]}}


def test_content_is_read_as_it_was_written(tmp_path):
    path = str(tmp_path / "file.json")
    write_json(path, CONTENT)
    assert read_json(path) == CONTENT
    assert json.loads((tmp_path / "file.json").read_text())["content"] == CONTENT


def test_every_flipped_bit_is_found(tmp_path):
    path = tmp_path / "file.json"
    write_json(str(path), {"accuracy": 0.75})
    intact = path.read_bytes()
    for position in range(8 * len(intact)):
        flipped = bytearray(intact)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        try:
            assert read_json(str(path)) == {"accuracy": 0.75}
        except DamagedFileError as error:
            assert str(path) in str(error)
            continue
        # Nothing but the white space between two items may change unnoticed.
        assert chr(intact[position // 8]).isspace()


@pytest.mark.parametrize("size", [0, 1, 30, -1])
def test_a_truncated_file_is_found(tmp_path, size):
    path = tmp_path / "file.json"
    write_json(str(path), CONTENT)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DamagedFileError, match=rf"{re.escape(str(path))} is damaged: expected JSON"):
        read_json(str(path))


@pytest.mark.parametrize("text", ["[]", "3", '{"content": 1}', '{"sha256": "x"}', "[" * 100_000, "\xff"])
def test_json_of_another_kind_is_found(tmp_path, text):
    path = tmp_path / "file.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DamagedFileError, match=r'is damaged: expected JSON \{"sha256": \.\.\., "content": \.\.\.\}'):
        read_json(str(path))


def test_a_changed_value_is_found(tmp_path):
    path = tmp_path / "file.json"
    write_json(str(path), {"seed": 1})
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 2'))
    with pytest.raises(DamagedFileError, match=r"is damaged: its content has SHA-256 [0-9a-f]{12}\.\.\., expected"):
        read_json(str(path))


def test_a_missing_file_is_found(tmp_path):
    for read in (read_json, lambda path: check_file(path, "0")):
        with pytest.raises(DamagedFileError, match=r"absent is missing\."):
            read(str(tmp_path / "absent"))


def test_a_checksum_is_the_sha_256_of_the_file(tmp_path):
    (tmp_path / "file").write_bytes(b"abc" * 1000)
    expected = hashlib.sha256(b"abc" * 1000).hexdigest()
    assert checksum(str(tmp_path / "file")) == expected
    check_file(str(tmp_path / "file"), expected)
    with pytest.raises(DamagedFileError, match=r"file is damaged: expected SHA-256 000000000000\.\.\., received"):
        check_file(str(tmp_path / "file"), "0" * 64)
