import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.evaluation.image_batches import batches, checked_images, checked_labels
from keras_noisy_student.evaluation.predictions import error_rate, predicted_classes
from tests.evaluation.toy_images import grey, level_over_100

LEVELS = [0, 200, 99, 101, 255]
CLASSES = [0, 1, 0, 1, 1]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
@pytest.mark.parametrize("as_dataset", [False, True])
def test_the_largest_output_decides_in_batches_of_any_size(batch_size, as_dataset):
    images = tf.data.Dataset.from_tensor_slices(grey(LEVELS)) if as_dataset else grey(LEVELS)
    assert predicted_classes(level_over_100, images, batch_size=batch_size).tolist() == CLASSES


def test_batches_have_the_size_asked_for_and_the_dtype_given():
    seen = []

    def model(batch):
        seen.append((batch.dtype.name, len(batch)))
        return level_over_100(batch)

    predicted_classes(model, grey(LEVELS), batch_size=2)
    assert seen == [("uint8", 2), ("uint8", 2), ("uint8", 1)]


def test_a_keras_model_runs_in_inference_mode():
    model = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dropout(0.9),
            keras.layers.Dense(2),
        ]
    )
    model.layers[-1].set_weights([np.float32([[0, 1], [0, 1], [0, 1]]), np.float32([300, 0])])
    images = grey(LEVELS * 10)
    classes = predicted_classes(model, images, batch_size=8)
    assert classes.tolist() == CLASSES * 10


def test_the_error_rate_is_the_share_of_wrong_answers():
    assert error_rate(level_over_100, grey(LEVELS), [0, 1, 1, 1, 0], batch_size=2) == pytest.approx(2 / 5)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (np.zeros((2, 3, 2)), r"must return \(batch, num_classes\).* Received: shape \(2, 3, 2\) for 2 images"),
        (np.zeros((3, 2)), r"Received: shape \(3, 2\) for 2 images"),
        (np.full((2, 2), np.nan), r"must return numbers, of which the largest decides\. Received: NaN"),
    ],
)
def test_outputs_of_another_kind_are_refused(outputs, message):
    with pytest.raises(ValueError, match=message):
        predicted_classes(lambda batch: outputs, grey([1, 2]), batch_size=2)


def test_labels_must_be_one_per_image():
    with pytest.raises(ValueError, match=r"`labels` must be one per image\. Received: 1 labels for 2 images"):
        error_rate(level_over_100, grey([1, 2]), [0], batch_size=2)


@pytest.mark.parametrize(
    ("labels", "received"),
    [([[0, 1]], "shape (1, 2), dtype int64"), ([0.5], "shape (1,), dtype float64"), ("a", "shape (), dtype <U1")],
)
def test_labels_of_another_kind_are_refused(labels, received):
    message = f"`labels` must be integer class ids of shape (images,). Received: {received}"
    with pytest.raises(ValueError, match=re.escape(message)):
        checked_labels(labels)


@pytest.mark.parametrize(
    ("images", "received"),
    [
        (np.zeros((4, 4, 3), "uint8"), "shape (4, 4, 3)"),
        ({"x": np.zeros((2, 4, 4, 3), "uint8")}, "a dict"),
        (tf.data.Dataset.from_tensor_slices((grey([1]), [0])), "a data set of (TensorSpec"),
        (tf.data.Dataset.from_tensor_slices(grey([1])).batch(1), "a data set of TensorSpec(shape=(None, 4, 4, 3)"),
    ],
)
def test_images_of_another_kind_are_refused(images, received):
    with pytest.raises(ValueError, match=r"`images` must be an array .* Received: " + re.escape(received)):
        checked_images(images)


@pytest.mark.parametrize("batch_size", [0, 1.5, True, "8"])
def test_a_batch_size_that_is_no_positive_integer_is_refused(batch_size):
    with pytest.raises(ValueError, match=r"`batch_size` must be a positive integer\. Received: batch_size="):
        next(batches(grey([1]), batch_size=batch_size))
