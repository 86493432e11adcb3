"""A trainer that remembers what its steps were given and returned."""

import keras_noisy_student as kns


class RecordingTrainer(kns.NoisyStudentTrainer):
    """Annotates in small blocks and shards, so that a tiny pool has several."""

    inference_batch_size = 4
    rows_per_shard = 8

    def annotate(self, teacher, data, settings):
        self.teachers = {**getattr(self, "teachers", {}), settings.index: teacher.network}
        return super().annotate(teacher, data, settings)

    def join(self, data, pseudo_labels, selection, settings, *, first_step):
        if selection is not None:
            self.selections = {**getattr(self, "selections", {}), settings.index: (pseudo_labels, selection)}
        self.batches = super().join(data, pseudo_labels, selection, settings, first_step=first_step)
        return self.batches
