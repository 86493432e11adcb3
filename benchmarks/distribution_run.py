"""One run of `distribution.py`: `python distribution_run.py single|changed|mirrored|workers DIRECTORY [--quick]`."""

import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.workers import worker_of

NUM_CLASSES = 4
TASK = kns.Classification(num_classes=NUM_CLASSES)
NUM_LABELED, NUM_UNLABELED, NUM_VALIDATION = 64, 512, 101


def strategy_of(name: str) -> tf.distribute.Strategy:
    """The strategy; to be called before anything else of TensorFlow."""
    if name == "workers":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "mirrored":
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    return tf.distribute.get_strategy()


def images_and_labels() -> tuple[np.ndarray, np.ndarray]:
    """Stripes of a direction for each class, in noise."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, NUM_CLASSES, NUM_LABELED + NUM_UNLABELED + NUM_VALIDATION)
    rows, columns = np.mgrid[0:16, 0:16]
    angles = labels[:, None, None] * np.pi / NUM_CLASSES
    stripes = np.sin(np.cos(angles) * rows + np.sin(angles) * columns + rng.uniform(0, 6, (len(labels), 1, 1)))
    values = 128 + 50 * stripes + rng.normal(0, 30, stripes.shape)
    return np.repeat(values.clip(0, 255).astype("uint8")[..., None], 3, axis=-1), labels


def network(*, change: float) -> keras.Model:
    layers = [
        keras.Input((16, 16, 3)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(16, 3, use_bias=False),
        keras.layers.BatchNormalization(momentum=0.9, synchronized=True),
        keras.layers.Activation("gelu"),
        keras.layers.Conv2D(24, 3, strides=2, activation="gelu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(NUM_CLASSES, activation="softmax"),
    ]
    model = keras.Sequential(layers)
    for weight in model.trainable_weights:
        weight.assign(weight + change)
    return model


def train_steps(strategy: tf.distribute.Strategy, noise: kns.Noise, *, change: float, num_steps: int) -> keras.Model:
    """A student trained on joint batches with pseudo-labels at random."""
    images, labels = images_and_labels()
    pseudo_labels = np.random.default_rng(1).dirichlet(np.ones(NUM_CLASSES), NUM_UNLABELED).astype("float32")
    labeled = images[:NUM_LABELED], labels[:NUM_LABELED]
    pseudo_labeled = images[NUM_LABELED : NUM_LABELED + NUM_UNLABELED], pseudo_labels
    with strategy.scope():
        keras.utils.set_random_seed(0)
        student = kns.NoisyStudent(network(change=change), task=TASK, noise=noise)
        student.compile(optimizer())
    batches = kns.joint_dataset(labeled, pseudo_labeled, batch_size=16, unlabeled_ratio=3)
    student.fit(batches, steps_per_epoch=num_steps, verbose=0)
    return student.network


def train_rounds(
    strategy: tf.distribute.Strategy, noise: kns.Noise, directory: str, *, change: float, num_rounds: int
) -> keras.Model:
    """The last student of a run."""
    images, labels = images_and_labels()
    pool_end = NUM_LABELED + NUM_UNLABELED
    trainer = kns.NoisyStudentTrainer(
        lambda round_index: network(change=change),
        TASK,
        noise=noise,
        pseudo_labeling=kns.PseudoLabeling(examples_per_class="auto"),
        unlabeled_ratio=3,
        strategy=strategy,
        directory=directory,
    )
    trainer.compile(optimizer())
    trainer.fit_rounds(
        (images[:NUM_LABELED], labels[:NUM_LABELED]),
        images[NUM_LABELED:pool_end],
        num_rounds=num_rounds,
        batch_size=16,
        epochs=5,
        steps_per_epoch=8,
        validation_data=(images[pool_end:], labels[pool_end:]),
        verbose=0,
    )
    return trainer.model


def optimizer() -> keras.optimizers.Optimizer:
    return keras.optimizers.RMSprop(5e-3, rho=0.9, momentum=0.9, epsilon=1e-3, use_ema=True, ema_momentum=0.9)


def main(name: str, directory: str, *options: str) -> None:
    strategy, is_quick = strategy_of(name), "--quick" in options
    change = 1e-7 if name == "changed" else 0.0
    noise = kns.Noise(augmentation=kns.RandAugment(num_ops=1, magnitude=2))
    models = {
        "steps": train_steps(strategy, noise, change=change, num_steps=2 if is_quick else 20),
        "rounds": train_rounds(strategy, noise, f"{directory}/{name}", change=change, num_rounds=1 if is_quick else 2),
    }
    weights = {
        f"{what} {place}": weight.numpy()
        for what, model in models.items()
        for place, weight in enumerate(model.weights)
    }
    np.savez(pathlib.Path(directory) / f"{name}-{worker_of(strategy).index}.npz", **weights)


if __name__ == "__main__":
    main(*sys.argv[1:])
