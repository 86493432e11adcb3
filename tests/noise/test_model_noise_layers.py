"""Which layers `set_model_noise` takes for dropout and for stochastic depth."""

import keras
import numpy as np
import pytest
from keras.src.applications.convnext import StochasticDepth as ConvNeXtStochasticDepth

from keras_noisy_student.noise.model_noise import set_model_noise
from keras_noisy_student.noise.stochastic_depth import StochasticDepth


def _changes(layer_noises):
    return [(noise.layer_name, noise.kind, round(noise.new_drop_rate, 6)) for noise in layer_noises]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (keras.layers.Dropout(0.1, name="x"), (4,)),
        (keras.layers.Dropout(0.1, noise_shape=(None, 1, 8), name="x"), (4, 8)),
        (keras.layers.Dropout(0.1, noise_shape=(None,), name="x"), ()),
        (keras.layers.SpatialDropout1D(0.1, name="x"), (4, 8)),
        (keras.layers.SpatialDropout2D(0.1, name="x"), (4, 4, 8)),
        (keras.layers.AlphaDropout(0.1, name="x"), (4,)),
    ],
)
def test_every_kind_of_dropout_is_set(layer, shape):
    model = keras.Sequential([keras.Input(shape), layer])
    assert _changes(set_model_noise(model, dropout_rate=0.4)) == [("x", "dropout", 0.4)]
    assert layer.rate == 0.4


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (keras.layers.Dropout(0.1, noise_shape=(None, 1), name="x"), (4,)),
        (keras.layers.Dropout(0.1, noise_shape=(None, 1, 1, 1, 1), name="x"), (2, 4, 4, 3)),
        (ConvNeXtStochasticDepth(0.1, name="x"), (4, 4, 3)),
        (StochasticDepth(1.0, name="x"), (4,)),
    ],
)
def test_every_kind_of_stochastic_depth_is_set_and_drops_whole_examples(layer, shape):
    model = keras.Sequential([keras.Input(shape), layer])
    assert _changes(set_model_noise(model, survival_probability=0.6)) == [("x", "stochastic depth", 0.4)]
    _check_drops_whole_examples(model, shape, survival_probability=0.6)


def _check_drops_whole_examples(model, shape, survival_probability):
    outputs = np.asarray(model(np.ones((4000, *shape), "float32"), training=True)).reshape(4000, -1)
    assert (outputs == outputs[:, :1]).all()
    survives = outputs[:, 0] > 0
    assert abs(survives.mean() - survival_probability) < 0.04
    np.testing.assert_allclose(outputs[survives], 1 / survival_probability, rtol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.GaussianDropout(0.1),
        keras.layers.GaussianNoise(0.1),
        keras.layers.LSTM(4, dropout=0.1, return_sequences=True),
    ],
)
def test_what_is_not_a_dropout_layer_is_left(layer):
    model = keras.Sequential([keras.Input((3, 4)), layer, keras.layers.Dropout(0.1, name="x")])
    assert [noise.layer_name for noise in set_model_noise(model, dropout_rate=0.4)] == ["x"]


@pytest.mark.parametrize("attention_dropout", [0.0, 0.1])
def test_the_dropout_inside_an_attention_layer_is_left(attention_dropout):
    inputs = keras.Input((3, 4))
    attention = keras.layers.MultiHeadAttention(2, 2, dropout=attention_dropout)
    model = keras.Model(inputs, keras.layers.Dropout(0.1, name="x")(attention(inputs, inputs)))
    assert [noise.layer_name for noise in set_model_noise(model, dropout_rate=0.4)] == ["x"]
    assert attention.dropout == attention_dropout


# Written as in keras-cv 0.9, whose layers are recognised by their names and attributes.
class _KerasCvStochasticDepth(keras.layers.Layer):
    def __init__(self, rate=0.5, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.survival_probability = 1.0 - self.rate

    def call(self, x, training=None):
        shortcut, residual = x
        survives = keras.random.uniform(()) < self.survival_probability
        return shortcut + keras.ops.cast(survives, residual.dtype) * residual


class _KerasCvDropPath(keras.layers.Layer):
    def __init__(self, rate=0.5, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def call(self, x, training=None):
        return keras.random.dropout(x, self.rate, noise_shape=(None, 1)) if training else x


_KerasCvStochasticDepth.__name__ = "StochasticDepth"
_KerasCvDropPath.__name__ = "DropPath"


def test_layers_named_as_in_keras_cv_are_recognised_without_it():
    inputs = keras.Input((4,))
    drop_path, stochastic_depth = _KerasCvDropPath(name="first"), _KerasCvStochasticDepth(name="second")
    model = keras.Model(inputs, stochastic_depth([inputs, drop_path(inputs)]))

    assert _changes(set_model_noise(model, survival_probability=0.6)) == [
        ("first", "stochastic depth", 0.2),
        ("second", "stochastic depth", 0.4),
    ]

    assert drop_path.rate == pytest.approx(0.2)
    assert (stochastic_depth.rate, stochastic_depth.survival_probability) == pytest.approx((0.4, 0.6))


@pytest.fixture
def keras_cv_layers():
    return pytest.importorskip("keras_cv").layers


def test_drop_path_of_keras_cv_drops_at_the_new_rate(keras_cv_layers):
    model = keras.Sequential([keras.Input((4,)), keras_cv_layers.DropPath(0.1, name="x")])
    assert _changes(set_model_noise(model, survival_probability=0.6)) == [("x", "stochastic depth", 0.4)]
    _check_drops_whole_examples(model, (4,), survival_probability=0.6)


def test_stochastic_depth_of_keras_cv_drops_at_the_new_rate(keras_cv_layers):
    inputs = keras.Input((4,))
    layer = keras_cv_layers.StochasticDepth(0.1, name="x")
    model = keras.Model(inputs, layer([inputs, keras.layers.Identity()(inputs)]))

    assert _changes(set_model_noise(model, survival_probability=0.6)) == [("x", "stochastic depth", 0.4)]

    # It drops the branch of the whole batch, and scales it in inference instead of training.
    survivals = [float(model(np.ones((1, 4)), training=True)[0, 0]) - 1 for _ in range(400)]
    assert set(survivals) == {0.0, 1.0}
    assert abs(np.mean(survivals) - 0.6) < 0.1
    np.testing.assert_allclose(model(np.ones((1, 4)), training=False), 1.6, rtol=1e-6)
