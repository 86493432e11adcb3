"""`Report`: what `report.html` shows, as one value."""

import dataclasses
import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_noisy_student.argument_checks import check_count
from keras_noisy_student.report.section import Section

if TYPE_CHECKING:
    from keras_noisy_student.report.evidence import RoundEvidence

_NEEDED = {"jinja2": "jinja2", "matplotlib": "matplotlib", "PIL": "pillow"}


@dataclasses.dataclass(frozen=True)
class Report:
    """What `report.html` shows of each round. Needs the extra `report`; a run goes on without it where it is missing.

    A trainer has one as its class attribute `report`: another one, or `None`, in a subclass changes what is written.

    Args:
        num_examples: the most examples in a gallery.
        num_searched: examples at the beginning of the pool that the galleries are chosen from. No more are read.
        num_noised: labelled examples that are shown with their noise.
        num_draws: of the noise for each of them.

    Raises:
        ValueError: for a number that is no positive integer.

    Example:
        >>> class MyReport(kns.report.Report):
        ...     def sections(self, evidence):
        ...         own = kns.report.Section("Notes", f"<p>{evidence.record.num_kept:,} kept</p>")
        ...         return [*super().sections(evidence), own]
        >>> class MyTrainer(kns.NoisyStudentTrainer):
        ...     report = MyReport(num_examples=24)
    """

    num_examples: int = 12
    num_searched: int = 1000
    num_noised: int = 6
    num_draws: int = 3

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_count(field.name, getattr(self, field.name))

    def sections(self, evidence: "RoundEvidence") -> Sequence[Section]:
        """What is shown of a round, from the top down; a subclass may add to it."""
        from keras_noisy_student.report.sections import default_sections

        return default_sections(evidence)


def missing_packages() -> list[str]:
    """The packages of the extra `report` that are not installed."""
    return [name for module, name in _NEEDED.items() if importlib.util.find_spec(module) is None]
