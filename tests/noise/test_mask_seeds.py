import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.noise.mask_seeds import assign_mask_seeds, seed_variables
from keras_noisy_student.noise.stochastic_depth import StochasticDepth

KEY = -5_000_000_000_000_000_017


def _network():
    inputs = keras.Input((16,))
    features = keras.layers.BatchNormalization()(inputs)
    block = keras.Sequential([keras.layers.Dense(16), StochasticDepth(0.5), keras.layers.Dropout(0.5)])
    features = keras.layers.Add()([features, block(features)])
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GaussianNoise(0.1)(features)))


def _states(variables):
    return np.stack([variable.numpy() for variable in variables])


def _assigned_states(num_variables=3, **arguments):
    variables = [keras.random.SeedGenerator(0).state for _ in range(num_variables)]
    assign_mask_seeds(variables, **arguments)
    return _states(variables)


def test_finds_every_seed_generator_once_and_nothing_else():
    network = _network()
    network.compile("adam", "mse", metrics=["mae"])
    network.fit(np.ones((4, 16)), np.ones((4, 2)), verbose=0)
    layers = [network.layers[2].layers[1], network.layers[2].layers[2], network.layers[4]]

    variables = seed_variables(network)

    assert {id(variable) for variable in variables} == {id(layer.seed_generator.state) for layer in layers}
    assert len(variables) == 3
    assert [variable.shape for variable in variables] == [(2,)] * 3


def test_finds_a_shared_generator_once():
    dropout = keras.layers.Dropout(0.5)
    inner = keras.Sequential([keras.Input((4,)), dropout])
    inputs = keras.Input((4,))
    assert len(seed_variables(keras.Model(inputs, dropout(inner(inner(inputs)))))) == 1


def test_leaves_weights_and_other_state_whatever_their_name():
    dense = keras.layers.Dense(2)
    dense.state = keras.Variable([0, 0], trainable=False, name="seed_generator_state")
    assert seed_variables(keras.Sequential([keras.Input((4,)), dense])) == []


def test_a_model_without_random_layers_has_none():
    variables = seed_variables(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    assert variables == []
    assign_mask_seeds(variables, key=1, step=1)


def test_the_order_is_that_of_the_structure():
    first, second = _network(), _network()
    for network in (first, second):
        assign_mask_seeds(seed_variables(network), key=KEY, step=3)
    second.set_weights(first.get_weights())
    inputs = np.random.default_rng(0).normal(size=(8, 16)).astype("float32")
    np.testing.assert_array_equal(first(inputs, training=True), second(inputs, training=True))


def test_states_are_a_pure_function_of_key_step_and_place():
    np.testing.assert_array_equal(_assigned_states(key=KEY, step=7), _assigned_states(key=KEY, step=7))
    np.testing.assert_array_equal(_assigned_states(5, key=KEY, step=7)[:3], _assigned_states(3, key=KEY, step=7))


def test_states_differ_in_both_words_for_another_key_step_or_place():
    states = [_assigned_states(key=key, step=step) for key in (0, 1, KEY) for step in range(50)]
    words = np.concatenate(states)
    assert len(words) == 3 * 50 * 3
    assert len(np.unique(words, axis=0)) == len(words)
    assert len(np.unique(words[:, 0])) == len(np.unique(words[:, 1])) == len(words)


def test_words_fit_the_uint32_of_other_backends():
    words = _assigned_states(200, key=KEY, step=0)
    assert words.min() >= 0
    assert 2**31 < words.max() < 2**32


@pytest.mark.parametrize("step", [7, np.int64(7), tf.constant(7), tf.Variable(7, dtype=tf.int64), keras.Variable(7)])
def test_takes_the_step_as_a_number_a_tensor_or_a_variable(step):
    np.testing.assert_array_equal(_assigned_states(key=KEY, step=step), _assigned_states(key=KEY, step=7))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_graph_and_xla_assign_the_states_of_eager_mode(jit_compile):
    variables = [keras.random.SeedGenerator(0).state for _ in range(3)]

    @tf.function(jit_compile=jit_compile)
    def assign(key, step):
        assign_mask_seeds(variables, key=key, step=step)

    assign(tf.constant(KEY, tf.int64), tf.constant(7))

    np.testing.assert_array_equal(_states(variables), _assigned_states(key=KEY, step=7))


class Student(keras.Model):
    def __init__(self, network):
        super().__init__()
        self.network = network
        self.mask_seeds = seed_variables(network)

    def call(self, inputs, training=False):
        return self.network(inputs, training=training)

    def train_step(self, data):
        assign_mask_seeds(self.mask_seeds, key=KEY, step=self.optimizer.iterations)
        return super().train_step(data)


def _compiled_student(weights, **compile_arguments):
    student = Student(_network())
    student.network.set_weights(weights)
    student.compile(keras.optimizers.SGD(0.1), "mse", **compile_arguments)
    return student


def _train(student, num_steps):
    random = np.random.default_rng(1)
    x, y = random.normal(size=(8, 16)).astype("float32"), random.normal(size=(8, 2)).astype("float32")
    student.fit(np.tile(x, (num_steps, 1)), np.tile(y, (num_steps, 1)), batch_size=8, shuffle=False, verbose=0)


@pytest.mark.parametrize("compile_arguments", [{"jit_compile": False}, {"jit_compile": True}, {"run_eagerly": True}])
def test_training_interrupted_and_resumed_equals_training_in_one_go(compile_arguments):
    initial_weights = _network().get_weights()
    whole = _compiled_student(initial_weights, **compile_arguments)
    _train(whole, num_steps=6)

    interrupted = _compiled_student(initial_weights, **compile_arguments)
    _train(interrupted, num_steps=2)
    resumed = _compiled_student(interrupted.network.get_weights(), **compile_arguments)
    resumed.optimizer.iterations.assign(interrupted.optimizer.iterations)
    _train(resumed, num_steps=4)

    for expected, weight in zip(whole.network.get_weights(), resumed.network.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_masks_change_from_step_to_step():
    network = keras.Sequential([keras.Input((64,)), keras.layers.Dropout(0.5)])
    masks = []
    for step in (0, 1, 0):
        assign_mask_seeds(seed_variables(network), key=KEY, step=step)
        masks.append(np.asarray(network(np.ones((1, 64)), training=True)))
    assert (masks[0] != masks[1]).any()
    np.testing.assert_array_equal(masks[0], masks[2])
