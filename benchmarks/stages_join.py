"""The joint pipeline, with stored targets, beside a bare tf.data pipeline over the same examples."""

import pathlib
import time

import keras
import numpy as np
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.sources.stream_source import shuffle_buffer

NUM_CLASSES = 10
BATCH_SIZE = 32
UNLABELED_RATIO = 3
JOINT_BATCH_SIZE = BATCH_SIZE * (1 + UNLABELED_RATIO)


class JoinedRound(kns.NoisyStudentTrainer):
    """Runs a round up to its joint batches.

    Attributes:
        batches: what the student would be trained on.
    """

    def train(self, student, batches, data, settings, *, checkpoint):
        """Trains nothing."""
        self.batches = batches
        return {"loss": [0.0]}

    def promote(self, student, teacher, data, settings):
        """Takes any student."""
        return student


class Join:
    """Both sides of `join_efficiency`, or of `join_efficiency_arrays`.

    A pass over the labelled examples takes as many joint batches as one over the pool.

    Args:
        labeled: examples `(x, y)`, as `fit_rounds` takes them.
        pool: examples `x`, as `fit_rounds` takes them; three for each labelled one.
        bare: batches of a joint batch's size, endless, of all of them with a label.
        batches_per_pass: joint batches in a pass.
        num_passes: of one measurement.
        directory: of the run.
    """

    def __init__(self, labeled, pool, bare, *, batches_per_pass, num_passes, directory):
        self.num_batches = batches_per_pass * num_passes
        self._joint, self._bare = joint_batches(labeled, pool, directory=directory), bare

    def ours(self):
        """Seconds of a joint batch."""
        return seconds_of_batch(self._joint, self.num_batches)

    def floor(self):
        """Seconds of a bare batch."""
        return seconds_of_batch(self._bare, self.num_batches)


def joint_batches(labeled, pool, *, directory):
    """The batches of a round that keeps the whole pool."""
    image_shape = (pool.element_spec if isinstance(pool, tf.data.Dataset) else pool[0]).shape
    inputs = keras.Input(image_shape, dtype="uint8")
    outputs = keras.layers.Dense(NUM_CLASSES, activation="softmax")(keras.layers.Flatten()(inputs[:, ::16, ::16]))
    teacher = keras.Model(inputs, outputs)
    trainer = JoinedRound(
        student=teacher,
        teacher=teacher,
        task=kns.Classification(NUM_CLASSES),
        unlabeled_ratio=UNLABELED_RATIO,
        directory=directory,
    )
    trainer.compile()
    trainer.fit_rounds(labeled, pool, num_rounds=1, batch_size=BATCH_SIZE, verbose=0)
    return trainer.batches


def of_files(directory, *, num_batches, size, num_passes):
    """`Join` of JPEG files, which it writes."""
    paths, labels = write_photographs(directory, num_batches * JOINT_BATCH_SIZE, size)

    def decode(path):
        return tf.ensure_shape(tf.io.decode_jpeg(tf.io.read_file(path), channels=3), (size, size, 3))

    def examples(first, last=None):
        files = tf.data.Dataset.from_tensor_slices((paths[first:last], labels[first:last]))
        return files.map(lambda path, label: (decode(path), label), num_parallel_calls=tf.data.AUTOTUNE)

    num_labeled = num_batches * BATCH_SIZE
    return Join(
        examples(0, num_labeled),
        tf.data.Dataset.from_tensor_slices(paths[num_labeled:]).map(decode, num_parallel_calls=tf.data.AUTOTUNE),
        bare_batches(examples(0)),
        batches_per_pass=num_batches,
        num_passes=num_passes,
        directory=str(directory / "run"),
    )


def of_arrays(directory, *, num_batches, size, num_passes):
    """`Join` of arrays in memory."""
    num_examples = num_batches * JOINT_BATCH_SIZE
    images = np.random.default_rng(0).integers(0, 256, (num_examples, size, size, 3)).astype("uint8")
    labels = labels_of(num_examples)
    num_labeled = num_batches * BATCH_SIZE
    return Join(
        (images[:num_labeled], labels[:num_labeled]),
        images[num_labeled:],
        bare_batches(tf.data.Dataset.from_tensor_slices((images, labels))),
        batches_per_pass=num_batches,
        num_passes=num_passes,
        directory=str(directory / "run"),
    )


def bare_batches(examples):
    """What tf.data's guide tells to write, with the shuffle buffer that the library takes."""
    buffer = shuffle_buffer(examples.element_spec)
    shuffled = examples.shuffle(buffer, seed=0).repeat()
    return shuffled.batch(JOINT_BATCH_SIZE, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def write_photographs(directory, num_images, size):
    """JPEG files of smooth noise with grain, which decode like photographs; returns their paths and labels."""
    generator = np.random.default_rng(0)
    paths = []
    for index in range(num_images):
        coarse = generator.uniform(0, 255, (1, 8, 8, 3))
        smooth = tf.image.resize(coarse, (size, size), method="bicubic")[0] + generator.normal(0, 6, (size, size, 1))
        image = tf.cast(tf.clip_by_value(smooth, 0, 255), tf.uint8)
        paths.append(str(directory / f"{index:05d}.jpg"))
        pathlib.Path(paths[-1]).write_bytes(tf.io.encode_jpeg(image, quality=90).numpy())
    return paths, labels_of(num_images)


def labels_of(num_examples):
    """Class ids that take turns."""
    return np.arange(num_examples) % NUM_CLASSES


def seconds_of_batch(batches, num_batches):
    """The clock starts at the first batch, when the shuffle buffers are full, and stops at that of a later pass."""
    iterator = iter(batches)
    next(iterator)
    start = time.perf_counter()
    for _ in range(num_batches):
        next(iterator)
    return (time.perf_counter() - start) / num_batches
