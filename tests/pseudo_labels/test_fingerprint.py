import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.pseudo_labels.fingerprint import fingerprint
from tests.toy_data import features


def _images(num_examples):
    return np.random.default_rng(0).integers(0, 256, (num_examples, 4, 5, 3)).astype("uint8")


@pytest.mark.parametrize("x", [features(6), _images(6), np.arange(6), features(6).astype("float16")])
def test_is_that_of_the_bytes_of_each_example(x):
    digests = fingerprint(x)
    expected = [tf.fingerprint(tf.constant([list(example.tobytes())], tf.uint8)) for example in x]
    assert digests.dtype == tf.int64
    assert digests.shape == (6,)
    np.testing.assert_array_equal(digests, [int(tf.bitcast(digest, tf.int64)[0]) for digest in expected])


def test_stays_the_same_in_every_version():
    """A store that was written by one version is read by another."""
    assert fingerprint(np.arange(6, dtype="uint8").reshape(2, 3)).numpy().tolist() == [
        -7736835464683084646,
        -8197936352743455356,
    ]


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_does_not_depend_on_the_batch(batch_size):
    x = features(5)
    parts = [fingerprint(x[start : start + batch_size]) for start in range(0, 5, batch_size)]
    np.testing.assert_array_equal(np.concatenate(parts), fingerprint(x))


def test_changes_with_every_value_and_with_their_order():
    image = _images(1)
    changed = [image[:, ::-1], image[:, :, ::-1], image[..., ::-1]]
    for index in np.ndindex(image.shape):
        changed.append(image.copy())
        changed[-1][index] ^= 1
    digests = [int(fingerprint(x)[0]) for x in [image, *changed]]
    assert len(set(digests)) == len(digests)


def test_that_of_a_dict_covers_every_tensor():
    x = {"clip": _images(4), "sound": features(4)}
    digests = fingerprint(x)
    assert digests.shape == (4,)
    np.testing.assert_array_equal(fingerprint(dict(reversed(x.items()))), digests)
    for name in x:
        changed = {**x, name: np.roll(x[name], 1, axis=0)}
        assert (fingerprint(changed).numpy() != digests.numpy()).all()


def test_that_of_a_dict_changes_when_two_tensors_are_swapped():
    x = {"left": features(4, seed=0), "right": features(4, seed=1)}
    swapped = {"left": x["right"], "right": x["left"]}
    assert (fingerprint(swapped).numpy() != fingerprint(x).numpy()).all()


def test_works_in_a_graph_with_an_unknown_batch_size():
    in_graph = tf.function(fingerprint, input_signature=[tf.TensorSpec((None, 4, 5, 3), tf.uint8)])
    np.testing.assert_array_equal(in_graph(_images(3)), fingerprint(_images(3)))
