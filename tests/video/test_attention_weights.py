import re

import keras
import numpy as np
import pytest

import keras_noisy_student as kns
from keras_noisy_student.video.attention_weights import attention_weights


def _clips(num_clips=2, num_frames=10):
    return np.random.default_rng(0).integers(0, 256, (num_clips, num_frames, 4, 4, 3)).astype("uint8")


def _network(*before):
    layers = [*before, kns.video.PerFrame(keras.layers.Flatten()), kns.video.TemporalAttentionPooling(2)]
    network = keras.Sequential([keras.Input((None, 4, 4, 3)), *layers, keras.layers.Dense(3)])
    network.layers[-2].context.assign([0.5, -1.0])
    return network


def _expected(network, clips):
    features = clips.reshape(*clips.shape[:2], -1).astype("float32")
    return network.layers[-2](features, return_attention_scores=True)[1]


def test_weights_are_those_of_the_sampled_frames_however_many_clips():
    network, clips = _network(kns.SegmentSampling(4)), _clips(num_clips=37)
    weights, frames = attention_weights(network, clips)
    assert (weights.dtype, weights.shape) == ("float32", (37, 4))
    np.testing.assert_array_equal(frames, [1, 3, 6, 8])
    np.testing.assert_allclose(weights, _expected(network, clips[:, frames]), rtol=1e-5)


@pytest.mark.parametrize(
    ("before", "expected_frames"), [([], range(10)), ([kns.TemporalCrop(6), kns.SegmentSampling(2)], [3, 6])]
)
def test_frames_are_those_that_all_samplings_leave(before, expected_frames):
    network = _network(*before)
    weights, frames = attention_weights(network, _clips())
    np.testing.assert_array_equal(frames, expected_frames)
    np.testing.assert_allclose(weights, _expected(network, _clips()[:, frames]), rtol=1e-5)


def test_masked_frames_have_no_weight():
    clips = keras.Input((None, 1, 2, 3))
    features = keras.layers.Masking()(kns.video.PerFrame(keras.layers.Flatten())(clips))
    pooled = kns.video.TemporalAttentionPooling(2)(features)
    x = np.ones((3, 5, 1, 2, 3), "float32")
    x[0, 3:] = 0
    x[2] = 0
    weights, _ = attention_weights(keras.Model(clips, pooled), x)
    np.testing.assert_allclose(weights, [[1 / 3] * 3 + [0] * 2, [0.2] * 5, [0] * 5], rtol=1e-5)


def test_the_network_is_left_as_it_was():
    network = _network(kns.SegmentSampling(4))
    before = network.get_config()
    first, _ = attention_weights(network, _clips())
    np.testing.assert_array_equal(attention_weights(network, _clips())[0], first)
    assert network.get_config() == before


def test_what_is_no_model_is_refused():
    with pytest.raises(ValueError, match=r"`network` must be a keras\.Model\. Received: network=3\."):
        attention_weights(3, _clips())


@pytest.mark.parametrize("shape", [(10, 4, 4, 3), (0, 10, 4, 4, 3)])
def test_other_clips_are_refused(shape):
    received = re.escape(f"Received: clips of shape {shape}. Pass `clip[None]` for one clip.")
    message = rf"`clips` must have shape `\(clips, time, height, width, channels\)`, of one clip or more\. {received}"
    with pytest.raises(ValueError, match=message):
        attention_weights(_network(), np.zeros(shape, "uint8"))


@pytest.mark.parametrize("num_poolings", [0, 2])
def test_not_exactly_one_pooling_is_refused(num_poolings):
    clips = keras.Input((None, 8))
    poolings = [kns.video.TemporalAttentionPooling(2)(clips) for _ in range(num_poolings)]
    network = keras.Model(clips, poolings or clips, name="other")
    message = rf"must hold exactly one `TemporalAttentionPooling`\. Received: 'other', which holds {num_poolings}\."
    with pytest.raises(ValueError, match=message):
        attention_weights(network, _clips())


def test_a_pooling_in_a_nested_model_is_refused_and_the_nested_model_taken():
    nested = _network()
    outer = keras.Sequential([keras.Input((None, 4, 4, 3)), nested], name="outer")
    with pytest.raises(
        ValueError, match=r"itself\. Received: 'outer', another part of which holds it\. Pass that part"
    ):
        attention_weights(outer, _clips())
    assert attention_weights(nested, _clips())[0].shape == (2, 10)


def test_attention_over_other_steps_than_frames_is_refused():
    network = _network(keras.layers.Lambda(lambda clips: clips[:, ::2], output_shape=(None, 4, 4, 3)))
    with pytest.raises(ValueError, match=r"must weigh the frames .* Received: '.*', which weighs 5 steps of 10 frames"):
        attention_weights(network, _clips())
