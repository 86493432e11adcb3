import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.noise.float32 import rounded_product

_DEGENERATE, _IMAGE = np.meshgrid(np.arange(256, dtype=np.float32), np.arange(256, dtype=np.float32), indexing="ij")
_FACTORS = [0.1, 0.28, 1.0, 1.36, 1.72, 1.9, 2.566, 4.96, 5.5]


def _blend(factor, degenerate, image):
    return degenerate + rounded_product(factor, image - degenerate)


_COMPILED = tf.function(_blend, jit_compile=True)
_GRAPH = tf.function(_blend)


@pytest.mark.parametrize("blend", [_blend, _GRAPH, _COMPILED], ids=["eager", "graph", "xla"])
def test_a_blend_of_any_two_levels_rounds_the_product_and_the_sum(blend):
    for factor in _FACTORS:
        expected = _DEGENERATE + np.float32(factor) * (_IMAGE - _DEGENERATE)
        np.testing.assert_array_equal(blend(tf.constant(factor, tf.float32), _DEGENERATE, _IMAGE), expected)
