"""Selection from a large pool: time, memory, growth with the pool, and against a sort of the whole pool by NumPy.

    pip install -e . && python benchmarks/selection.py --rows 100000000 --json out.json

The pool has 1,000 classes, the largest 15 times the median, and random scores; selection keeps those above 0.3 and
balances the classes ("auto"), so that large classes are cut and small ones topped up. The columns are written as a
real store does (blocks of 256 rows, shards of 65,536) into a temporary directory first: 18 bytes a row.

Takes 4 minutes with 100 million rows on two CPU cores. There, with TensorFlow 2.21 and NumPy 2, a run with little
beside it gave: seconds 28, peak_rss_mib 1,302, growth 0.83, vs_numpy 6.8; one beside other measurements seconds 48,
peak_rss_mib 1,223, growth 0.46, vs_numpy 6.2. The work grows in proportion to the rows, so growth should be 1: below
it, the runs of fewer rows were disturbed, or what a run costs at its start weighs on them.

    --json PATH    write the figures
    --rows N       rows of the pool (default 10,000,000)

Figures:

- `seconds`: of `select`, which reads the columns from disk in every pass. In a process of its own, imports not counted.
- `peak_rss_mib`: of that process, TensorFlow and the result (4 bytes a row) included.
- `growth`: seconds a row of N rows / of N/10 rows, the median of two runs on either side.
- `vs_numpy`: seconds of `numpy.lexsort` by class, score and hash, then a slice of each class / those of `select`, both
  on columns in memory, at most 10 million rows, in turns, the median of 5 ratios. Both select the same.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

import keras_noisy_student as kns
from keras_noisy_student.pseudo_labels.column_blocks import ColumnBlocks
from keras_noisy_student.pseudo_labels.ranking import hashes
from keras_noisy_student.pseudo_labels.select import select
from keras_noisy_student.pseudo_labels.shard import COLUMNS, ShardId, shard_path, write_shard

NUM_CLASSES = 1000
ROWS_PER_SHARD = 65_536
ROWS_PER_BLOCK = 256
MOST_ROWS_IN_MEMORY = 10_000_000
RULES = kns.PseudoLabeling(confidence_threshold=0.3, examples_per_class="auto")


def shard_sizes(num_rows):
    """Rows of each shard of a pool."""
    return [min(ROWS_PER_SHARD, num_rows - first) for first in range(0, num_rows, ROWS_PER_SHARD)]


def shard_columns(number, num_rows):
    """The columns of one shard, always the same."""
    generator = np.random.default_rng(number)
    columns = np.empty(num_rows, COLUMNS)
    columns["fingerprint"] = generator.integers(-(2**63), 2**63 - 1, num_rows)
    columns["score"] = 1 - generator.random(num_rows, np.float32) ** 2
    columns["class_id"] = NUM_CLASSES * generator.random(num_rows) ** 2
    return columns


def write_pool(directory, num_rows):
    """Writes the shards of a store, with targets of width 1."""
    for number, size in enumerate(shard_sizes(num_rows)):
        columns = shard_columns(number, size)
        targets = {"log_probabilities": np.zeros((size, 1), np.float16)}
        blocks = [slice(first, first + ROWS_PER_BLOCK) for first in range(0, size, ROWS_PER_BLOCK)]
        pairs = [(columns[block], {name: array[block] for name, array in targets.items()}) for block in blocks]
        write_shard(directory, ShardId(0, number), pairs, origin="benchmark")


def select_from_disk(directory, num_rows):
    """Figures of a selection from the first shards; called in a process that does nothing else."""
    numbers = range(len(shard_sizes(num_rows)))
    columns = ColumnBlocks([shard_path(directory, ShardId(0, number), "columns.tfrecord") for number in numbers])
    start = time.perf_counter()
    selection = select(columns, RULES, num_classes=NUM_CLASSES, seed=0)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20)
    return {"rows": selection.num_annotated, "seconds": seconds, "peak_rss_mib": peak}


def in_a_process_of_its_own(directory, num_rows):
    command = [sys.executable, __file__, "--rows", str(num_rows), "--from-disk", str(directory)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measure_from_disk(num_rows):
    """Figures of the whole pool, and its seconds a row / those of a tenth of its shards."""
    with tempfile.TemporaryDirectory() as directory:
        write_pool(directory, num_rows)
        tenth = sum(shard_sizes(num_rows)[: max(1, len(shard_sizes(num_rows)) // 10)])
        small, large = [], []
        for _ in range(2):
            small.append(in_a_process_of_its_own(directory, tenth))
            large.append(in_a_process_of_its_own(directory, num_rows))

    def median(figures, name):
        return statistics.median(figure[name] for figure in figures)

    seconds_a_row = [median(figures, "seconds") / figures[0]["rows"] for figures in (small, large)]
    return {
        "seconds": median(large, "seconds"),
        "peak_rss_mib": max(figure["peak_rss_mib"] for figure in large),
        "growth": seconds_a_row[1] / seconds_a_row[0],
    }


def repeats_by_sorting(fingerprints, scores, class_ids):
    """What `select` returns as `repeats`, by one sort of all rows that are kept."""
    kept = np.flatnonzero(scores > RULES.confidence_threshold)
    ties = hashes(fingerprints[kept], 0)
    order = np.lexsort((ties, -scores[kept], class_ids[kept]))
    starts = np.flatnonzero(np.diff(class_ids[kept][order], prepend=-1))
    target = -(-len(kept) // len(starts))
    repeats = np.zeros(len(scores), np.int32)
    for members in np.split(order, starts[1:]):
        if len(members) >= target:
            repeats[kept[members[:target]]] = 1
        else:
            repeats[kept[members]] = target // len(members)
            first = np.argsort(ties[members], kind="stable")[: target % len(members)]
            repeats[kept[members[first]]] += 1
    return repeats


def seconds_of(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def measure_in_memory(num_rows, repeats):
    """The median of the ratios of seconds, NumPy's / ours."""
    blocks = [shard_columns(number, size) for number, size in enumerate(shard_sizes(num_rows))]
    arrays = [np.concatenate([block[name] for block in blocks]) for name in COLUMNS.names]
    ratios = []
    for _ in range(repeats):
        of_numpy, expected = seconds_of(lambda: repeats_by_sorting(*arrays))
        ours, selection = seconds_of(lambda: select(blocks, RULES, num_classes=NUM_CLASSES, seed=0))
        if not np.array_equal(selection.repeats, expected):
            raise RuntimeError("The two do not select the same.")
        ratios.append(of_numpy / ours)
    return statistics.median(ratios)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--from-disk", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.from_disk:
        print(json.dumps(select_from_disk(arguments.from_disk, arguments.rows)))
        return

    figures = {"rows": arguments.rows, **measure_from_disk(arguments.rows)}
    figures["vs_numpy"] = measure_in_memory(min(arguments.rows, MOST_ROWS_IN_MEMORY), repeats=5)
    print(f"selection of {arguments.rows:,} rows from disk, and against numpy.lexsort in memory")
    for name in ("seconds", "peak_rss_mib", "growth", "vs_numpy"):
        print(f"{name:<14}{figures[name]:>10.2f}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(figures, file, indent=2)


if __name__ == "__main__":
    main()
