import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.noise import seeds
from tests.layer_contract import check_layer

# Keras itself, when it saves a model, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

KEYS = seeds.fold(3, tf.range(12))


def _clips(num_clips=12, num_frames=9, dtype="uint8"):
    return np.random.default_rng(0).integers(0, 256, (num_clips, num_frames, 4, 3, 1)).astype(dtype)


def _starts(crop, num_clips, num_frames):
    """The first frame that each clip keeps: the frames hold their own numbers."""
    clips = np.tile(np.arange(num_frames)[None, :, None, None, None], (num_clips, 1, 1, 1, 1))
    windows = crop(clips, noise_seed=seeds.fold(5, tf.range(num_clips))).numpy()[..., 0, 0, 0]
    np.testing.assert_array_equal(windows - windows[:, :1], np.tile(np.arange(crop.num_frames), (num_clips, 1)))
    return windows[:, 0]


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_keeps_consecutive_frames_as_they_are(dtype):
    clips = _clips(dtype=dtype)
    windows = kns.TemporalCrop(4)(clips, noise_seed=KEYS)
    assert windows.dtype == dtype
    for clip, window in zip(clips, windows.numpy(), strict=True):
        assert any(np.array_equal(window, clip[start : start + 4]) for start in range(6))


def test_every_start_is_equally_likely():
    counts = np.bincount(_starts(kns.TemporalCrop(4), 6000, num_frames=9), minlength=6)
    assert len(counts) == 6
    np.testing.assert_allclose(counts, 1000, atol=4 * np.sqrt(1000 * 5 / 6))


def test_the_start_tells_nothing_of_the_op_that_the_same_key_draws():
    starts = _starts(kns.TemporalCrop(1), 4000, num_frames=16)
    first_draws = seeds.uniform(seeds.fold(5, tf.range(4000)), 1)[:, 0]
    assert abs(np.corrcoef(starts, first_draws)[0, 1]) < 4 / np.sqrt(4000)


@pytest.mark.parametrize(("num_frames", "start"), [(9, 0), (8, 0), (7, 1), (4, 2), (1, 4)])
def test_without_training_the_frames_in_the_middle_are_kept(num_frames, start):
    clips = _clips(num_clips=2)
    windows = kns.TemporalCrop(num_frames)(clips, training=False)
    np.testing.assert_array_equal(windows, clips[:, start : start + num_frames])
    np.testing.assert_array_equal(kns.TemporalCrop(num_frames)(clips[0], training=False), windows[0])


def test_a_clip_is_cropped_by_its_own_key_whatever_the_batch():
    crop, clips = kns.TemporalCrop(4), _clips()
    windows = crop(clips, noise_seed=KEYS)
    np.testing.assert_array_equal(crop(clips[7:9], noise_seed=KEYS[7:9]), windows[7:9])
    np.testing.assert_array_equal(crop(clips[7], noise_seed=KEYS[7]), windows[7])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_graph_and_xla_keep_the_frames_of_eager_mode(jit_compile):
    crop, clips = kns.TemporalCrop(4), _clips()
    compiled = tf.function(lambda clips, keys: crop(clips, noise_seed=keys), jit_compile=jit_compile)
    np.testing.assert_array_equal(compiled(clips, KEYS), crop(clips, noise_seed=KEYS))


def test_without_keys_training_follows_the_seed_and_the_count_of_calls():
    clips, first, second = _clips(), kns.TemporalCrop(4, seed=1), kns.TemporalCrop(4, seed=1)
    windows = first(clips, training=True)
    np.testing.assert_array_equal(second(clips, training=True), windows)
    assert np.any(second(clips, training=True) != windows)


def test_without_keys_or_training_a_network_does_what_it_does_in_evaluation():
    dropout = keras.layers.Dropout(0.9)
    network = keras.Sequential([keras.Input((None, 4, 3, 1)), kns.TemporalCrop(4), dropout])
    np.testing.assert_array_equal(network(_clips()), network(_clips(), training=False))


def test_fulfils_the_contract_of_layers(tmp_path):
    check_layer(kns.TemporalCrop, {"num_frames": 4, "seed": 1}, _clips(), tmp_path)


def test_a_network_takes_clips_of_any_length():
    network = keras.Sequential([keras.Input((None, 4, 3, 1), dtype="uint8"), kns.TemporalCrop(4)])
    assert network.output_shape == (None, 4, 4, 3, 1)
    assert network.predict(_clips(num_frames=11), verbose=0).shape == (12, 4, 4, 3, 1)


@pytest.mark.parametrize("num_frames", [0, 2.5, True, None])
def test_num_frames_must_be_a_positive_integer(num_frames):
    message = rf"`num_frames` must be an integer, 1 or more\. Received: num_frames={num_frames}\."
    with pytest.raises(ValueError, match=message):
        kns.TemporalCrop(num_frames)


@pytest.mark.parametrize("call_arguments", [{"noise_seed": KEYS}, {"training": False}])
def test_clips_that_are_too_short_are_refused(call_arguments):
    message = r"`clips` must have 10 frames or more.*Received: clips of shape \(12, 9, 4, 3, 1\).*a smaller"
    with pytest.raises(ValueError, match=message):
        kns.TemporalCrop(10)(_clips(), **call_arguments)


def test_clips_that_are_too_short_are_refused_in_a_symbolic_call():
    with pytest.raises(ValueError, match=r"10 frames or more.*Received: clips of shape \(None, 9, 4, 3, 1\)"):
        kns.TemporalCrop(10)(keras.Input((9, 4, 3, 1)))


def test_clips_that_turn_out_too_short_are_refused_when_the_graph_runs():
    crop = tf.function(kns.TemporalCrop(10), [tf.TensorSpec([None, None, 4, 3, 1], tf.uint8)])
    with pytest.raises(tf.errors.InvalidArgumentError, match="`clips` must have 10 frames or more"):
        crop(_clips())


@pytest.mark.parametrize("shape", [(4, 3, 1), (2, 3, 9, 4, 3, 1)])
def test_clips_of_another_rank_are_refused(shape):
    with pytest.raises(ValueError, match=r"`clips` must have shape `\(batch, time, .*Received: clips of shape"):
        kns.TemporalCrop(1)(tf.zeros(shape))


def test_keys_that_are_not_one_per_clip_are_refused():
    with pytest.raises(ValueError, match=r"`noise_seed` must hold one int64 key per example"):
        kns.TemporalCrop(4)(_clips(), noise_seed=KEYS[:5])
