import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.noise.stochastic_depth import StochasticDepth
from tests.layer_contract import check_layer

# Keras itself, when it saves a model, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def _drop_branches_slowly(branch, survives, survival_probability):
    outputs = np.zeros_like(branch)
    for example in range(len(branch)):
        if survives[example]:
            outputs[example] = branch[example] / np.float32(survival_probability)
    return outputs


@pytest.mark.parametrize("survival_probability", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("shape", [(6,), (6, 3), (6, 2, 5), (6, 4, 4, 3), (6, 2, 3, 3, 2)])
def test_equals_a_slow_statement_for_its_own_draws(shape, survival_probability):
    branch = np.random.default_rng(0).normal(size=shape).astype("float32")
    layer = StochasticDepth(survival_probability, seed=3)
    survives = keras.random.uniform((6,), seed=keras.random.SeedGenerator(3)) < survival_probability

    outputs = layer(branch, training=True)

    np.testing.assert_allclose(outputs, _drop_branches_slowly(branch, survives, survival_probability), rtol=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("survival_probability", [0.2, 0.8, 0.985])
def test_survival_and_expectation_are_right_under_every_precision(policy, survival_probability):
    num_examples = 200_000
    layer = StochasticDepth(survival_probability, seed=0, dtype=policy)

    outputs = np.asarray(layer(np.ones((num_examples, 1), "float32"), training=True)).astype("float64")

    standard_error = np.sqrt(survival_probability * (1 - survival_probability) / num_examples)
    assert abs(np.mean(outputs > 0) - survival_probability) < 4 * standard_error
    np.testing.assert_allclose(outputs[outputs > 0], 1 / survival_probability, rtol=0.005)


@pytest.mark.parametrize("training", [False, None])
def test_inference_is_the_identity(training):
    branch = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    np.testing.assert_array_equal(StochasticDepth(0.3)(branch, training=training), branch)


def test_survival_probability_of_one_is_the_identity_and_can_be_lowered_later():
    branch = np.ones((64, 3), "float32")
    layer = StochasticDepth(1.0, seed=0)
    np.testing.assert_array_equal(layer(branch, training=True), branch)

    layer.survival_probability = 0.5

    assert 0 < np.count_nonzero(np.asarray(layer(branch, training=True))[:, 0]) < 64


def test_drops_per_example_and_whole():
    outputs = np.asarray(StochasticDepth(0.5, seed=1)(np.ones((64, 4, 5), "float32"), training=True))
    values_per_example = [set(np.unique(example)) for example in outputs]
    assert {0.0} in values_per_example
    assert {2.0} in values_per_example
    assert all(len(values) == 1 for values in values_per_example)


def test_a_dropped_branch_passes_neither_its_values_nor_its_gradients():
    layer = StochasticDepth(0.5, seed=1)
    branch = tf.ones((32, 2))
    with tf.GradientTape() as tape:
        tape.watch(branch)
        outputs = layer(branch, training=True)
    np.testing.assert_array_equal(tape.gradient(outputs, branch), outputs)

    infinite = StochasticDepth(0.5, seed=1)(np.full((32, 2), np.inf, "float32"), training=True)
    assert not np.isnan(infinite).any()


def test_draws_anew_at_every_call_and_repeats_for_the_same_seed():
    branch = np.ones((64, 1), "float32")
    first, second = StochasticDepth(0.5, seed=1), StochasticDepth(0.5, seed=1)
    outputs = [np.asarray(first(branch, training=True)) for _ in range(2)]
    assert (outputs[0] != outputs[1]).any()
    np.testing.assert_array_equal(second(branch, training=True), outputs[0])


def test_drops_whole_examples_under_xla():
    branch = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    outputs = tf.function(StochasticDepth(0.5, seed=1), jit_compile=True)(branch, training=True).numpy()
    survives = outputs[:, 0] != 0
    assert 0 < survives.sum() < 64
    np.testing.assert_allclose(outputs, _drop_branches_slowly(branch, survives, 0.5), rtol=1e-6)


def test_trains_under_xla_with_an_unknown_batch_size():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Add()([inputs, StochasticDepth(0.5)(keras.layers.Dense(4)(inputs))]))
    model.compile("sgd", "mse", jit_compile=True)
    loss = model.fit(np.ones((8, 4)), np.zeros((8, 4)), batch_size=4, verbose=0).history["loss"]
    assert np.isfinite(loss).all()


@pytest.mark.parametrize("shape", [(8, 6), (8, 4, 4, 3)])
def test_is_a_good_keras_layer(shape, tmp_path):
    inputs = np.random.default_rng(0).normal(size=shape).astype("float32")
    check_layer(StochasticDepth, {"survival_probability": 0.7, "seed": 5}, inputs, tmp_path)


def test_passes_a_mask_on():
    layer = StochasticDepth(0.5)
    assert layer.supports_masking
    assert layer.compute_mask(np.ones((1, 2, 3)), [[True, False]]) == [[True, False]]


@pytest.mark.parametrize("survival_probability", [0, -0.1, 1.2, float("nan")])
def test_refuses_a_survival_probability_out_of_range(survival_probability):
    message = rf"`survival_probability` must be in \(0, 1\]\. Received: survival_probability={survival_probability}\."
    with pytest.raises(ValueError, match=message):
        StochasticDepth(survival_probability)
