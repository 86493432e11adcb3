"""The paper's ImageNet experiment with this library, and with a public pool of unlabelled images.

    pip install -e ".[examples]" && python examples/imagenet.py --data-dir DATA --directory RUN

Trains an EfficientNet on the 1,281,167 labelled images of ImageNet 2012, has it label the pool, and trains the students
of both, with the paper's settings (`keras_noisy_student.recipes.imagenet`). Prints the top-1 accuracy of each on the
50,000 validation images, which nothing is chosen by.

    --data-dir DATA    where TensorFlow Datasets keeps its data. ImageNet must be downloaded to it by hand:
                       https://www.tensorflow.org/datasets/catalog/imagenet2012
    --directory RUN    where the run is kept; start again with the same one to go on after a stop
    --rounds WHICH     B0 (default) to B7: a teacher and a student of that size. v1 or v4: the rounds of that version
                       of the paper
    --pool NAME        an image data set of TensorFlow Datasets. Default: open_images_v4/300k, 1.7M photographs of all
                       kinds
    --batch-size N     labelled images in a batch (default 2048); the learning rate follows
    --json PATH        write the accuracies here
    --quick            a tiny network for a few steps, on 256 images of each kind in 4 classes, to see that it runs

Needs many accelerators, and was not run in full: none were at hand. B0, the smallest, sees each labelled image 700
times as a teacher and 700 times as a student, and as many unlabelled ones in that time: 2.7e9 images of 224 x 224
pixels, 21 days at 1,500 a second. L2 took the authors 6 days on 2,048 TPU v3 cores (v4; 3.5 in v1). All GPUs of a
machine are used.

What differs from the paper: the pool, which was 300M images of JFT, not public, so that classes are balanced at their
mean size instead of 130,000 images. Images are cut to their central square and stored at the largest size of the run
and 32 pixels more, where the paper crops the original; evaluation and annotation see the whole square, where the paper
sees the middle 7/8 of it. Batch normalization is that of each device. The ratio of B1 to B6 is the released script's.
"""

import argparse
import dataclasses
import json
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
import tensorflow_datasets as tfds

import keras_noisy_student as kns
from keras_noisy_student.students.scaling import SCALINGS

recipe = kns.recipes.imagenet

QUICK_CLASSES = 4


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is trained by round, on what, and for how long."""

    rounds: Sequence[recipe.RoundRecipe]
    network: Callable[[str], keras.Model]
    noise: Callable[[str], kns.Noise]
    fine_tuning: Callable[[str], kns.FineTuning | None]
    optimizer: Callable[[str], keras.optimizers.Optimizer]
    epochs: Callable[[str], int]
    batch_size: int
    image_side: int
    num_classes: int = recipe.NUM_CLASSES
    num_images: str = ""
    steps_per_epoch: int | None = None


def full(which, batch_size):
    rounds = recipe.rounds(which) if which in ("v1", "v4") else recipe.same_size_rounds(which)
    return Experiment(
        rounds,
        network=recipe.student,
        noise=recipe.noise,
        fine_tuning=lambda name: recipe.fine_tuning(name, batch_size=batch_size),
        optimizer=lambda name: recipe.optimizer(batch_size=batch_size, epochs=recipe.epochs(name)),
        epochs=recipe.epochs,
        batch_size=batch_size,
        image_side=32 + max(SCALINGS[planned.student].test_image_size for planned in rounds),
    )


def quick():
    return Experiment(
        recipe.same_size_rounds("B2"),
        network=lambda name: tiny_network(),
        noise=lambda name: recipe.noise(name, image_size=32),
        fine_tuning=lambda name: kns.FineTuning(
            resolution=40, optimizer=keras.optimizers.Adam(1e-3), steps_per_epoch=5
        ),
        optimizer=lambda name: keras.optimizers.Adam(0.02),
        epochs=lambda name: 1,
        batch_size=16,
        image_side=48,
        num_classes=QUICK_CLASSES,
        num_images="[:256]",
        steps_per_epoch=30,
    )


def tiny_network():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(keras.layers.Resizing(32, 32)(inputs))
    x = keras.layers.Conv2D(8, 3, strides=4, activation="relu")(x)
    branch = kns.StochasticDepth()(keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()([x, branch]))
    return keras.Model(inputs, keras.layers.Dense(QUICK_CLASSES, "softmax")(keras.layers.Dropout(0.2)(x)))


def square(image, side):
    """The central square of an image, resized: uint8 `(side, side, 3)`."""
    shortest = tf.reduce_min(tf.shape(image)[:2])
    image = tf.image.resize_with_crop_or_pad(image, shortest, shortest)
    return tf.cast(tf.round(tf.image.resize(image, (side, side), antialias=True)), tf.uint8)


def load_labeled(split, experiment, data_dir):
    """Squares and class ids of ImageNet, in a fixed order. Fewer classes are ranges of the 1000."""
    split = split + experiment.num_images
    examples = tfds.load("imagenet2012", split=split, data_dir=data_dir, shuffle_files=False, as_supervised=True)

    def square_and_class(image, label):
        return square(image, experiment.image_side), label * experiment.num_classes // recipe.NUM_CLASSES

    return examples.map(square_and_class, tf.data.AUTOTUNE)


def pool_of(name, experiment, data_dir):
    """A function that returns the squares of a part of the pool, so that workers and shards read parts of their own."""

    def part_of_pool(num_shards, shard):
        split = tfds.even_splits("train" + experiment.num_images, num_shards)[shard]
        examples = tfds.load(name, split=split, data_dir=data_dir, shuffle_files=False)
        return examples.map(lambda example: square(example["image"], experiment.image_side), tf.data.AUTOTUNE)

    return part_of_pool


def run(experiment, pool, data_dir, directory):
    """The records of all rounds."""
    student_of = [planned.student for planned in experiment.rounds]
    has_many_gpus = len(tf.config.list_physical_devices("GPU")) > 1
    trainer = kns.NoisyStudentTrainer(
        student=lambda round_index: experiment.network(student_of[round_index]),
        task=dataclasses.replace(recipe.task(), num_classes=experiment.num_classes),
        noise=lambda round_index: experiment.noise(student_of[round_index]),
        pseudo_labeling=recipe.pseudo_labeling(examples_per_class="auto"),
        unlabeled_ratio=lambda round_index: experiment.rounds[round_index].unlabeled_ratio,
        fine_tuning=lambda round_index: experiment.fine_tuning(student_of[round_index]),
        strategy=tf.distribute.MirroredStrategy() if has_many_gpus else None,
        directory=directory,
    )
    trainer.compile(
        lambda round_index: experiment.optimizer(student_of[round_index]),
        loss_reduction=recipe.LOSS_REDUCTION,
        metrics=["accuracy"],
    )
    return trainer.fit_rounds(
        load_labeled("train", experiment, data_dir),
        pool_of(pool, experiment, data_dir),
        num_rounds=len(experiment.rounds) - 1,
        batch_size=experiment.batch_size,
        epochs=lambda round_index: experiment.epochs(student_of[round_index]),
        steps_per_epoch=experiment.steps_per_epoch,
        validation_data=load_labeled("validation", experiment, data_dir),
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", metavar="DATA")
    parser.add_argument("--directory", metavar="RUN", default="runs/imagenet")
    parser.add_argument("--rounds", metavar="WHICH", default="B0")
    parser.add_argument("--pool", metavar="NAME", default="open_images_v4/300k")
    parser.add_argument("--batch-size", type=int, default=recipe.BATCH_SIZE, metavar="N")
    parser.add_argument("--json", metavar="PATH")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args(arguments)

    experiment = quick() if arguments.quick else full(arguments.rounds, arguments.batch_size)
    history = run(experiment, arguments.pool, arguments.data_dir, arguments.directory)
    accuracies = [record.metrics["val_accuracy"] for record in history]
    for planned, accuracy in zip(experiment.rounds, accuracies, strict=True):
        print(f"{planned.student}: top-1 accuracy {100 * accuracy:.1f}%")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"accuracies": accuracies}, file, indent=1)


if __name__ == "__main__":
    main()
