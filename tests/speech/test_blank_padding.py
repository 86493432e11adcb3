"""`BlankPadding`: padding changes nothing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.speech import BlankPadding
from keras_noisy_student.speech.ctc_loss import ctc_loss
from keras_noisy_student.speech.decoding import beam_hypotheses, greedy_hypotheses

LENGTHS = [5, 3]
LOGITS = np.random.default_rng(0).normal(size=(2, 7, 4)).astype("float32")
TOKENS = tf.constant([[0, 1], [2, -1]])


def test_the_loss_is_that_of_the_valid_frames():
    padded = BlankPadding()(LOGITS, tf.constant(LENGTHS))
    expected = tf.nn.ctc_loss(
        tf.maximum(TOKENS, 0),
        LOGITS,
        label_length=[2, 1],
        logit_length=LENGTHS,
        logits_time_major=False,
        blank_index=-1,
    )
    np.testing.assert_allclose(ctc_loss(TOKENS, padded), expected, rtol=1e-6)


@pytest.mark.parametrize("decode", [greedy_hypotheses, lambda logits: beam_hypotheses(logits, beam_width=50)])
def test_hypotheses_are_those_of_the_valid_frames(decode):
    padded = decode(BlankPadding()(LOGITS, tf.constant(LENGTHS)))
    for row, length in enumerate(LENGTHS):
        alone = decode(LOGITS[row : row + 1, :length])
        np.testing.assert_array_equal(padded.tokens[row, :length], alone.tokens[0])
        np.testing.assert_allclose(padded.log_score[row], alone.log_score[0], rtol=1e-5)


def test_no_gradient_comes_from_padding():
    logits = tf.constant(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = ctc_loss(TOKENS, BlankPadding()(logits, tf.constant(LENGTHS)))
    gradient = tape.gradient(loss, logits).numpy()
    assert np.isfinite(gradient).all()
    for row, length in enumerate(LENGTHS):
        assert np.abs(gradient[row, :length]).min() > 0
        assert not gradient[row, length:].any()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_it_is_a_layer_of_a_model_that_can_be_saved(tmp_path, policy):
    keras.config.set_dtype_policy(policy)
    try:
        inputs = {
            "features": keras.Input((7, 4), name="features"),
            "length": keras.Input((), dtype="int32", name="length"),
        }
        outputs = BlankPadding()(keras.layers.Dense(4)(inputs["features"]), inputs["length"])
    finally:
        keras.config.set_dtype_policy("float32")
    model = keras.Model(inputs, outputs)
    examples = {"features": LOGITS, "length": np.array(LENGTHS)}
    expected = model.predict(examples, verbose=0)
    assert expected.dtype == np.float32
    np.testing.assert_array_equal(expected[1, 3:], [[-1e9, -1e9, -1e9, 0]] * 4)
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(restored.predict(examples, verbose=0), expected)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"shape `\(batch,\)`\. Received: frames of shape \(2, 7, 4\) and length"):
        BlankPadding()(LOGITS, tf.constant([[1], [2]]))
