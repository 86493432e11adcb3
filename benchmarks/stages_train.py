"""A joint training step beside `keras.Model.fit` on the same concatenated batches."""

import statistics
import time

import keras
import numpy as np
import tensorflow as tf

import keras_noisy_student as kns

NUM_CLASSES = 10
IMAGE_SHAPE = (32, 32, 3)
BATCH_SIZE = 16
UNLABELED_RATIO = 3
NUM_BATCHES = 8
MOST_BLOCKS = 64
NUM_TIMINGS = 3


class StepTimes(keras.callbacks.Callback):
    """Seconds from the end of each step to the end of the next: the step and all that Keras does around it."""

    def on_epoch_begin(self, epoch, logs=None):
        """Begins anew."""
        self._ends = []

    def on_train_batch_end(self, batch, logs=None):
        """Notes the time."""
        self._ends.append(time.perf_counter())

    @property
    def median(self):
        """Of the last epoch."""
        return statistics.median(np.diff(self._ends))

    @property
    def fastest(self):
        """Of the last epoch."""
        return np.diff(self._ends).min()


class TrainStep:
    """Both sides of `train_step_overhead`.

    Args:
        seconds_per_step: of plain Keras, at least: the network is made deeper until its step takes that.
        num_steps: of one measurement.
    """

    def __init__(self, *, seconds_per_step, num_steps):
        self._num_steps = num_steps
        self.num_blocks = blocks_that_take(seconds_per_step, num_steps)
        self._student = student(self.num_blocks)
        self._plain = plain_model(self.num_blocks)

    def ours(self):
        """Seconds of a joint step."""
        return times_of_steps(self._student, joint_batches(), self._num_steps).median

    def floor(self):
        """Seconds of a step of plain Keras."""
        return times_of_steps(self._plain, concatenated_batches(), self._num_steps).median


def blocks_that_take(seconds_per_step, num_steps):
    """The least power of two of residual blocks that make a step of plain Keras take so long, whatever else runs.

    The fastest step counts: other work on the machine makes a step slower, never faster.
    """
    num_blocks = 1
    while fastest_step(plain_model(num_blocks), num_steps) < seconds_per_step:
        num_blocks *= 2
        if num_blocks > MOST_BLOCKS:
            raise ValueError(
                f"A step must take {seconds_per_step} s with {MOST_BLOCKS} blocks. Received: a faster machine. Raise "
                "BATCH_SIZE."
            )
    return num_blocks


def fastest_step(model, num_steps):
    """Seconds of the fastest step of a plain model in several epochs."""
    return min(times_of_steps(model, concatenated_batches(), num_steps).fastest for _ in range(NUM_TIMINGS))


def network(num_blocks):
    """A small residual network for images of 32 pixels."""
    inputs = keras.Input(IMAGE_SHAPE, dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(32, 3, padding="same", strides=2)(x)
    for _ in range(num_blocks):
        residual = x
        for _ in range(2):
            x = keras.layers.Conv2D(32, 3, padding="same", use_bias=False)(x)
            x = keras.layers.BatchNormalization()(x)
            x = keras.layers.Activation("relu")(x)
        x = keras.layers.Add()([x, residual])
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(NUM_CLASSES, activation="softmax")(x))


def student(num_blocks):
    """Compiled as by default; the check for steps that are not finite and the logs of both parts are on."""
    model = kns.NoisyStudent(network(num_blocks), task=kns.Classification(NUM_CLASSES))
    model.compile(keras.optimizers.AdamW(1e-3), metrics=["accuracy"])
    return model


def plain_model(num_blocks):
    """The same network, optimizer and metric in Keras alone."""
    model = network(num_blocks)
    model.compile(keras.optimizers.AdamW(1e-3), loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def joint_batches():
    """An endless data set of joint batches that are in memory."""
    generator = np.random.default_rng(0)
    num_examples = NUM_BATCHES * BATCH_SIZE * UNLABELED_RATIO
    x = generator.integers(0, 256, (num_examples, *IMAGE_SHAPE)).astype("uint8")
    y = generator.integers(0, NUM_CLASSES, num_examples)
    distributions = generator.dirichlet(np.ones(NUM_CLASSES), num_examples).astype("float32")
    joint = kns.joint_dataset((x, y), (x, distributions), batch_size=BATCH_SIZE, unlabeled_ratio=UNLABELED_RATIO)
    return joint.take(NUM_BATCHES).cache().repeat()


def concatenated_batches():
    """The same batches as `(x, y)`, in memory too."""
    batches = (
        joint_batches()
        .take(NUM_BATCHES)
        .map(
            lambda labeled, pseudo_labeled: (
                tf.concat([labeled.x, pseudo_labeled.x], axis=0),
                tf.concat([tf.one_hot(labeled.y, NUM_CLASSES), pseudo_labeled.y], axis=0),
            )
        )
    )
    return batches.cache().repeat()


def times_of_steps(model, batches, num_steps):
    """The times of an epoch; the first step, which may be traced, does not count."""
    times = StepTimes()
    # A data set has its own order: Keras warns when asked to shuffle one.
    model.fit(batches, steps_per_epoch=num_steps, callbacks=[times], shuffle=False, verbose=0)
    return times
