"""CPU time of RandAugment in a tf.data pipeline: this library's, Keras' and keras-cv's.

    pip install -e ".[examples,keras-cv]" && python benchmarks/rand_augment.py --json out.json

All of them run in one process, in turns, on the same photographs: uint8 source, batches of 128, 2 ops, magnitude 9 (0.9
for Keras and keras-cv, which count from 0 to 1; keras-cv applies each op with its default rate of 10/11). A figure is
the slope between a short and a long run, the median of several; tracing and compiling come before.

Takes 4.5 minutes on two CPU cores with 3 repeats. There, with TensorFlow 2.21 and Keras 3.15, four runs (some of them
beside other work) gave: vs_keras_32 68 to 91, vs_keras_cv_32 32, vs_keras_224 73 to 113, vs_keras_cv_224 13 to 20 and
floor_ratio_224 1.5 to 2.6. Called in a loop without tf.data, ours takes 215 microseconds at 224 pixels and 10 at 32.

    --json PATH    write the figures
    --repeats N    of every slope (default 5)

Figures, in microseconds of CPU time an image:

- `source`: batches of images that are in memory, which every other figure includes.
- `one pass`: the least that any op can do, each level read and written once (`255 - images`).
- `decode`: the same photographs from JPEG, as what a user pays anyway.
- `vs_*`: theirs / ours. `floor_ratio_224`: ours net of the source / one pass net of the source.
"""

import argparse
import json
import statistics
import time

import keras
import keras_cv
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_sample_images

import keras_noisy_student as kns

BATCH_SIZE = 128
SIZES = (32, 224)
# Batches of a long run; a short one is a quarter. Keras takes 30 ms an image of 224 pixels.
NUM_BATCHES = {32: 128, 224: 24}
NUM_BATCHES_OF_KERAS = {32: 16, 224: 4}


def photographs(size):
    """128 crops of scikit-learn's two photographs, uint8 `(128, size, size, 3)`."""
    generator = np.random.default_rng(0)
    crops = []
    for index in range(BATCH_SIZE):
        photograph = load_sample_images().images[index % 2]
        top, left = generator.integers(0, 427 - 300), generator.integers(0, 640 - 300)
        crops.append(tf.image.resize(photograph[top : top + 300, left : left + 300], (size, size)))
    return np.round(np.clip(crops, 0, 255)).astype("uint8")


def pipelines(images):
    """By name: an endless data set of batches."""
    jpegs = [tf.io.encode_jpeg(image, quality=90).numpy() for image in images]
    ours = kns.RandAugment(num_ops=2, magnitude=9)
    of_keras = keras.layers.RandAugment(num_ops=2, factor=0.9)
    of_keras_cv = keras_cv.layers.RandAugment(value_range=(0, 255), augmentations_per_image=2, magnitude=0.9)
    source = tf.data.Dataset.from_tensor_slices(images).repeat()
    batches = source.batch(BATCH_SIZE, drop_remainder=True)
    decoded = tf.data.Dataset.from_tensor_slices(jpegs).repeat().map(lambda jpeg: tf.io.decode_jpeg(jpeg, channels=3))
    return {
        "source": batches,
        "one pass": batches.map(tf.function(lambda images: 255 - images, jit_compile=True)),
        "decode": decoded.batch(BATCH_SIZE, drop_remainder=True),
        "ours": batches.map(ours),
        "keras": batches.map(lambda images: of_keras(images, training=True)),
        "keras_cv": batches.map(lambda images: of_keras_cv(images, training=True)),
    }


def cpu_seconds(iterator, num_batches):
    """CPU time of this process to draw so many batches."""
    start = time.process_time()
    for _ in range(num_batches):
        next(iterator)
    return time.process_time() - start


def microseconds_per_image(iterator, num_batches):
    """The slope between a run of a quarter of `num_batches` and one of all."""
    few = num_batches // 4
    seconds = cpu_seconds(iterator, num_batches) - cpu_seconds(iterator, few)
    return seconds / ((num_batches - few) * BATCH_SIZE) * 1e6


def measure(size, repeats):
    """Median figures by name of pipeline, all of them in turns."""
    iterators = {name: iter(dataset) for name, dataset in pipelines(photographs(size)).items()}
    for iterator in iterators.values():
        next(iterator)
    slopes = {name: [] for name in iterators}
    for _ in range(repeats):
        for name, iterator in iterators.items():
            num_batches = (NUM_BATCHES_OF_KERAS if name == "keras" else NUM_BATCHES)[size]
            slopes[name].append(microseconds_per_image(iterator, num_batches))
    return {name: statistics.median(of_name) for name, of_name in slopes.items()}


def ratios(figures):
    """What the figures of all sizes say."""
    result = {
        f"vs_{other}_{size}": figures[size][other] / figures[size]["ours"]
        for size in SIZES
        for other in ("keras", "keras_cv")
    }
    largest = figures[224]
    result["floor_ratio_224"] = (largest["ours"] - largest["source"]) / (largest["one pass"] - largest["source"])
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()

    figures = {size: measure(size, arguments.repeats) for size in SIZES}
    print(f"{'CPU us an image':<16}" + "".join(f"{size:>4} x {size:<4}" for size in SIZES))
    for name in figures[SIZES[0]]:
        print(f"{name:<16}" + "".join(f"{figures[size][name]:>9.1f}  " for size in SIZES))
    summary = ratios(figures)
    for name, ratio in summary.items():
        print(f"{name:<16} {ratio:.1f}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({**summary, "microseconds": figures}, file, indent=2)


if __name__ == "__main__":
    main()
