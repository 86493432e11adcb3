"""The store on disk: what is written, what is taken up, what is found damaged."""

import re
import warnings

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.pseudo_labels.shard import ShardId, shard_path, write_shard
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.pseudo_labels.store_writer import StoreWriter
from keras_noisy_student.storage.json_files import read_json, write_json
from tests.damage import DAMAGES, delete, flip, truncate
from tests.toy_data import all_columns, columns, distributions

BLOCK_SIZES = (3, 3, 3, 3, 2)
NUM_ROWS = sum(BLOCK_SIZES)


def _columns():
    random = np.random.default_rng(0)
    fingerprints = random.integers(-(2**63), 2**63 - 1, NUM_ROWS)
    return columns(random.uniform(size=NUM_ROWS), random.integers(0, 9, NUM_ROWS), fingerprints)


def _targets():
    classes = np.random.default_rng(1).integers(0, 200, (NUM_ROWS, 4)).astype("int32")
    return {"probabilities": distributions(NUM_ROWS, 4).astype("float16"), "classes": classes}


def _store(directory, *, teacher="a", **arguments):
    """A writer of the store that knows what is there."""
    arguments = {"blocks_per_shard": 2, **arguments}
    store = StoreWriter(str(directory), made_by={"teacher": teacher}, **arguments)
    store.claim()
    store.take_up()
    return store


def _is_missing(store, index, part=0):
    return bool(store.is_missing(tf.constant(part, tf.int64), tf.constant(index, tf.int64)))


def _write(directory, *, num_blocks=5, ends=True, **arguments):
    """Writes the missing ones of the first blocks."""
    store = _store(directory, **arguments)
    for index, stop in enumerate(np.cumsum(BLOCK_SIZES)[:num_blocks]):
        rows = slice(stop - BLOCK_SIZES[index], stop)
        if _is_missing(store, index):
            store.write(0, index, _columns()[rows], {name: array[rows] for name, array in _targets().items()})
    if ends:
        store.end_part(0, num_blocks)
    return store


def _finish(directory, **arguments):
    _write(directory, **arguments).finish()
    return PseudoLabels(str(directory))


def _missing_blocks(directory, **arguments):
    store = _store(directory, **arguments)
    return [index for index in range(len(BLOCK_SIZES)) if _is_missing(store, index)]


def _read_rows(store):
    blocks = list(store.rows().as_numpy_iterator())
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


@pytest.mark.parametrize(("blocks_per_shard", "num_shards"), [(1, 5), (2, 3), (5, 1), (6, 1)])
@pytest.mark.parametrize("directory", ["{}", "ram://store_{}"])
def test_gives_back_what_was_written_in_order(tmp_path, directory, blocks_per_shard, num_shards):
    directory = directory.format(tmp_path) + f"/{blocks_per_shard}"
    written = _finish(directory, blocks_per_shard=blocks_per_shard)
    assert len(tf.io.gfile.glob(f"{directory}/shard-*.json")) == num_shards
    for opened in (written, PseudoLabels(directory)):
        assert len(opened) == NUM_ROWS
        np.testing.assert_array_equal(all_columns(opened), _columns())
        rows = _read_rows(opened)
        assert set(rows) == {"fingerprint", "score", "class_id", "probabilities", "classes"}
        for name, expected in _targets().items():
            assert rows[name].dtype == expected.dtype
            np.testing.assert_array_equal(rows[name], expected)
        for name in ("fingerprint", "score", "class_id"):
            np.testing.assert_array_equal(rows[name][:, 0], _columns()[name])


def test_rows_have_a_static_width(tmp_path):
    spec = _finish(tmp_path).rows().element_spec
    widths = {"fingerprint": 1, "score": 1, "class_id": 1, "probabilities": 4, "classes": 4}
    assert {name: tensor.shape.as_list() for name, tensor in spec.items()} == {n: [None, w] for n, w in widths.items()}


def _files(directory):
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def test_the_same_rows_make_the_same_files_and_no_others(tmp_path):
    for name in ("first", "second"):
        _finish(tmp_path / name)
    assert _files(tmp_path / "first") == _files(tmp_path / "second")
    suffixes = ("columns.tfrecord", "targets.tfrecord", "json")
    shards = {f"shard-00000-{index:05d}.{suffix}" for index in range(3) for suffix in suffixes}
    assert set(_files(tmp_path / "first")) == {"annotation.json", "part-00000.json", "manifest.json", *shards}


@pytest.mark.parametrize("num_blocks", range(6))
def test_a_store_that_was_left_is_continued_at_its_last_finished_shard(tmp_path, num_blocks):
    _write(tmp_path / "left", num_blocks=num_blocks, ends=False)
    assert _missing_blocks(tmp_path / "left") == list(range(num_blocks // 2 * 2, 5))
    assert not _store(tmp_path / "left").is_finished()
    _finish(tmp_path / "left")
    _finish(tmp_path / "whole")
    assert _files(tmp_path / "left") == _files(tmp_path / "whole")


def test_a_finished_store_lacks_nothing(tmp_path):
    _finish(tmp_path)
    before = _files(tmp_path)
    assert _store(tmp_path).is_finished()
    assert _store(tmp_path).parts_to_read() == []
    assert _missing_blocks(tmp_path) == []
    _store(tmp_path).finish()
    np.testing.assert_array_equal(all_columns(PseudoLabels(str(tmp_path))), _columns())
    assert _files(tmp_path) == before


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("is_finished", [True, False])
@pytest.mark.parametrize("suffix", ["columns.tfrecord", "targets.tfrecord", "json"])
def test_a_damaged_shard_is_named_and_made_again_alone(tmp_path, suffix, is_finished, damage):
    writer = _write(tmp_path, ends=is_finished)
    if is_finished:
        writer.finish()
    before, path = _files(tmp_path), tmp_path / f"shard-00000-00001.{suffix}"
    damage(path)
    is_as_if_never_written = damage is delete and suffix == "json" and not is_finished
    if is_as_if_never_written:
        assert _missing_blocks(tmp_path)[:2] == [2, 3]
    else:
        message = rf"{re.escape(str(path))} is (damaged|missing).* Its shard of the pool is annotated again\."
        with pytest.warns(UserWarning, match=message):
            assert _missing_blocks(tmp_path)[:2] == [2, 3]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        repaired = _write(tmp_path, ends=is_finished)
    if is_finished:
        repaired.finish()
    assert _files(tmp_path) == before


@pytest.mark.parametrize("name", ["manifest.json", "part-00000.json"])
@pytest.mark.parametrize("damage", [flip, truncate])
def test_a_damaged_manifest_or_part_is_named_and_written_again(tmp_path, damage, name):
    _finish(tmp_path)
    before = _files(tmp_path)
    damage(tmp_path / name)
    with pytest.warns(UserWarning, match=rf"{re.escape(name)} is damaged.* It is written again\."):
        assert _missing_blocks(tmp_path) == []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _finish(tmp_path)
    assert _files(tmp_path) == before


def test_a_damaged_description_has_the_pool_annotated_again(tmp_path):
    _finish(tmp_path)
    truncate(tmp_path / "annotation.json")
    with pytest.warns(UserWarning, match=r"annotation\.json is damaged.* The pool is annotated again\."):
        assert _missing_blocks(tmp_path) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("arguments", [{"teacher": "b"}, {"blocks_per_shard": 3}])
def test_what_something_else_has_made_is_named_and_made_anew(tmp_path, arguments):
    _finish(tmp_path)
    message = r"was annotated by \{'teacher': 'a', .*, now it is \{'teacher': .*\}\. The pool is annotated again\."
    with pytest.warns(UserWarning, match=message):
        assert _missing_blocks(tmp_path, **arguments) == [0, 1, 2, 3, 4]
    assert set(_files(tmp_path)) == {"annotation.json"}


@pytest.mark.parametrize("is_finished", [True, False])
def test_a_foreign_shard_is_found(tmp_path, is_finished):
    _finish(tmp_path / "other", teacher="b")
    writer = _write(tmp_path / "mine")
    if is_finished:
        writer.finish()
    for suffix in ("columns.tfrecord", "targets.tfrecord", "json"):
        name = f"shard-00000-00001.{suffix}"
        (tmp_path / "other" / name).replace(tmp_path / "mine" / name)
    with pytest.warns(UserWarning, match=r"mine/shard-00000-00001\.json belongs to another annotation\. Its shard"):
        assert _missing_blocks(tmp_path / "mine")[:2] == [2, 3]


def test_another_shard_of_the_same_store_is_found(tmp_path):
    _finish(tmp_path)
    for suffix in ("columns.tfrecord", "targets.tfrecord", "json"):
        (tmp_path / f"shard-00000-00001.{suffix}").write_bytes((tmp_path / f"shard-00000-00000.{suffix}").read_bytes())
    with pytest.warns(UserWarning, match=r"shard-00000-00001\.json is damaged: it should describe this shard"):
        assert _missing_blocks(tmp_path) == [2, 3]


def test_a_pool_that_shrank_is_refused(tmp_path):
    _finish(tmp_path)
    for name in ("manifest.json", "part-00000.json", "shard-00000-00001.json"):
        (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=r"must not shrink.*a pool that ends after 2 batches, of which later ones"):
        _write(tmp_path, num_blocks=2)


def test_paths_follow_from_the_index_whatever_the_files_say(tmp_path):
    _finish(tmp_path)
    path = str(tmp_path / "shard-00000-00000.json")
    write_json(path, read_json(path) | {"columns": "../../secret", "file": "/etc/passwd"})
    with pytest.warns(UserWarning, match=r"shard-00000-00000\.json is damaged: it should describe a shard"):
        assert _missing_blocks(tmp_path) == [0, 1]


def test_a_shard_holds_exactly_the_blocks_it_was_given(tmp_path):
    blocks = [
        (_columns()[:3], {"probabilities": distributions(3)}),
        (_columns()[3:5], {"probabilities": distributions(2)}),
    ]
    shard = write_shard(str(tmp_path), ShardId(2, 7), blocks, origin="x")
    assert (shard.id, shard.rows, shard.target_spec) == ((2, 7), 5, {"probabilities": ["float32", 3]})
    records = list(tf.data.TFRecordDataset(shard_path(str(tmp_path), shard.id, "columns.tfrecord")))
    assert len(records) == 2


def test_columns_that_were_damaged_since_are_named(tmp_path):
    _finish(tmp_path).check_columns()
    path = tmp_path / "shard-00000-00001.columns.tfrecord"
    flip(path)
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))} is damaged"):
        PseudoLabels(str(tmp_path)).check_columns()


@pytest.mark.parametrize("content", [3, {}, {"part_rows": [3], "shards": [{}]}, {"part_rows": ["a"], "shards": []}])
def test_a_manifest_that_lists_no_shards_is_named(tmp_path, content):
    write_json(str(tmp_path / "manifest.json"), content)
    with pytest.raises(ValueError, match=r"manifest\.json is damaged: it should list the shards of the pool\."):
        PseudoLabels(str(tmp_path))
