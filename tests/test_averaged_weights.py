"""The EMA rule, followed through a real `fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.averaged_weights import StatisticsAverage

MOMENTUM = 0.5


def make_student(optimizer=None):
    network = keras.Sequential(
        [keras.Input((3,)), keras.layers.BatchNormalization(momentum=0.5), keras.layers.Dense(2, "softmax")]
    )
    student = kns.NoisyStudent(network, task=kns.Classification(num_classes=2))
    student.compile(optimizer or keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=MOMENTUM), metrics=["accuracy"])
    return student


@pytest.fixture(scope="module")
def batches():
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, size=(6, 8, 3)).astype("float32")
    y = (x[..., 0] > 3).astype("int32")
    return tf.data.Dataset.from_tensor_slices(((x, y), (x[:, ::-1], y[:, ::-1])))


class RawWeights(keras.callbacks.Callback):
    """Collects the weights after every step."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(self.model.network.get_weights())


def average_of(steps):
    """The slow reference: starts at the first values, then moves halfway to each next one."""
    averages = steps[0]
    for weights in steps[1:]:
        averages = [
            MOMENTUM * average + (1 - MOMENTUM) * weight for average, weight in zip(averages, weights, strict=True)
        ]
    return averages


def assert_all_close(received, expected):
    for one, other in zip(received, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_training_leaves_the_average_of_weights_and_of_batch_statistics(batches):
    student, raw = make_student(), RawWeights()
    student.fit(batches.repeat(), steps_per_epoch=3, epochs=2, callbacks=[raw], verbose=0)
    assert_all_close(student.network.get_weights(), average_of(raw.steps))


@pytest.mark.parametrize("policy", ["LossScaleOptimizer", "plain"])
def test_validation_within_fit_sees_the_average_and_training_goes_on_from_the_raw_weights(batches, policy):
    inner = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=MOMENTUM)
    student = make_student(keras.optimizers.LossScaleOptimizer(inner) if policy == "LossScaleOptimizer" else inner)
    raw, initial = RawWeights(), student.network.get_weights()
    (x, y), _ = next(iter(batches))
    logs = student.fit(
        batches.repeat(), steps_per_epoch=3, epochs=2, validation_data=(x, y), callbacks=[raw], verbose=0
    ).history

    reference = make_student()
    for epoch, steps in enumerate([raw.steps[:3], raw.steps]):
        reference.network.set_weights(average_of(steps))
        assert logs["val_loss"][epoch] == pytest.approx(reference.evaluate(x, y, verbose=0)[0], rel=1e-4)

    undisturbed = RawWeights()
    again = make_student()
    again.network.set_weights(initial)
    again.fit(batches.repeat(), steps_per_epoch=3, epochs=2, callbacks=[undisturbed], verbose=0)
    assert_all_close(raw.steps[-1], undisturbed.steps[-1])


def test_early_stopping_restores_the_best_average(batches):
    student, raw = make_student(), RawWeights()
    (x, y), _ = next(iter(batches))
    stopping = keras.callbacks.EarlyStopping("val_loss", mode="max", patience=1, restore_best_weights=True)
    epochs = student.fit(
        batches.repeat(),
        steps_per_epoch=3,
        epochs=5,
        validation_data=(x, y),
        callbacks=[raw, stopping],
        verbose=0,
    ).epoch
    assert len(epochs) == stopping.best_epoch + 2
    assert_all_close(student.network.get_weights(), average_of(raw.steps[: 3 * (stopping.best_epoch + 1)]))


def test_stopping_before_the_last_epoch_leaves_the_average(batches):
    class StopAfterTheFirstEpoch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    student, raw = make_student(), RawWeights()
    student.fit(batches.repeat(), steps_per_epoch=3, epochs=5, callbacks=[raw, StopAfterTheFirstEpoch()], verbose=0)
    assert len(raw.steps) == 3
    assert_all_close(student.network.get_weights(), average_of(raw.steps))


def test_keras_own_callback_still_loses_the_average_when_stopped_early(batches):
    """Fails when Keras no longer needs `AveragedWeights` for this."""

    class StopAfterTheFirstEpoch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    class Raw(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.last = self.model.get_weights()

    model, raw = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, "softmax")]), Raw()
    model.compile(keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=MOMENTUM), "sparse_categorical_crossentropy")
    labeled = batches.map(lambda labeled, pseudo_labeled: labeled)
    callbacks = [raw, keras.callbacks.SwapEMAWeights(swap_on_epoch=True), StopAfterTheFirstEpoch()]
    model.fit(labeled, epochs=3, callbacks=callbacks, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], raw.last[0], rtol=1e-5)


def test_without_ema_nothing_is_averaged(batches):
    student, raw = make_student(keras.optimizers.SGD(0.5)), RawWeights()
    student.fit(batches, callbacks=[raw], verbose=0)
    assert_all_close(student.network.get_weights(), raw.steps[-1])


def test_the_average_of_a_constant_is_that_constant():
    frozen = keras.layers.Dense(2)
    network = keras.Sequential([keras.Input((3,)), frozen])
    frozen.trainable = False
    average = StatisticsAverage(network, momentum=0.999)
    for step in range(5):
        average.update(tf.constant(step))
    for variable, averaged in zip(average.variables, average.averages, strict=True):
        np.testing.assert_array_equal(averaged.numpy(), variable.numpy())
