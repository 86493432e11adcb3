"""`ReportStep`: writes the report of the run after every round, which is no part of the training."""

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator
from typing import Any

from keras_noisy_student.history import RoundRecord
from keras_noisy_student.noise import seeds
from keras_noisy_student.promotion import Promotion
from keras_noisy_student.pseudo_label_steps import PseudoLabelSteps
from keras_noisy_student.pseudo_labels.selection import Selection
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.pseudo_labels.teacher import Teacher
from keras_noisy_student.report.report import Report, missing_packages
from keras_noisy_student.round_settings import RoundSettings
from keras_noisy_student.run_data import RunData
from keras_noisy_student.storage.checksums import DamagedFileError
from keras_noisy_student.student import NoisyStudent
from keras_noisy_student.workers import worker_of


class ReportStep(PseudoLabelSteps):
    """Shows what a round did; see `RoundSteps`.

    Args:
        task: what a target is.
        strategy: whose replicas and workers share the work.
        seed: of order, selection and noise.

    Raises:
        ValueError: for a seed that is no integer, or negative.
    """

    report: Report | None = Report()
    """What `report.html` in the run directory shows; `None` writes none."""

    _promotion: Promotion

    def _begin_report(self) -> None:
        """Begins the report of a run, where this worker writes one."""
        self._page: Any = None
        if self.report is None or not worker_of(self._strategy).is_chief:
            return
        if missing := missing_packages():
            self._tell(
                f"There will be no report.html, which needs {' and '.join(missing)}: "
                'pip install "keras-noisy-student[report]"'
            )
            return
        from keras_noisy_student.report.noised_examples import NoisedExamples
        from keras_noisy_student.report.page import ReportPage

        self._page = ReportPage(
            self.report, self._promotion, num_rounds=len(self._rounds) - 1, directory=self._run.path
        )
        self._noised_examples = NoisedExamples(self.report, key=seeds.stream_key(self._seed, "report"))

    def _report_round(
        self,
        record: RoundRecord,
        student: NoisyStudent,
        data: RunData,
        settings: RoundSettings,
        *,
        pseudo_labels: PseudoLabels | None,
        selection: Selection | None,
    ) -> None:
        """Adds a finished round to the report, and writes it. A failure is a warning: training matters more."""
        if self._page is None or self.report is None:
            return
        self._run.lock.check()
        with _failure_is_a_warning(settings):
            from keras_noisy_student.report.gather import AnnotatedPool, gather

            annotated = None
            if pseudo_labels is not None and selection is not None:
                audit_labels = None if data.audit_labels is None else self._audit_labels(data.audit_labels, settings)
                annotated = AnnotatedPool(self._pool(data, settings), pseudo_labels, selection, audit_labels)
            evidence = gather(
                self.report,
                record,
                settings,
                data,
                trained=Teacher([student.network], self.task),
                annotated=annotated,
                noised=self._noised_examples.drawn(settings.noise, data),
                batch_size=self.inference_batch_size,
            )
            self._page.add(evidence, self._run.settings(settings.index))
            self._page.write(self._run.report_path, {**self._run.settings(), **self._machinery()})

    def _machinery(self) -> dict[str, Any]:
        """The settings that are in no file, because the run would be the same with others."""
        return {
            "strategy": type(self._strategy).__name__.lstrip("_"),
            "num_replicas": self._strategy.num_replicas_in_sync,
            "inference_batch_size": self.inference_batch_size,
            "rows_per_shard": self.rows_per_shard,
        }

    def _report_again(
        self, record: RoundRecord, student: NoisyStudent, data: RunData, settings: RoundSettings
    ) -> RoundRecord:
        """Shows a finished round by what is left of it, and audits it; returns its record."""
        if self._page is None and data.audit_labels is None:
            return record
        pseudo_labels, selection = None, None
        try:
            if settings.index > 0 and settings.pseudo_labeling.annotate != "online":
                pseudo_labels = self._finished_store(settings)
                pseudo_labels.check_columns()
                selection = self.select(pseudo_labels, settings)
                record = dataclasses.replace(record, **self._audit(pseudo_labels, selection, data, settings))
        except DamagedFileError as error:
            pseudo_labels, selection = None, None
            self._tell(f"Round {settings.index}: its pseudo-labels cannot be shown or audited again: {error}")
        self._report_round(record, student, data, settings, pseudo_labels=pseudo_labels, selection=selection)
        return record


@contextlib.contextmanager
def _failure_is_a_warning(settings: RoundSettings) -> Iterator[None]:
    try:
        yield
    # Whatever it is: the user's noise and sections run here, and two drawing libraries.
    except Exception as error:
        warnings.warn(
            f"Round {settings.index} is missing in report.html: {type(error).__name__}: {error} The run goes on. "
            "`report = None` in a subclass of the trainer writes no report.",
            # It points at the caller of `_report_round`; this function and `contextlib` stand between.
            stacklevel=4,
        )
