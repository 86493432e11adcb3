import copy
import functools

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.image_noise import ImageNoise
from keras_noisy_student.noise.rand_augment import RandAugment


class Shift(ImageNoise):
    """Adds its two draws, and puts a border of one pixel around the image."""

    num_draws = 2

    def for_size(self, height, width):
        def shifted(image, draws):
            levels = tf.cast(image, tf.float32) + 100 * draws[0] + 50 * draws[1]
            return tf.pad(tf.cast(levels, tf.uint8), [[1, 1], [1, 1], [0, 0]])

        return shifted

    def compute_output_shape(self, images_shape):
        *batch, height, width, num_channels = images_shape
        return (*batch, *(None if size is None else size + 2 for size in (height, width)), num_channels)


def _images(num, height=5, width=7):
    return np.random.default_rng(0).integers(0, 100, (num, height, width, 3)).astype(np.uint8)


def _shift_slowly(image, key):
    first, second = seeds.uniform(tf.constant([key], tf.int64), 2)[0].numpy()
    levels = image.astype(np.float32) + np.float32(100) * first + np.float32(50) * second
    return np.pad(levels.astype(np.uint8), [(1, 1), (1, 1), (0, 0)])


@pytest.mark.parametrize("num", [0, 1, 7, 40])
@pytest.mark.parametrize("jit_compile", [True, False])
def test_every_image_is_noised_by_its_own_draws(num, jit_compile):
    images, keys = _images(num), np.arange(num)
    noised = Shift(jit_compile=jit_compile)(images, noise_seed=keys)
    assert noised.shape == (num, 7, 9, 3)
    for image, key, actual in zip(images, keys, noised, strict=True):
        np.testing.assert_array_equal(actual, _shift_slowly(image, key))


@pytest.mark.parametrize("num", [1, 40])
@pytest.mark.parametrize("outer_jit_compile", [True, False])
@pytest.mark.parametrize("batch_size", [None, "static"])
def test_graphs_of_any_kind_give_the_same_pixels(num, outer_jit_compile, batch_size):
    images, keys = _images(num), tf.range(num, dtype=tf.int64)
    layer = RandAugment()
    size = None if batch_size is None else num
    signature = [tf.TensorSpec([size, 5, 7, 3], tf.uint8), tf.TensorSpec([size], tf.int64)]
    call = tf.function(lambda images, keys: layer(images, noise_seed=keys), signature, jit_compile=outer_jit_compile)
    np.testing.assert_array_equal(call(images, keys), _rand_augmented(num))


@functools.cache
def _rand_augmented(num):
    return RandAugment(jit_compile=False)(_images(num), noise_seed=tf.range(num, dtype=tf.int64)).numpy()


def _batches(num, *, drop_remainder):
    keys = tf.range(num, dtype=tf.int64)
    return tf.data.Dataset.from_tensor_slices((_images(num), keys)).batch(num, drop_remainder=drop_remainder)


def test_it_is_traced_once_for_all_graphs_of_a_shape():
    class Counted(Shift):
        num_traces = 0

        def for_size(self, height, width):
            self.num_traces += 1
            return super().for_size(height, width)

    layer = Counted()
    for drop_remainder, num_traces in [(False, 1), (True, 2), (False, 2), (True, 2)]:
        batches = _batches(4, drop_remainder=drop_remainder)
        (noised,) = batches.map(lambda images, keys: layer(images, noise_seed=keys))
        np.testing.assert_array_equal(noised[3], _shift_slowly(_images(4)[3], 3))
        assert layer.num_traces == num_traces


def test_a_known_batch_size_is_known_behind_it_whatever_was_traced_before():
    layer = Shift()
    for drop_remainder in (False, True):
        batches = _batches(4, drop_remainder=drop_remainder).map(lambda images, keys: layer(images, noise_seed=keys))
        assert batches.element_spec.shape == (4 if drop_remainder else None, 7, 9, 3)


def test_a_partial_last_batch_gets_the_pixels_of_any_other():
    images, keys = _images(10), np.arange(10)
    dataset = tf.data.Dataset.from_tensor_slices((images, keys)).batch(4)
    layer = RandAugment()
    noised = list(
        dataset.map(lambda images, keys: layer(images, noise_seed=keys), num_parallel_calls=2).as_numpy_iterator()
    )
    assert [len(batch) for batch in noised] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(noised), layer(images, noise_seed=keys))


def test_without_training_the_images_are_returned():
    images = _images(3)
    np.testing.assert_array_equal(RandAugment()(images, training=False), images)


def test_can_be_copied():
    images, keys = _images(3), np.arange(3)
    layer = RandAugment(seed=3)
    expected = layer(images, noise_seed=keys)
    np.testing.assert_array_equal(copy.deepcopy(layer)(images, noise_seed=keys), expected)


def test_a_subclass_must_say_what_it_does():
    class Nothing(ImageNoise):
        num_draws = 1

    class Undrawn(ImageNoise):
        def for_size(self, height, width):
            return lambda image, draws: image

    with pytest.raises(NotImplementedError, match=r"Nothing must define `for_size\(height, width\)`."):
        Nothing()(_images(1))
    with pytest.raises(NotImplementedError, match=r"Undrawn must define `num_draws`."):
        Undrawn()(_images(1))


def test_refuses_images_that_are_no_tensor():
    with pytest.raises(ValueError, match=r"`images` must be one tensor. Received: a dict. To noise one entry"):
        RandAugment()({"image": _images(1)})


def test_refuses_a_jit_compile_that_is_no_boolean():
    with pytest.raises(ValueError, match=r"`jit_compile` must be True or False. Received: jit_compile='auto'."):
        RandAugment(jit_compile="auto")
