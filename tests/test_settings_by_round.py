"""Thresholds, ratios and magnitudes that change by round, by plain functions of the round index."""

import numpy as np

import keras_noisy_student as kns
from tests.test_trainer import fit, make_trainer

THRESHOLDS, RATIOS, MAGNITUDES = (0.0, 0.34, 0.4), (1, 1, 3), (0, 3, 9)


class Recording(kns.NoisyStudentTrainer):
    """Checks the thresholds and remembers the joint batches."""

    def select(self, pseudo_labels, settings):
        selection = super().select(pseudo_labels, settings)
        scores = np.concatenate([block["score"] for block in pseudo_labels.columns])
        np.testing.assert_array_equal(selection.repeats, scores > np.float32(THRESHOLDS[settings.index]))
        return selection

    def train(self, student, batches, data, settings, *, checkpoint):
        self.batches = [*getattr(self, "batches", []), batches]
        self.magnitudes = [*getattr(self, "magnitudes", []), student.noise.augmentation.magnitude]
        return super().train(student, batches, data, settings, checkpoint=checkpoint)


def test_thresholds_ratios_and_magnitudes_may_change_by_round():
    trainer = make_trainer(
        trainer_class=Recording,
        noise=lambda round_index: kns.Noise(
            kns.RandAugment(1, MAGNITUDES[round_index], ops=["Brightness"], jit_compile=False)
        ),
        pseudo_labeling=lambda round_index: kns.PseudoLabeling(confidence_threshold=THRESHOLDS[round_index]),
        unlabeled_ratio=lambda round_index: RATIOS[round_index],
    )
    fit(trainer, num_rounds=2, epochs=2)
    assert trainer.magnitudes == list(MAGNITUDES)
    assert [len(next(iter(batches))[1].row) for batches in trainer.batches[1:]] == [10, 30]
