"""The run that `faults.py` kills: a teacher and two students on scikit-learn's digits, 50 labels and a pool of 1,350.

    python benchmarks/faults_run.py DIRECTORY --events PATH --result PATH

Small, but with everything that has a state: batch normalization, dropout, stochastic depth, input noise, moments and
averages of the optimizer, callbacks that wait for epochs without gain, balanced selection, several shards, validation.
Takes 17 s on two CPU cores, most of it imports and tracing.

    DIRECTORY        of the run; called again, the run goes on from there
    --events PATH    gets a line at the begin of every phase, after every step and after every annotated batch
    --result PATH    JSON: a digest of the final weights, and the records of all rounds without their `seconds`
"""

import argparse
import dataclasses
import hashlib
import json
import os
import time

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

import keras_noisy_student as kns

NUM_ROUNDS = 2
NUM_TEST = 397
LABELS_PER_CLASS = 5
BATCH_SIZE, UNLABELED_RATIO = 16, 3
TEACHER_CHANNELS, STUDENT_CHANNELS = 8, 12


class EventLog:
    """Lines `seconds phase round number examples` in a file. What was written before a SIGKILL stays.

    `number` counts the steps or batches of a phase, 0 at its begin; `examples` were trained on, or annotated.
    """

    def __init__(self, path):
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._phase, self._round_index, self._num_annotated = None, 0, 0

    def begin(self, phase, round_index):
        """A phase began."""
        self._phase, self._round_index, self._num_annotated = phase, round_index, 0
        self.add(phase)

    def add(self, phase, number=0, examples=0):
        """Anything happened."""
        line = f"{time.monotonic():.6f} {phase} {self._round_index} {number} {examples}\n"
        os.write(self._file, line.encode())

    def add_annotated(self, examples):
        """A teacher has labelled a batch; when it is checked on labelled examples, that is no annotation."""
        if self._phase == "annotate":
            self._num_annotated += 1
            self.add("annotate", self._num_annotated, int(examples))


class LogSteps(keras.callbacks.Callback):
    """Logs every training step, and the begin of what ends an epoch: validation, then the checkpoint."""

    def __init__(self, log, round_index):
        super().__init__()
        self._log = log
        self._examples = BATCH_SIZE * (1 + UNLABELED_RATIO) if round_index else BATCH_SIZE

    def on_train_batch_end(self, batch, logs=None):
        """Logs the step and the examples of its joint batch."""
        self._log.add("train", int(self.model.optimizer.iterations), self._examples)

    def on_test_begin(self, logs=None):
        """Logs that validation begins."""
        self._log.add("end_epoch", int(self.model.optimizer.iterations))


@dataclasses.dataclass(frozen=True)
class LoggedClassification(kns.Classification):
    """Logs every batch that the teacher annotates."""

    def annotate(self, outputs):
        """As that of the class above, with an op that logs."""
        tf.numpy_function(LoggedTrainer.log.add_annotated, [tf.shape(outputs)[0]], Tout=[])
        return super().annotate(outputs)


class LoggedTrainer(kns.NoisyStudentTrainer):
    """Logs the begin of every phase. Its shards are small: a pool of 1,350 fills six."""

    log = None
    rows_per_shard = 256
    inference_batch_size = 64


def logged(phase):
    """The method of the trainer, which logs first."""
    method = getattr(kns.NoisyStudentTrainer, phase)

    def log_and_call(self, *arguments, **keywords):
        (settings,) = (argument for argument in arguments if isinstance(argument, kns.RoundSettings))
        self.log.begin(phase, settings.index)
        return method(self, *arguments, **keywords)

    return log_and_call


for phase in ("make_student", "annotate", "select", "join", "train", "promote", "record"):
    setattr(LoggedTrainer, phase, logged(phase))


def load_split():
    """The digits as uint8 images `(8, 8, 1)`, split at random: labelled, unlabelled, validation."""
    images, labels = load_digits(return_X_y=True)
    images = np.round(images * (255 / 16)).astype("uint8").reshape(-1, 8, 8, 1)
    validation, rest = np.split(np.random.default_rng(0).permutation(len(images)), [NUM_TEST])
    labeled = np.concatenate([rest[labels[rest] == digit][:LABELS_PER_CLASS] for digit in range(10)])
    unlabeled = np.setdiff1d(rest, labeled)
    return (images[labeled], labels[labeled]), images[unlabeled], (images[validation], labels[validation])


def build_network(round_index):
    """One residual block, and a head with dropout."""
    channels = STUDENT_CHANNELS if round_index else TEACHER_CHANNELS
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(channels, 3, 2, padding="same", use_bias=False)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    branch = keras.layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
    branch = keras.layers.BatchNormalization(momentum=0.9)(branch)
    x = keras.layers.Add()([x, kns.StochasticDepth(survival_probability=0.8)(branch)])
    x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(keras.layers.ReLU()(x)))
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))


def make_trainer(directory):
    trainer = LoggedTrainer(
        student=build_network,
        task=LoggedClassification(num_classes=10),
        noise=kns.Noise(augmentation=kns.Cutout(3), dropout_rate=0.3, survival_probability=0.8),
        pseudo_labeling=kns.PseudoLabeling(confidence_threshold=0.3, examples_per_class="auto"),
        unlabeled_ratio=UNLABELED_RATIO,
        directory=directory,
    )
    trainer.compile(keras.optimizers.AdamW(4e-3, use_ema=True, ema_momentum=0.9), metrics=["accuracy"])
    return trainer


def make_callbacks(round_index):
    return [
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=100),
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.7, patience=1, min_delta=0.3),
        LogSteps(LoggedTrainer.log, round_index),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--events", required=True)
    parser.add_argument("--result", required=True)
    arguments = parser.parse_args()

    LoggedTrainer.log = EventLog(arguments.events)
    labeled, unlabeled, validation = load_split()
    trainer = make_trainer(arguments.directory)
    history = trainer.fit_rounds(
        labeled,
        unlabeled,
        num_rounds=NUM_ROUNDS,
        batch_size=BATCH_SIZE,
        epochs=6,
        steps_per_epoch=16,
        validation_data=validation,
        callbacks=make_callbacks,
        verbose=0,
    )
    weights = b"".join(weight.tobytes() for weight in trainer.model.get_weights())
    records = [{**dataclasses.asdict(record), "seconds": None} for record in history]
    with open(arguments.result, "w") as file:
        json.dump({"weights": hashlib.sha256(weights).hexdigest(), "history": records}, file)
    trainer.log.add("end")


if __name__ == "__main__":
    main()
