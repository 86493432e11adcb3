"""Noisy Student Training on CIFAR-10 with a few labels for each class; all other training images are unlabelled.

    pip install -e ".[examples]" && python examples/cifar10.py --data-dir DATA --directory RUN

Trains a teacher on 1,000 labelled images, then two students with noise, each of which begins as its teacher, and
prints their accuracy on the 10,000 test images, beside that of the same network trained with the same noise for as many
steps in all on the labelled images alone. TensorFlow Datasets downloads CIFAR-10 (162 MB) to DATA the first time.

    --labels N         labelled images (default 1000)
    --data-dir DATA    where TensorFlow Datasets keeps its data
    --directory RUN    where the runs are kept; start again with the same one to go on after a stop
    --json PATH        write the test accuracies here
    --quick            few steps, to see that it runs

The network sees half the resolution, so that two CPU cores train it. `benchmarks/cifar10.py` has the same settings,
others for a GPU, and compares several seeds and what each part of the method adds.
"""

import argparse
import dataclasses
import json
import os

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

import keras_noisy_student as kns

NUM_CLASSES = 10
NUM_ROUNDS = 2
BATCH_SIZE = 16
UNLABELED_RATIO = 3
LEARNING_RATES = 0.06, 0.015
"""The highest, of the teacher and of the students."""
PSEUDO_LABELING = kns.PseudoLabeling(
    temperature=0.3,
    confidence_threshold=0.3,
    examples_per_class="auto",
    averaging=kns.TeacherAveraging(views=[tf.identity, tf.image.flip_left_right]),
)


@dataclasses.dataclass(frozen=True)
class Budget:
    """How long teacher and students are trained."""

    teacher_steps: int
    student_steps: int


FULL = Budget(teacher_steps=4800, student_steps=1900)
QUICK = Budget(teacher_steps=300, student_steps=10)


def load(num_labeled, data_dir):
    """Labelled, unlabelled and test images, uint8 `(32, 32, 3)`: as many labelled ones of each class."""
    train, test = tfds.load("cifar10", split=["train", "test"], data_dir=data_dir, as_supervised=True)
    images, labels = as_arrays(train)
    order = np.random.default_rng(0).permutation(len(images))
    of_class = [order[labels[order] == class_id] for class_id in range(NUM_CLASSES)]
    labeled = np.concatenate([places[: num_labeled // NUM_CLASSES] for places in of_class])
    return (images[labeled], labels[labeled]), np.delete(images, labeled, axis=0), as_arrays(test)


def as_arrays(rows):
    """All images and labels of a data set."""
    images, labels = zip(*tfds.as_numpy(rows), strict=True)
    return np.stack(images), np.stack(labels)


def make_network():
    """A wide residual network of 173,000 parameters."""
    return kns.students.wide_resnet(10, 1.5, num_classes=NUM_CLASSES, first_stride=2, batch_norm_momentum=0.9)


def make_noise():
    """Flips, shifts, RandAugment and dropout. Stochastic depth is off: the network has three blocks."""
    augmentation = kns.Compose([kns.RandomFlip(), kns.PadCrop(4), kns.RandAugment(2, magnitude=4)])
    return kns.Noise(augmentation, dropout_rate=0.2, survival_probability=1.0)


def make_optimizer(num_steps, learning_rate):
    """SGD with Nesterov momentum: 5% of the steps to warm up, then a cosine to 0."""
    warm_up = max(1, num_steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, num_steps - warm_up, warmup_target=learning_rate, warmup_steps=warm_up
    )
    return keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True, weight_decay=0.04)


def run(data, steps, directory):
    """The test accuracy of the first teacher and of every student, trained for so many steps. None is chosen by it."""
    labeled, unlabeled, test = data
    trainer = kns.NoisyStudentTrainer(
        student=kns.students.FromTeacher(make_network()),
        task=kns.Classification(NUM_CLASSES),
        noise=make_noise(),
        pseudo_labeling=PSEUDO_LABELING,
        unlabeled_ratio=UNLABELED_RATIO,
        directory=directory,
    )
    trainer.compile(
        lambda round_index: make_optimizer(steps[round_index], LEARNING_RATES[min(round_index, 1)]),
        metrics=["accuracy"],
    )
    history = trainer.fit_rounds(
        labeled,
        unlabeled,
        num_rounds=len(steps) - 1,
        # As large as a joint batch, so that a step costs the same in every round.
        batch_size=lambda round_index: BATCH_SIZE if round_index else BATCH_SIZE * (1 + UNLABELED_RATIO),
        steps_per_epoch=lambda round_index: steps[round_index],
        validation_data=test,
        verbose=2,
    )
    return [record.metrics["val_accuracy"] for record in history]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=1000, metavar="N")
    parser.add_argument("--data-dir", metavar="DATA")
    parser.add_argument("--directory", metavar="RUN", default="runs/cifar10")
    parser.add_argument("--json", metavar="PATH")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args(arguments)

    budget = QUICK if arguments.quick else FULL
    data = load(arguments.labels, arguments.data_dir)
    steps = [budget.teacher_steps, *[budget.student_steps] * NUM_ROUNDS]
    (supervised,) = run(data, [sum(steps)], os.path.join(arguments.directory, "supervised"))
    teacher, *students = run(data, steps, os.path.join(arguments.directory, "noisy_student"))
    percent = ", ".join(f"{100 * accuracy:.1f}" for accuracy in students)
    print(f"test accuracy in %: teacher {100 * teacher:.1f}, students {percent}; supervised {100 * supervised:.1f}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"teacher": teacher, "students": students, "supervised": supervised}, file, indent=1)


if __name__ == "__main__":
    main()
