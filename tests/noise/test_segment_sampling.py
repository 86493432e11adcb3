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


def _taken(layer, num_clips, num_frames):
    """The frames that are taken of each clip: they hold their own numbers."""
    clips = np.tile(np.arange(num_frames)[None, :, None, None, None], (num_clips, 1, 1, 1, 1))
    return layer(clips, noise_seed=seeds.fold(5, tf.range(num_clips))).numpy()[..., 0, 0, 0]


def test_every_frame_of_a_segment_is_equally_likely_and_segments_are_drawn_apart():
    num_clips = 6000
    frames = _taken(kns.SegmentSampling(4), num_clips, num_frames=14)
    for column, segment in zip(frames.T, [range(0, 3), range(3, 7), range(7, 10), range(10, 14)], strict=True):
        counts = np.bincount(column, minlength=14)
        assert counts[segment].sum() == num_clips
        np.testing.assert_allclose(counts[segment] / num_clips, 1 / len(segment), atol=4 * np.sqrt(0.25 / num_clips))
    correlations = np.corrcoef(frames.T) - np.eye(4)
    assert np.abs(correlations).max() < 4 / np.sqrt(num_clips)


def test_the_frames_tell_nothing_of_the_op_that_the_same_key_draws():
    frames = _taken(kns.SegmentSampling(1), 4000, num_frames=16)[:, 0]
    first_draws = seeds.uniform(seeds.fold(5, tf.range(4000)), 1)[:, 0]
    windows = _taken(kns.TemporalCrop(1), 4000, num_frames=16)[:, 0]
    for others in (first_draws, windows):
        assert abs(np.corrcoef(frames, others)[0, 1]) < 4 / np.sqrt(4000)


@pytest.mark.parametrize(("num_frames", "frames"), [(9, range(9)), (4, [1, 3, 5, 7]), (2, [2, 6]), (1, [4])])
@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_without_training_the_middle_frame_of_each_segment_is_kept_as_it_is(num_frames, frames, dtype):
    clips, layer = _clips(num_clips=2, dtype=dtype), kns.SegmentSampling(num_frames)
    taken = layer(clips, training=False)
    assert taken.dtype == dtype
    np.testing.assert_array_equal(taken, clips[:, list(frames)])
    np.testing.assert_array_equal(layer(clips[0], training=False), taken[0])


def test_clips_of_that_many_frames_stay_as_they_are_in_training():
    np.testing.assert_array_equal(kns.SegmentSampling(9)(_clips(), noise_seed=KEYS), _clips())


def test_frames_are_taken_by_the_key_of_the_clip_whatever_the_batch():
    layer, clips = kns.SegmentSampling(4), _clips()
    taken = layer(clips, noise_seed=KEYS)
    np.testing.assert_array_equal(layer(clips[7:9], noise_seed=KEYS[7:9]), taken[7:9])
    np.testing.assert_array_equal(layer(clips[7], noise_seed=KEYS[7]), taken[7])


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_graph_and_xla_take_the_frames_of_eager_mode(jit_compile, training):
    layer, clips = kns.SegmentSampling(4), _clips()
    compiled = tf.function(
        lambda clips, keys: layer(clips, training=training, noise_seed=keys), jit_compile=jit_compile
    )
    expected = layer(clips, training=training, noise_seed=KEYS)
    np.testing.assert_array_equal(compiled(clips, KEYS), expected)


def test_without_keys_training_follows_the_seed_and_the_count_of_calls():
    clips, first, second = _clips(), kns.SegmentSampling(4, seed=1), kns.SegmentSampling(4, seed=1)
    taken = first(clips, training=True)
    np.testing.assert_array_equal(second(clips, training=True), taken)
    assert np.any(second(clips, training=True) != taken)


def test_without_keys_or_training_a_network_does_what_it_does_in_evaluation():
    dropout = keras.layers.Dropout(0.9)
    network = keras.Sequential([keras.Input((None, 4, 3, 1)), kns.SegmentSampling(4), dropout])
    np.testing.assert_array_equal(network(_clips()), network(_clips(), training=False))


def test_fulfils_the_contract_of_layers(tmp_path):
    check_layer(kns.SegmentSampling, {"num_frames": 4, "seed": 1}, _clips(), tmp_path)


def test_a_network_takes_clips_of_any_length():
    network = keras.Sequential([keras.Input((None, 4, 3, 1), dtype="uint8"), kns.SegmentSampling(4)])
    assert network.output_shape == (None, 4, 4, 3, 1)
    clips = _clips(num_frames=11)
    np.testing.assert_array_equal(network.predict(clips, verbose=0), clips[:, [1, 4, 6, 9]])


def test_all_frames_that_are_taken_get_the_same_noise_which_another_clip_does_not():
    sample, augment = kns.SegmentSampling(3), kns.PerClip(kns.RandAugment(num_ops=2, magnitude=9, jit_compile=False))

    def augmentation(clips, noise_seed):
        return augment(sample(clips, noise_seed=noise_seed), noise_seed=noise_seed)

    frame = np.random.default_rng(0).integers(0, 256, (12, 12, 3)).astype("uint8")
    still = np.tile(frame, (len(KEYS), 9, 1, 1, 1))
    noised = kns.Noise(augmentation).augment(still, KEYS).numpy()
    assert noised.shape == (len(KEYS), 3, 12, 12, 3)
    np.testing.assert_array_equal(noised, np.tile(noised[:, :1], (1, 3, 1, 1, 1)))
    assert len({clip.tobytes() for clip in noised}) > len(KEYS) / 2


@pytest.mark.parametrize("num_frames", [0, 2.5, True, None])
def test_num_frames_must_be_a_positive_integer(num_frames):
    message = rf"`num_frames` must be an integer, 1 or more\. Received: num_frames={num_frames}\."
    with pytest.raises(ValueError, match=message):
        kns.SegmentSampling(num_frames)


@pytest.mark.parametrize("call_arguments", [{"noise_seed": KEYS}, {"training": False}])
def test_clips_that_are_too_short_are_refused(call_arguments):
    message = r"`clips` must have 10 frames or more.*Received: clips of shape \(12, 9, 4, 3, 1\).*a smaller"
    with pytest.raises(ValueError, match=message):
        kns.SegmentSampling(10)(_clips(), **call_arguments)


@pytest.mark.parametrize("training", [False, True])
def test_clips_that_turn_out_too_short_are_refused_when_the_graph_runs(training):
    layer = kns.SegmentSampling(10)
    sample = tf.function(
        lambda clips: layer(clips, training=training), [tf.TensorSpec([None, None, 4, 3, 1], tf.uint8)]
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="`clips` must have 10 frames or more"):
        sample(_clips())
