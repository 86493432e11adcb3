import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.noise import seeds

_KEYS = np.array([0, 1, 2, -1, 2**62, -(2**63), 123456789], np.int64)
_MASK = 2**64 - 1


def _split_mix_64(state, num):
    """The reference generator of Steele, Lea and Flood 2014, in Python's integers."""
    outputs = []
    for _ in range(num):
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        outputs.append(_mix(state))
    return outputs


def _mix(state):
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return state ^ (state >> 31)


def test_the_reference_is_split_mix_64():
    assert _split_mix_64(1234567, 2) == [6457827717110365317, 3203168211198807973]


def test_uniform_equals_the_reference():
    expected = [[(bits >> 40) * 2.0**-24 for bits in _split_mix_64(int(key) & _MASK, 5)] for key in _KEYS]
    np.testing.assert_array_equal(seeds.uniform(tf.constant(_KEYS), 5), np.float32(expected))


def test_uniform_is_uniform_and_uncorrelated_even_for_consecutive_keys():
    num_keys = 100_000
    draws = seeds.uniform(tf.range(num_keys, dtype=tf.int64), 4).numpy()

    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.stack([np.histogram(column, 50, (0, 1))[0] for column in draws.T])
    expected = num_keys / 50
    chi_squared = ((counts - expected) ** 2 / expected).sum(1)
    assert (chi_squared < 49 + 5 * np.sqrt(2 * 49)).all()
    correlations = np.corrcoef(np.concatenate([draws[:-1].T, draws[1:].T])) - np.eye(8)
    assert np.abs(correlations).max() < 5 / np.sqrt(num_keys)


def test_fold_equals_the_reference():
    for key in _KEYS:
        for data in (0, 1, -5, 2**40):
            mixed = _mix(((int(key) & _MASK) + 0x9E3779B97F4A7C15) & _MASK)
            expected = _mix(mixed ^ _mix(data & _MASK))
            assert int(seeds.fold(int(key), data)) & _MASK == expected


def test_fold_broadcasts_and_separates_its_arguments():
    folded = seeds.fold(tf.range(100, dtype=tf.int64)[:, None], tf.range(100)[None, :]).numpy()
    assert folded.shape == (100, 100)
    assert len(np.unique(folded)) == 100 * 100


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_compiled_draws_are_the_eager_draws(jit_compile):
    def draw(keys):
        return seeds.uniform(seeds.fold(keys, tf.range(len(_KEYS))), 7)

    compiled = tf.function(draw, jit_compile=jit_compile)
    np.testing.assert_array_equal(compiled(tf.constant(_KEYS)), draw(tf.constant(_KEYS)))


def test_static_shapes_are_kept_and_a_second_graph_traces_nothing_anew():
    def shape_of_draws(num_keys):
        shapes = []

        def draw(keys):
            draws = seeds.uniform(seeds.fold(keys, 5), 3)
            shapes.append(tuple(draws.shape))
            return draws

        tf.function(draw).get_concrete_function(tf.TensorSpec([num_keys], tf.int64))
        return shapes[0]

    assert shape_of_draws(None) == (None, 3)
    traced = seeds._folded.experimental_get_tracing_count()
    assert shape_of_draws(4) == (4, 3)
    assert seeds._folded.experimental_get_tracing_count() == traced


def test_stream_keys_are_int64_and_tell_names_numbers_and_their_order_apart():
    parts = [(0,), (1,), ("0",), (0, 1), (1, 0), ("a", "b"), ("ab",), ()]
    keys = {seeds.stream_key(*part) for part in parts}
    assert len(keys) == len(parts)
    assert all(-(2**63) <= key < 2**63 for key in keys)


def test_stream_keys_do_not_change_from_run_to_run():
    assert seeds.stream_key(0, "labeled", 1) == seeds.stream_key(0, "labeled", 1) == -870124757798457273


def test_seeded_initialization_makes_keras_layers_reproducible():
    def build():
        with seeds.seeded_initialization(5):
            layer = keras.layers.Dense(4)
            layer.build((None, 3))
            return layer.kernel.numpy(), int(keras.layers.Dropout(0.5).seed_generator.state[0])

    (first_kernel, first_seed), (second_kernel, second_seed) = build(), build()

    np.testing.assert_array_equal(first_kernel, second_kernel)
    assert first_seed == second_seed


def test_seeded_initialization_leaves_the_random_state_as_it_was():
    random.seed(1)
    expected = [random.random() for _ in range(2)]
    random.seed(1)
    drawn = [random.random()]

    with pytest.raises(RuntimeError), seeds.seeded_initialization(5):
        random.random()
        raise RuntimeError

    assert [*drawn, random.random()] == expected
