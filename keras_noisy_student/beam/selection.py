"""Select on Apache Beam: the steps of `select`, each over all shards at once, and the result stored beside the pool."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import AsSingleton

from keras_noisy_student.pseudo_labels import cutoffs as radix
from keras_noisy_student.pseudo_labels.cutoffs import Cutoffs
from keras_noisy_student.pseudo_labels.pool_summary import PoolSummary, merge, summarize
from keras_noisy_student.pseudo_labels.rows import Rows
from keras_noisy_student.pseudo_labels.selection import Selection
from keras_noisy_student.pseudo_labels.selection_plan import SelectionPlan
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.pseudo_labels.stored_selection import (
    SelectionRules,
    read_selection,
    write_repeats,
    write_selection,
)
from keras_noisy_student.trainer import NoisyStudentTrainer

State = tuple[SelectionPlan, Cutoffs]
"""What all machines know after a pass."""


def select(
    trainer: NoisyStudentTrainer, pseudo_labels: PseudoLabels, *, options: "PipelineOptions | None" = None
) -> Selection | None:
    """Has a Beam pipeline select for the next round of a trainer, which then takes the selection as it is.

    Args:
        trainer: after `fit_rounds`.
        pseudo_labels: what `annotate` returned.
        options: as for `annotate`.

    Returns:
        The selection, which is stored beside the pseudo-labels.

    Raises:
        ValueError: before `fit_rounds`, or when the threshold keeps nothing.
    """
    rules = trainer.next_selection_rules()
    steps = _Steps(pseudo_labels.directory, rules)
    with beam.Pipeline(options=options) as pipeline:
        shards = (
            pipeline
            | "Shards" >> beam.Create(range(len(pseudo_labels.shards())))
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.Map(steps.read)
        )
        summaries = shards | "Summarize" >> beam.Map(steps.summarize) | "All" >> beam.combiners.ToList()
        state = summaries | "Plan" >> beam.Map(steps.plan)
        for digit in range(radix.max_digits(rules.num_classes)):
            counters = (
                shards
                | f"Count digit {digit}" >> beam.FlatMap(_count_digits, AsSingleton(state))
                | f"Sum digit {digit}" >> beam.CombineGlobally(_SumCounters())
            )
            state = state | f"Digit {digit}" >> beam.Map(_with_next_digit, AsSingleton(counters))
        ranks = (
            shards
            | "Rank the undecided" >> beam.FlatMap(_undecided_ranks, AsSingleton(state))
            | "All undecided" >> beam.combiners.ToList()
        )
        state = state | "Cutoffs" >> beam.Map(_with_all_bits, AsSingleton(ranks))
        written = (
            shards | "Write" >> beam.Map(steps.write, AsSingleton(state)) | "All written" >> beam.combiners.ToList()
        )
        _ = state | "Finish" >> beam.Map(steps.finish, AsSingleton(written))
    return read_selection(pseudo_labels, rules)


@dataclasses.dataclass(frozen=True)
class _Steps:
    """The steps that read or write files.

    Args:
        directory: of the store.
        rules: of the selection.
    """

    directory: str
    rules: SelectionRules

    def read(self, shard: int) -> tuple[int, Rows]:
        """The rows of a shard."""
        first, columns = PseudoLabels(self.directory).shards()[shard]
        rows = np.concatenate(list(columns))
        return shard, Rows(rows, np.arange(first, first + len(rows)))

    def summarize(self, numbered: tuple[int, Rows]) -> tuple[int, PoolSummary]:
        """The summary of a shard."""
        shard, rows = numbered
        threshold = self.rules.pseudo_labeling.threshold
        return shard, summarize(rows.columns, threshold=threshold, num_classes=self.rules.num_classes)

    def plan(self, summaries: Iterable[tuple[int, PoolSummary]]) -> State:
        """Merges in the order of the pool: a sum of floating-point numbers depends on it."""
        in_order = sorted(summaries, key=lambda numbered: numbered[0])
        summary = functools.reduce(merge, (summary for _, summary in in_order))
        plan = SelectionPlan.of(summary, self.rules.pseudo_labeling, seed=self.rules.seed)
        return plan, radix.unknown_cutoffs(plan.ranking, num_wanted=plan.num_extra, num_rows=summary.kept_counts)

    def write(self, numbered: tuple[int, Rows], state: State) -> tuple[int, str, int]:
        """Writes the repeats of a shard."""
        shard, rows = numbered
        plan, cutoffs = state
        return shard, write_repeats(self.directory, shard, plan.repeats(rows, cutoffs)), len(rows)

    def finish(self, state: State, written: Sequence[tuple[int, str, int]]) -> None:
        """Writes what says that the selection is finished."""
        pseudo_labels = PseudoLabels(self.directory)
        selection = state[0].selection(np.empty(0, np.int32))
        digests = [digest for _, digest, _ in sorted(written)]
        write_selection(self.directory, selection, origin=self.rules.origin(pseudo_labels), repeats=digests)


def _count_digits(numbered: tuple[int, Rows], state: State) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    plan, cutoffs = state
    if cutoffs.needs_digit:
        yield cutoffs.num_counters, *radix.count_digits(plan.ranked(numbered[1]), cutoffs, plan.ranking)


def _with_next_digit(state: State, counters: np.ndarray | None) -> State:
    plan, cutoffs = state
    return state if counters is None else (plan, radix.with_next_digit(cutoffs, counters))


def _undecided_ranks(numbered: tuple[int, Rows], state: State) -> Iterator[np.ndarray]:
    plan, cutoffs = state
    if cutoffs.num_undecided.any():
        yield radix.undecided_ranks(plan.ranked(numbered[1]), cutoffs, plan.ranking)


def _with_all_bits(state: State, ranks: Sequence[np.ndarray]) -> State:
    plan, cutoffs = state
    return (plan, radix.with_all_bits(cutoffs, ranks)) if ranks else state


class _SumCounters(beam.CombineFn):
    """Sums what `_count_digits` yields; `None` where it yields nothing, since no digit was needed."""

    def create_accumulator(self) -> np.ndarray | None:
        return None

    def add_input(self, total: np.ndarray | None, counted: tuple[int, np.ndarray, np.ndarray]) -> np.ndarray:
        num_counters, places, counts = counted
        total = np.zeros(num_counters, np.int64) if total is None else total
        total[places] += counts
        return total

    def merge_accumulators(self, totals: Iterable[np.ndarray | None]) -> Any:
        known = [total for total in totals if total is not None]
        return sum(known) if known else None

    def extract_output(self, total: np.ndarray | None) -> np.ndarray | None:
        return total
