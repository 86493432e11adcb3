"""`NoisedExamples`: some labelled examples with the noise of each round."""

from typing import Any

import tensorflow as tf

from keras_noisy_student.noise.noise import Noise
from keras_noisy_student.report.evidence import NoisedExample
from keras_noisy_student.report.noised_samples import noised_samples
from keras_noisy_student.report.pictures import pictures
from keras_noisy_student.report.report import Report
from keras_noisy_student.run_data import RunData


class NoisedExamples:
    """The same examples in all rounds of a run.

    They are drawn anew only where the augmentation is another than in the round before: to trace RandAugment takes
    seconds.

    Args:
        report: how many are wanted.
        key: of the draws.
    """

    def __init__(self, report: Report, *, key: int) -> None:
        self._report = report
        self._key = key
        self._augmentation: Any = None
        self._examples: list[NoisedExample] = []

    def drawn(self, noise: Noise, data: RunData) -> list[NoisedExample]:
        """The examples with the noise of a round; none where it has no input noise, or where they have no pictures."""
        if noise.augmentation is not self._augmentation:
            self._examples = [] if noise.augmentation is None else self._draw(noise, data)
            self._augmentation = noise.augmentation
        return self._examples

    def _draw(self, noise: Noise, data: RunData) -> list[NoisedExample]:
        x, _ = next(iter(data.labeled.batches(self._report.num_noised)))
        examples = [
            tf.nest.map_structure(lambda part, place=place: part[place].numpy(), x)
            for place in range(len(tf.nest.flatten(x)[0]))
        ]
        if pictures(examples[0]) is None:
            return []
        noised = noised_samples(noise, x, key=self._key, num_draws=self._report.num_draws)
        return [NoisedExample(*pair) for pair in zip(examples, noised, strict=True)]
