"""The authors' SVHN script with this library: house numbers, 69,257 labels, 531,131 unlabelled images.

    pip install -e ".[examples]" && python examples/svhn.py --data-dir DATA --directory RUN

Trains EfficientNet-B0 for 32 x 32 pixels on the labelled images, has it label the extra ones, trains a student of the
same size on both, and prints the accuracy of the two on the 26,032 test images. The authors report 97.9% and 98.6 +-
0.1%. TensorFlow Datasets downloads SVHN (1.5 GB) to DATA the first time.

    --data-dir DATA    where TensorFlow Datasets keeps its data
    --directory RUN    where the run is kept; start again with the same one to go on after a stop
    --json PATH        write the test accuracies here
    --quick            a tiny network for a few steps, to see that it runs

Needs a GPU: teacher and student take 109,000 steps each, of 128 and of 768 images. Not run in full: no GPU was at hand.

The settings are those of the released script (`keras_noisy_student.recipes.svhn`), but for one thing: its teacher is a
checkpoint whose training is not published; here it is trained like the student, without unlabelled images. Labels of
the extra images are never read.
"""

import argparse
import dataclasses
import json
from collections.abc import Callable

import keras
import tensorflow as tf
import tensorflow_datasets as tfds

import keras_noisy_student as kns

recipe = kns.recipes.svhn


@dataclasses.dataclass(frozen=True)
class Budget:
    """What is trained, and for how long."""

    network: Callable[[], keras.Model]
    optimizer: Callable[[], keras.optimizers.Optimizer]
    steps_per_epoch: int
    epochs: int
    batch_size: int = recipe.BATCH_SIZE


def tiny_network():
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, 3, strides=4, activation="relu")(keras.layers.Rescaling(1 / 255)(inputs))
    branch = kns.StochasticDepth()(keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()([x, branch]))
    return keras.Model(inputs, keras.layers.Dense(10, "softmax")(keras.layers.Dropout(0.2)(x)))


STEPS_PER_EPOCH = recipe.NUM_LABELED // recipe.BATCH_SIZE
FULL = Budget(recipe.student, recipe.optimizer, STEPS_PER_EPOCH, epochs=recipe.NUM_STEPS // STEPS_PER_EPOCH)
QUICK = Budget(tiny_network, lambda: keras.optimizers.Adam(0.02), steps_per_epoch=60, epochs=2, batch_size=16)


def load(split, data_dir):
    """The images of a split with their labels, in a fixed order."""
    return tfds.load("svhn_cropped", split=split, data_dir=data_dir, shuffle_files=False, as_supervised=True)


def run(budget, data_dir, directory):
    """The records of the teacher and the student. The test images follow the training; nothing is chosen by them."""
    trainer = kns.NoisyStudentTrainer(
        student=lambda round_index: budget.network(),
        task=recipe.task(),
        noise=recipe.noise(),
        pseudo_labeling=recipe.pseudo_labeling(),
        unlabeled_ratio=recipe.UNLABELED_RATIO,
        directory=directory,
    )
    trainer.compile(lambda round_index: budget.optimizer(), loss_reduction=recipe.LOSS_REDUCTION, metrics=["accuracy"])
    return trainer.fit_rounds(
        load("train[:-4000]", data_dir),
        load("extra", data_dir).map(lambda image, label: image, num_parallel_calls=tf.data.AUTOTUNE),
        num_rounds=1,
        batch_size=budget.batch_size,
        epochs=budget.epochs,
        steps_per_epoch=budget.steps_per_epoch,
        validation_data=load("test", data_dir),
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", metavar="DATA")
    parser.add_argument("--directory", metavar="RUN", default="runs/svhn")
    parser.add_argument("--json", metavar="PATH")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args(arguments)

    history = run(QUICK if arguments.quick else FULL, arguments.data_dir, arguments.directory)
    teacher, student = (record.metrics["val_accuracy"] for record in history)
    print(f"test accuracy in %: teacher {100 * teacher:.1f}, student {100 * student:.1f}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"teacher": teacher, "student": student}, file, indent=1)


if __name__ == "__main__":
    main()
