"""Relabelling: what a round annotates that takes only what the selection of the round before kept."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from keras_noisy_student.pseudo_labels.selection import Selection
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.round_settings import RoundSettings
from keras_noisy_student.sources.source import Source
from keras_noisy_student.storage.checksums import DamagedFileError


def pool_of_round(
    pool: Source,
    rounds: Sequence[RoundSettings],
    *,
    store_of: Callable[[RoundSettings], PseudoLabels],
    select: Callable[[PseudoLabels, RoundSettings], Selection],
) -> Source:
    """The examples that the last one of some rounds annotates and trains on.

    The selections before it are not kept on disk: they follow from the stores and the settings of their rounds.

    Args:
        pool: the whole unlabelled pool.
        rounds: the settings of all rounds up to the one that is asked for.
        store_of: opens the store of a round.
        select: selects from the store of a round by its settings.

    Raises:
        DamagedFileError: when the store of a round before is missing or damaged.
    """
    for is_kept, part_rows in kept_before(rounds, store_of=store_of, select=select):
        pool = pool.kept(is_kept, part_rows=part_rows)
    return pool


def kept_before(
    rounds: Sequence[RoundSettings],
    *,
    store_of: Callable[[RoundSettings], PseudoLabels],
    select: Callable[[PseudoLabels, RoundSettings], Selection],
) -> Iterator[tuple[np.ndarray, Sequence[int]]]:
    """What the selections kept that the last one of some rounds follows on, in their order; see `pool_of_round`.

    Yields:
        Whether each row is kept of those that the selection before left, bool `(rows,)`; and the rows of each part.

    Raises:
        DamagedFileError: when the store of a round before is missing or damaged.
    """
    num_kept = next(back for back, settings in enumerate(reversed(rounds)) if not settings.is_relabeling)
    for before in rounds[len(rounds) - 1 - num_kept : -1]:
        pseudo_labels = _open(store_of, before)
        yield select(pseudo_labels, before).repeats > 0, pseudo_labels.part_rows


def _open(store_of: Callable[[RoundSettings], PseudoLabels], settings: RoundSettings) -> PseudoLabels:
    try:
        pseudo_labels = store_of(settings)
        pseudo_labels.check_columns()
    except DamagedFileError as error:
        raise DamagedFileError(
            f'{error} With annotate="kept", round {settings.index + 1} needs it to tell what the selection of round '
            f"{settings.index} kept. Put it back as it was, or delete the directory of round {settings.index} to make "
            "that round again."
        ) from error
    return pseudo_labels
