"""`ConcatenatedSource`: the examples of several sources as those of one, one after another, and mixed for training."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.noise import seeds
from keras_noisy_student.sources.array_source import shuffled_places
from keras_noisy_student.sources.sharded_source import chained
from keras_noisy_student.sources.source import IsWanted, Source, check_keeps_some
from keras_noisy_student.sources.stream_source import StreamSource

_ENDLESS = np.iinfo(np.int64).max
_BLOCK = 1024
_CHOICES = 1 << 20


class ConcatenatedSource(Source):
    """Examples of several sources of one structure; the parts of each are parts of this one.

    Args:
        sources: the sources, in order.
        first_rows: where the user's data of each begins in all of it; by default they are whole, so that each begins
            where the one before has ended.
    """

    def __init__(self, sources: Sequence[Source], *, first_rows: Sequence[int] | None = None) -> None:
        self._sources = list(sources)
        self._first_rows = first_rows
        self.element_spec = sources[0].element_spec
        self.num_parts = sum(source.num_parts for source in sources)
        sizes = [source.num_rows for source in sources]
        self.num_rows = None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def kind(self) -> str:
        """The kind and the size of each source, in order."""
        return "ConcatenatedSource of " + ", ".join(f"{source.kind} ({source.num_rows})" for source in self._sources)

    def batches(self, batch_size: int) -> tf.data.Dataset:
        """All examples once, in order."""
        return chained([source.batches(batch_size).unbatch() for source in self._sources]).batch(batch_size)

    def blocks(self, batch_size: int, *, parts: Sequence[int], is_wanted: IsWanted) -> tf.data.Dataset:
        """Reads the sources alone that have some of the parts."""
        datasets, first_part = [], 0
        for source in self._sources:
            own = [part - first_part for part in parts if 0 <= part - first_part < source.num_parts]
            if own:
                datasets.append(_blocks(source, batch_size, parts=own, first_part=first_part, is_wanted=is_wanted))
            first_part += source.num_parts
        return chained(datasets)

    def shuffled_batches(self, batch_size: int, *, key: int, first_batch: int = 0) -> tf.data.Dataset:
        """Each source in passes of its own, mixed at random: in each pass over all, every example comes once.

        A source whose size is not known is read once beforehand, to count its examples. Streams share one shuffle
        buffer's memory.
        """
        sizes = self._sizes()
        ends, total = tf.constant(np.cumsum(sizes), tf.int64), sum(sizes)
        choice_key = seeds.fold(key, len(sizes))

        def chosen(positions: tf.Tensor) -> tf.Tensor:
            places = shuffled_places(positions % total, seeds.fold(choice_key, positions // total), total)
            return tf.searchsorted(ends, places, side="right", out_type=tf.int64)

        def placed(batch_index: tf.Tensor, batch: tuple[tf.Tensor, Any]) -> tuple[tf.Tensor, tf.Tensor, Any]:
            return batch_index * batch_size + tf.range(batch_size, dtype=tf.int64), *batch

        first = first_batch * batch_size
        passes_before = first // total
        num_read = passes_before * np.array(sizes)
        for begin in range(passes_before * total, first, _CHOICES):
            positions = tf.range(begin, min(begin + _CHOICES, first), dtype=tf.int64)
            num_read += np.bincount(chosen(positions), minlength=len(sizes))
        streams = [
            _examples(source, batch_size, key=seeds.fold(key, place), first=int(num), first_row=first_row)
            for place, (source, num, first_row) in enumerate(
                zip(self._sharing_buffer(), num_read, self._first_rows_or_from(sizes), strict=True)
            )
        ]
        choices = tf.data.Dataset.range(first, _ENDLESS).batch(_BLOCK).map(chosen).unbatch()
        examples = tf.data.Dataset.choose_from_datasets(streams, choices)
        return examples.batch(batch_size, drop_remainder=True).enumerate(start=first_batch).map(placed)

    def selected(
        self, repeats: np.ndarray, columns: tf.data.Dataset, *, part_rows: Sequence[int]
    ) -> "ConcatenatedSource":
        """Selects in each source; one of which nothing is used is left out."""
        check_keeps_some(repeats)
        selected, first_rows = [], []
        sizes = [sum(rows) for rows in self._of_sources(part_rows)]
        starts = _starts(sizes)
        for source, rows, start, first_row in zip(
            self._sources, self._of_sources(part_rows), starts, self._first_rows_or_from(sizes), strict=True
        ):
            own = repeats[start : start + sum(rows)]
            if own.any():
                own_columns = columns.unbatch().skip(start).take(len(own)).batch(_BLOCK)
                selected.append(source.selected(own, own_columns, part_rows=rows))
                first_rows.append(first_row)
        return ConcatenatedSource(selected, first_rows=first_rows)

    def _kept(self, is_kept: np.ndarray, part_rows: Sequence[int]) -> "ConcatenatedSource":
        """Keeps in each source, of which nothing may be left, as of a part."""
        sizes = [sum(rows) for rows in self._of_sources(part_rows)]
        kept = [
            source._kept(is_kept[start : start + size], rows)
            for source, rows, start, size in zip(
                self._sources, self._of_sources(part_rows), _starts(sizes), sizes, strict=True
            )
        ]
        return ConcatenatedSource(kept, first_rows=self._first_rows_or_from(sizes))

    def _of_sources(self, part_rows: Sequence[int]) -> Iterator[list[int]]:
        """The rows of the parts of each source."""
        rows = iter(part_rows)
        for source in self._sources:
            yield [next(rows) for _ in range(source.num_parts)]

    def _first_rows_or_from(self, sizes: Sequence[int]) -> Sequence[int]:
        return _starts(sizes) if self._first_rows is None else self._first_rows

    def _sharing_buffer(self) -> list[Source]:
        num_streams = sum(isinstance(source, StreamSource) for source in self._sources)
        return [
            source.sharing_buffer(num_streams) if isinstance(source, StreamSource) else source
            for source in self._sources
        ]

    def _sizes(self) -> list[int]:
        return [_count(source) if source.num_rows is None else source.num_rows for source in self._sources]


def _starts(sizes: Sequence[int]) -> list[int]:
    return [int(end) - size for end, size in zip(np.cumsum(sizes), sizes, strict=True)]


def _blocks(
    source: Source, batch_size: int, *, parts: Sequence[int], first_part: int, is_wanted: IsWanted
) -> tf.data.Dataset:
    """The blocks of one source, whose parts are counted from the first one on."""
    blocks = source.blocks(batch_size, parts=parts, is_wanted=lambda part, number: is_wanted(part + first_part, number))
    return blocks.map(lambda block: block._replace(part=block.part + first_part))


def _examples(source: Source, batch_size: int, *, key: tf.Tensor, first: int, first_row: int) -> tf.data.Dataset:
    """The endless stream of `(row, example)` of one source, from one of its positions on."""
    first_batch, num_skipped = divmod(first, batch_size)
    batches = source.shuffled_batches(batch_size, key=key, first_batch=first_batch)
    return batches.map(lambda positions, rows, examples: (rows + first_row, examples)).unbatch().skip(num_skipped)


def _count(source: Source) -> int:
    def add(count: tf.Tensor, *examples: Any) -> tf.Tensor:
        return count + tf.shape(tf.nest.flatten(examples)[0], out_type=tf.int64)[0]

    return int(source.batches(_BLOCK).reduce(tf.constant(0, tf.int64), add))
