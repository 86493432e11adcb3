"""Annotate: the un-noised teacher labels the whole pool, in order, into the store."""

from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from keras_noisy_student.pseudo_labels.background_calls import BackgroundCalls
from keras_noisy_student.pseudo_labels.shard import COLUMNS
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.pseudo_labels.store_writer import StoreWriter
from keras_noisy_student.pseudo_labels.teacher import Teacher
from keras_noisy_student.pseudo_labels.teacher_pass import Annotated, TeacherPass
from keras_noisy_student.sources.source import PoolBlock, Source
from keras_noisy_student.workers import wait_for_all_workers


def annotate(
    teacher: Teacher,
    pool: Source,
    *,
    store: StoreWriter,
    batch_size: int,
    announce: Callable[[], None] = lambda: None,
    verbose: bool,
) -> PseudoLabels:
    """Has all workers run the teacher over what the store lacks of the clean pool, and store what it says.

    Each worker annotates its share, on each of its replicas another batch. The store does not depend on their number.

    Args:
        teacher: what annotates.
        pool: unlabelled examples.
        store: where the labels of this worker go; a finished one is taken as it is.
        batch_size: examples that the teacher labels at a time, a block of the store.
        announce: called if there is anything to annotate.
        verbose: whether to show the progress bar.

    Raises:
        ValueError: when the teacher's outputs are not finite.
    """
    strategy = tf.distribute.get_strategy()
    store.claim()
    wait_for_all_workers(strategy)
    store.take_up()
    if not store.is_finished():
        announce()
        teacher_pass = TeacherPass(teacher, pool.element_spec)
        annotate_share(teacher_pass, pool, store=store, batch_size=batch_size, verbose=verbose)
    wait_for_all_workers(strategy)
    store.finish()
    wait_for_all_workers(strategy)
    return PseudoLabels(store.directory)


def annotate_share(
    teacher_pass: TeacherPass, pool: Source, *, store: StoreWriter, batch_size: int, verbose: bool
) -> None:
    """Annotates what is missing in the share of one worker; other arguments and errors are those of `annotate`.

    A thread of its own waits for the labels and writes them, while the teacher goes on.
    """
    blocks = pool.blocks(batch_size, parts=store.parts_to_read(), is_wanted=store.is_missing)
    progress = _Progress(pool, batch_size) if verbose else None

    def write(block: PoolBlock, annotated: Annotated | None) -> None:
        part, number = int(block.part), int(block.number)
        if annotated is None:
            store.end_part(part, number)
            return
        columns, encoded = _to_numpy(annotated)
        _check_finite(columns["score"], block.rows, shard=part if pool.num_parts > 1 else None)
        store.write(part, number, columns, encoded)

    with BackgroundCalls(write) as write_in_background:
        for group in _groups(blocks.prefetch(tf.data.AUTOTUNE), teacher_pass.num_batches):
            is_end = _is_end(group[0])
            annotated = [None] if is_end else teacher_pass([block.x for block in group])
            for block, labels in zip(group, annotated, strict=True):
                write_in_background(block._replace(x=None), labels)
            if progress is not None:
                progress.update(group[-1])
    if progress is not None:
        progress.end()


def _groups(blocks: tf.data.Dataset, num_batches: int) -> Iterator[list[PoolBlock]]:
    """Up to `num_batches` blocks of one part at a time; the empty one that ends a part is alone."""
    group: list[PoolBlock] = []
    for block in blocks:
        if group and (_is_end(block) or len(group) == num_batches):
            yield group
            group = []
        if _is_end(block):
            yield [block]
        else:
            group.append(block)


def _is_end(block: PoolBlock) -> bool:
    return len(block.rows) == 0


def _to_numpy(annotated: Annotated) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    columns, encoded = tf.nest.map_structure(lambda tensor: tensor.numpy(), annotated)
    block = np.empty(len(columns["score"]), COLUMNS)
    for name, values in columns.items():
        block[name] = values
    return block, encoded


def _check_finite(score: np.ndarray, rows: tf.Tensor, *, shard: int | None) -> None:
    wrong = np.flatnonzero(~np.isfinite(score))
    if len(wrong):
        where = f"row {int(rows[wrong[0]])}" + ("" if shard is None else f" of shard {shard}")
        raise ValueError(
            f"The teacher's outputs must be finite. Received: NaN or infinity for {len(wrong)} examples of the "
            f"unlabelled pool, the first at {where}. Look for NaN in that example, or for a teacher that diverged. "
            "Replace the example in its place: a pool of another size makes another run."
        )


class _Progress:
    """The progress bar: a pool in one part has a place to be at; of several, blocks are counted."""

    def __init__(self, pool: Source, batch_size: int) -> None:
        is_known = pool.num_rows is not None and pool.num_parts == 1
        num_blocks = -(-(pool.num_rows or 0) // batch_size) if is_known else None
        self._bar = keras.utils.Progbar(num_blocks, unit_name="batch")
        self._num_before = 0

    def update(self, block: PoolBlock) -> None:
        """A block was annotated, or the empty one that ends a part was reached."""
        number = int(block.number)
        if _is_end(block):
            self._num_before += number
        else:
            self._bar.update(self._num_before + number + 1)

    def end(self) -> None:
        """Ends the line where the bar did not know its end."""
        if self._bar.target is None:
            self._bar.update(self._num_before, finalize=True)
