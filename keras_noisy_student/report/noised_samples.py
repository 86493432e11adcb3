"""What the noise of a round makes of some examples. Nothing of the run's random state is read or changed."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.noise import Noise


def noised_samples(noise: Noise, x: Any, *, key: int, num_draws: int) -> list[list[Any]]:
    """Draws the input noise several times for each example.

    Args:
        noise: of the round.
        x: clean examples, tensors `(batch, ...)`.
        key: of the draws, where the noise takes keys. Keras layers draw as their seed generators stand.
        num_draws: for each example.

    Returns:
        For each example a list of the noised ones, NumPy arrays of its structure.
    """

    def augment(x: Any, keys: tf.Tensor) -> Any:
        # A seed generator that moved on would give the next round other noise than that of a run without a report.
        with keras.StatelessScope():
            return noise.augment(x, keys)

    num_examples = len(tf.nest.flatten(x)[0])
    repeated = tf.nest.map_structure(lambda part: tf.repeat(part, num_draws, axis=0), x)
    keys = seeds.fold(key, tf.range(num_examples * num_draws, dtype=tf.int64))
    # In a graph of its own: outside of one, TensorFlow's own random ops count on in the state of the program.
    (noised,) = tf.data.Dataset.from_tensors((repeated, keys)).map(augment)
    return [
        [tf.nest.map_structure(lambda part, place=place: np.asarray(part[place]), noised) for place in places]
        for places in np.arange(num_examples * num_draws).reshape(num_examples, num_draws)
    ]
