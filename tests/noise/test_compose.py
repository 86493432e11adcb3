import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.noise import seeds
from tests.layer_contract import check_layer
from tests.noise.noise_contract import images_and_keys


def _small_images(**config):
    return kns.Compose([kns.RandAugment(2, 5), kns.Cutout(2), kns.PadCrop(1), kns.RandomFlip()], **config)


def _large_images(**config):
    return kns.Compose([kns.RandomResizedCrop(8, 10), kns.RandomFlip(), kns.RandAugment(1, 9)], **config)


def _one_after_another(compose, images, keys):
    for index, step in enumerate(compose.steps):
        images = step(images, noise_seed=seeds.fold(keys, index))
    return images


@pytest.mark.parametrize("compose", [_small_images(), _large_images()], ids=["small", "large"])
def test_equals_the_steps_one_after_another(compose):
    images, keys = images_and_keys(40)
    expected = _one_after_another(compose, images, keys)
    np.testing.assert_array_equal(compose(images, noise_seed=keys), expected)
    for signature in [(40, 12, 17, 3), (None, None, None, 3)]:
        specs = [tf.TensorSpec(signature, tf.uint8), tf.TensorSpec(signature[:1], tf.int64)]
        noised = tf.function(lambda images, keys: compose(images, noise_seed=keys), specs)
        np.testing.assert_array_equal(noised(images, keys), expected)


def test_may_be_a_step_itself():
    images, keys = images_and_keys(5)
    compose = kns.Compose([kns.PadCrop(1), kns.Compose([kns.RandomFlip(), kns.Cutout(2)])])
    np.testing.assert_array_equal(compose(images, noise_seed=keys), _one_after_another(compose, images, keys))


def test_sizes_flow_through_the_steps():
    assert _large_images().compute_output_shape((None, None, 99, 3)) == (None, 8, 10, 3)
    assert _small_images().compute_output_shape((4, None, 99, 1)) == (4, None, 99, 1)
    images = images_and_keys(3)[0]
    np.testing.assert_array_equal(_large_images()(images, training=False), kns.RandomResizedCrop(8, 10).clean(images))


def test_keeps_the_contract_of_a_layer(tmp_path):
    images = images_and_keys(4)[0]
    config = {"steps": [kns.PadCrop(1), kns.Cutout(2)], "jit_compile": False, "seed": 3}
    check_layer(kns.Compose, config, images, tmp_path)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_noises_a_training_step(jit_compile):
    images, labels = images_and_keys(8)[0], np.arange(8) % 2
    network = keras.Sequential([keras.Input((12, 17, 3)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
    student = kns.NoisyStudent(
        network, task=kns.Classification(num_classes=2), noise=kns.Noise(augmentation=_small_images())
    )
    student.compile("sgd", jit_compile=jit_compile)
    batches = kns.joint_dataset((images, labels), (images, labels), batch_size=4)
    assert np.isfinite(student.fit(batches, steps_per_epoch=2, verbose=0).history["loss"]).all()


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], r"`steps` must be a list of one or more layers. Received: steps=\[\]."),
        (kns.RandomFlip(), r"`steps` must be a list of one or more layers. Received: steps=<RandomFlip"),
        ([keras.layers.RandomFlip()], r"`steps` must be `ImageNoise` layers, .* Received: <RandomFlip .* Other layers"),
    ],
)
def test_refuses_what_cannot_be_a_step(steps, message):
    with pytest.raises(ValueError, match=message):
        kns.Compose(steps)
