"""Annotation to disk beside a bare forward pass over the same data set."""

import pathlib
import shutil
import time

import keras
import numpy as np
import tensorflow as tf
from stages_train import IMAGE_SHAPE, NUM_CLASSES, network

import keras_noisy_student as kns


class AnnotationBeside(kns.NoisyStudentTrainer):
    """Runs a round, and measures its annotation in the place where it happens.

    Args:
        measure: called with two functions, ours and the floor, each of which returns seconds of an example.
    """

    def __init__(self, *args, measure, **kwargs):
        super().__init__(*args, **kwargs)
        self._measure = measure

    def annotate(self, teacher, data, settings):
        """Annotates as often as it is measured, and once more."""

        def ours():
            shutil.rmtree(pathlib.Path(self.directory) / "round_01" / "pseudo_labels", ignore_errors=True)
            start = time.perf_counter()
            super(AnnotationBeside, self).annotate(teacher, data, settings)
            return (time.perf_counter() - start) / data.pool.num_rows

        def floor():
            batches = data.pool.batches(self.inference_batch_size)
            return seconds_of_forward_pass(teacher.network, batches) / data.pool.num_rows

        self._measure(ours, floor)
        return super().annotate(teacher, data, settings)

    def train(self, student, batches, data, settings, *, checkpoint):
        """Trains nothing."""
        return {"loss": [0.0]}

    def promote(self, student, teacher, data, settings):
        """Takes any student."""
        return student


def seconds_of_forward_pass(teacher, batches):
    """Compiled first, as annotation is; the outputs are fetched and left."""
    start = time.perf_counter()
    spec = batches.element_spec
    forward = tf.function(lambda x: teacher(x, training=False)).get_concrete_function(spec)
    for x in batches.prefetch(tf.data.AUTOTUNE):
        forward(x).numpy()
    return time.perf_counter() - start


def measure_annotation(directory, measure, *, num_blocks, num_examples):
    """Has `measure` compare both sides on arrays of images of 32 pixels."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (num_examples, *IMAGE_SHAPE)).astype("uint8")
    num_labeled = 32
    labels = np.arange(num_labeled) % NUM_CLASSES
    teacher = network(num_blocks)
    trainer = AnnotationBeside(
        student=teacher,
        teacher=teacher,
        task=kns.Classification(NUM_CLASSES),
        directory=str(directory),
        measure=measure,
    )
    trainer.compile(keras.optimizers.SGD())
    trainer.fit_rounds((images[:num_labeled], labels), images, num_rounds=1, verbose=0)
