"""RMSprop with weight decay in the gradient, against its formula and against a regularised loss."""

import keras
import numpy as np
import pytest

from keras_noisy_student.optimizers import fresh_optimizer
from keras_noisy_student.recipes.paper_optimizer import BATCH_NORMALIZATION, paper_optimizer
from keras_noisy_student.recipes.rmsprop_with_l2 import RMSpropWithL2
from tests.toy_data import features

SETTINGS = {"learning_rate": 0.05, "momentum": 0.9, "rho": 0.8, "epsilon": 1e-3}


def test_is_the_formula():
    optimizer, variable = RMSpropWithL2(l2=0.3, **SETTINGS), keras.Variable([1.0, -2.0, 0.5])
    expected, mean_square, momentum = np.array([1.0, -2.0, 0.5]), 0, 0
    for gradient in np.random.default_rng(0).normal(size=(6, 3)):
        optimizer.apply([keras.ops.convert_to_tensor(gradient, "float32")], [variable])
        decayed = gradient + 0.3 * expected
        mean_square = 0.8 * mean_square + 0.2 * decayed**2
        momentum = 0.9 * momentum + 0.05 * decayed / np.sqrt(mean_square + 1e-3)
        expected = expected - momentum
        np.testing.assert_allclose(variable, expected, rtol=1e-5)


def _trained_kernel(optimizer, *, regularizer=None):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(2, kernel_initializer=keras.initializers.RandomNormal(seed=0)),
        ]
    )
    model.layers[-1].kernel.regularizer = regularizer
    model.compile(optimizer, "mse")
    model.fit(features(12), features(12, seed=1)[:, :2], batch_size=4, shuffle=False, verbose=0)
    return model.layers[-1].kernel.numpy()


def test_is_the_same_as_a_penalty_in_the_loss():
    optimizer = RMSpropWithL2(l2=0.3, **SETTINGS)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    in_loss = _trained_kernel(keras.optimizers.RMSprop(**SETTINGS), regularizer=keras.regularizers.L2(0.3 / 2))
    np.testing.assert_allclose(_trained_kernel(optimizer), in_loss, rtol=1e-5)
    assert not np.allclose(_trained_kernel(keras.optimizers.RMSprop(**SETTINGS)), in_loss, rtol=1e-2)


@pytest.mark.parametrize("is_scaled", [False, True])
def test_batch_normalization_is_not_decayed_in_a_copy_either(is_scaled):
    optimizer = paper_optimizer(0.1, l2=0.5)
    if is_scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1.0)
    inputs = keras.Input((4,))
    model = keras.Model(
        inputs, keras.layers.BatchNormalization(name="norm")(keras.layers.Dense(3, name="dense")(inputs))
    )
    for variable in model.trainable_weights:
        variable.assign(np.ones(variable.shape))
    model.compile(fresh_optimizer(optimizer), loss=lambda y, outputs: 0.0 * outputs)
    model.train_on_batch(features(2), np.ones((2, 3)))
    decayed = {variable.path for variable in model.trainable_weights if (variable.numpy() < 1).all()}
    assert decayed == {"dense/kernel", "dense/bias"}


def test_excludes_what_keras_calls_the_variables_of_batch_normalization():
    layer = keras.layers.BatchNormalization()
    layer.build((None, 2))
    assert [variable.name for variable in layer.trainable_weights] == BATCH_NORMALIZATION


def test_no_l2_is_the_rmsprop_of_keras():
    of_keras = _trained_kernel(keras.optimizers.RMSprop(**SETTINGS))
    np.testing.assert_array_equal(_trained_kernel(RMSpropWithL2(**SETTINGS)), of_keras)


def test_is_saved_and_loaded():
    optimizer = RMSpropWithL2(l2=1e-5, use_ema=True, **SETTINGS)
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert type(restored) is RMSpropWithL2
    assert restored.get_config() == optimizer.get_config()


def test_refuses_a_negative_l2():
    with pytest.raises(ValueError, match=r"`l2` must be in \[0, inf\)\. Received: l2=-1\."):
        RMSpropWithL2(l2=-1)
