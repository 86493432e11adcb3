import numpy as np
import pytest

from keras_noisy_student.pseudo_labels.column_blocks import ColumnBlocks
from keras_noisy_student.pseudo_labels.shard import ShardId, shard_path, write_shard
from tests.toy_data import columns, distributions


@pytest.mark.parametrize("max_records", [1, 2, 65_536])
def test_every_iteration_reads_the_columns_in_order(tmp_path, monkeypatch, max_records):
    monkeypatch.setattr("keras_noisy_student.pseudo_labels.column_blocks._MAX_RECORDS_AT_ONCE", max_records)
    random = np.random.default_rng(0)
    pool = columns(random.uniform(size=11), random.integers(0, 9, 11), random.integers(-(2**63), 2**63 - 1, 11))
    shards = [np.split(pool[:8], [3, 6]), [pool[8:]]]
    for number, blocks in enumerate(shards):
        pairs = [(block, {"log_probabilities": distributions(len(block))}) for block in blocks]
        write_shard(str(tmp_path), ShardId(0, number), pairs, origin="x")
    paths = [shard_path(str(tmp_path), ShardId(0, number), "columns.tfrecord") for number in range(2)]
    blocks = ColumnBlocks(paths)
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate(list(blocks)), pool)
    assert len(list(blocks)) == {1: 4, 2: 3, 65_536: 2}[max_records]
