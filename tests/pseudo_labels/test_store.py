import hashlib
import pathlib
import re

import numpy as np
import pytest

from keras_noisy_student.atomic_files import checksum, read_json, write_atomically, write_json
from keras_noisy_student.pseudo_labels.store import PseudoLabels, ShardWriter
from tests.toy_data import columns, distributions

BLOCK_SIZES = (3, 1, 4, 2, 5)
NUM_ROWS = sum(BLOCK_SIZES)


def _columns():
    random = np.random.default_rng(0)
    fingerprints = random.integers(-(2**63), 2**63 - 1, NUM_ROWS)
    return columns(random.uniform(size=NUM_ROWS), random.integers(0, 9, NUM_ROWS), fingerprints)


def _targets():
    classes = np.random.default_rng(1).integers(0, 200, (NUM_ROWS, 4)).astype("int32")
    return {"probabilities": distributions(NUM_ROWS, 4).astype("float16"), "classes": classes}


def _write(directory, rows_per_shard=4):
    writer = ShardWriter(str(directory), rows_per_shard=rows_per_shard)
    for stop, size in zip(np.cumsum(BLOCK_SIZES), BLOCK_SIZES, strict=True):
        rows = slice(stop - size, stop)
        writer.write(_columns()[rows], {name: array[rows] for name, array in _targets().items()})
    return writer.finish()


def _read_rows(store):
    blocks = list(store.rows().as_numpy_iterator())
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


@pytest.mark.parametrize(("rows_per_shard", "num_shards"), [(1, 5), (4, 3), (7, 2), (15, 1), (16, 1)])
def test_gives_back_what_was_written_in_order(tmp_path, rows_per_shard, num_shards):
    store = _write(tmp_path, rows_per_shard)
    assert len(list(tmp_path.glob("columns-*.tfrecord"))) == num_shards
    for opened in (store, PseudoLabels(str(tmp_path))):
        assert len(opened) == NUM_ROWS
        np.testing.assert_array_equal(opened.columns, _columns())
        rows = _read_rows(opened)
        assert set(rows) == {"fingerprint", "score", "class_id", "probabilities", "classes"}
        for name, expected in _targets().items():
            assert rows[name].dtype == expected.dtype
            np.testing.assert_array_equal(rows[name], expected)
        for name in ("fingerprint", "score", "class_id"):
            np.testing.assert_array_equal(rows[name][:, 0], _columns()[name])


def test_rows_have_a_static_width(tmp_path):
    spec = _write(tmp_path).rows().element_spec
    widths = {"fingerprint": 1, "score": 1, "class_id": 1, "probabilities": 4, "classes": 4}
    assert {name: tensor.shape.as_list() for name, tensor in spec.items()} == {n: [None, w] for n, w in widths.items()}


def test_the_same_rows_make_the_same_files(tmp_path):
    for name in ("first", "second"):
        _write(tmp_path / name)
    first, second = ({file.name: file.read_bytes() for file in (tmp_path / n).iterdir()} for n in ("first", "second"))
    assert first == second


def test_leaves_no_temporary_file(tmp_path):
    _write(tmp_path)
    names = {f"{kind}-{shard:05d}.tfrecord" for kind in ("columns", "targets") for shard in range(3)}
    assert {file.name for file in tmp_path.iterdir()} == {"manifest.json", *names}


def _change_a_byte(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _truncate(file):
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [_change_a_byte, _truncate])
@pytest.mark.parametrize("name", ["columns-00000.tfrecord", "columns-00002.tfrecord", "targets-00001.tfrecord"])
def test_refuses_a_shard_that_was_changed_and_names_it(tmp_path, name, damage):
    _write(tmp_path)
    damage(tmp_path / name)
    message = (
        rf"The shard {re.escape(str(tmp_path / name))} was changed since it was written: expected SHA-256 "
        rf"\w{{12}}\.\.\., received \w{{12}}\.\.\. \. Put the original back, or delete its directory to annotate "
        rf"again\."
    )
    with pytest.raises(ValueError, match=message):
        PseudoLabels(str(tmp_path))


@pytest.mark.parametrize("name", ["columns-00001.tfrecord", "targets-00000.tfrecord"])
def test_refuses_a_store_with_a_missing_shard_and_names_it(tmp_path, name):
    _write(tmp_path)
    (tmp_path / name).unlink()
    message = rf"The shard {re.escape(str(tmp_path / name))} is missing\. Put it back, or delete its directory"
    with pytest.raises(ValueError, match=message):
        PseudoLabels(str(tmp_path))


def test_refuses_a_store_that_was_not_finished(tmp_path):
    writer = ShardWriter(str(tmp_path), rows_per_shard=1)
    writer.write(_columns()[:2], {"probabilities": distributions(2)})
    message = (
        rf"{re.escape(str(tmp_path))} holds no finished pseudo-labels: manifest\.json is missing\. Annotate again\."
    )
    with pytest.raises(ValueError, match=message):
        PseudoLabels(str(tmp_path))


def test_refuses_a_damaged_manifest_and_names_it(tmp_path):
    _write(tmp_path)
    _truncate(tmp_path / "manifest.json")
    message = rf"{re.escape(str(tmp_path / 'manifest.json'))} is damaged: it should hold JSON\. Received: .*target_spec"
    with pytest.raises(ValueError, match=message):
        PseudoLabels(str(tmp_path))


def test_nothing_stands_under_the_final_name_before_it_is_complete(tmp_path):
    path = tmp_path / "file"

    def write(temporary):
        pathlib.Path(temporary).write_text("half")
        assert not path.exists()
        pathlib.Path(temporary).write_text("whole")

    write_atomically(str(path), write)

    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_the_former_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("former")

    def write(temporary):
        pathlib.Path(temporary).write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(str(path), write)

    assert path.read_text() == "former"


def test_writing_replaces_the_former_file(tmp_path):
    path = str(tmp_path / "file.json")
    for value in ({"a": 1}, {"b": [1.5, None, "c"]}):
        write_json(path, value)
        assert read_json(path) == value


def test_checksum_is_the_sha256_of_the_file(tmp_path):
    (tmp_path / "file").write_bytes(b"abc" * 1000)
    assert checksum(str(tmp_path / "file")) == hashlib.sha256(b"abc" * 1000).hexdigest()
