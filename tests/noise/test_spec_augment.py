import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.feature_masks import FeatureMasks, draw_masks
from keras_noisy_student.noise.spec_augment import SpecAugment
from keras_noisy_student.noise.time_warp import time_warp
from tests.layer_contract import check_layer

# Keras itself, when it saves a model, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

_NUM_FRAMES, _NUM_BINS = 60, 16
_LENGTHS = np.array([60, 60, 60, 60, 59, 48, 37, 30, 22, 14, 8, 5, 3, 2, 1, 0], np.int32)
_KEYS = seeds.fold(7, tf.range(len(_LENGTHS)))
_IS_VALID = (np.arange(_NUM_FRAMES) < _LENGTHS[:, None])[:, :, None]
_FREQUENCY_MASKS = FeatureMasks(2, max_width=5)
_TIME_MASKS = FeatureMasks(4, max_width=9, max_fraction=0.3, masks_per_step=0.1)


def _features(dtype="float32", seed=0):
    features = np.random.default_rng(seed).normal(-3, 2, (len(_LENGTHS), _NUM_FRAMES, _NUM_BINS))
    return tf.cast(features, dtype)


def _layer(**config):
    return SpecAugment(**{"frequency_masks": _FREQUENCY_MASKS, "time_masks": _TIME_MASKS, "time_warp": 4, **config})


@functools.cache
def _compiled(jit_compile):
    """One traced function for batches of any size and utterances of any length (of one shape for XLA)."""
    layer = _layer()
    signature = [
        tf.TensorSpec([None, None, _NUM_BINS]),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None], tf.int64),
    ]
    return tf.function(lambda *arguments: _augment(layer, *arguments), signature, jit_compile=jit_compile)


def _augment(layer, features, length, keys):
    return layer({"features": features, "length": length}, noise_seed=keys)["features"]


def _augment_slowly(features, length, key, *, time_warp_distance, mask_value):
    """One utterance cut to its length, step by step, from the same draws."""
    frames, size = features.numpy().copy(), np.int32([length])
    warp_key, bins_key, frames_key = (tf.reshape(seeds.fold(key, part), [1]) for part in range(3))
    if mask_value == "mean":
        mask_value = math.fsum(frames[:length].ravel().tolist()) / max(1, length * _NUM_BINS)
    if time_warp_distance:
        frames = time_warp(frames[None], size, warp_key, max_distance=time_warp_distance)[0].numpy()
    masked_bins = draw_masks(_FREQUENCY_MASKS, bins_key, np.int32([_NUM_BINS]), _NUM_BINS)[0].numpy()
    masked_frames = draw_masks(_TIME_MASKS, frames_key, size, _NUM_FRAMES)[0].numpy()
    for frame in range(length):
        for frequency in range(_NUM_BINS):
            if masked_frames[frame] or masked_bins[frequency]:
                frames[frame, frequency] = mask_value
    return frames


class TestPolicy:
    @pytest.mark.parametrize("config", [{"time_warp": 4, "mask_value": -1.5}, {"time_warp": 0, "mask_value": "mean"}])
    def test_equals_a_slow_statement_of_the_policy(self, config):
        features = _features()
        noised = _augment(_layer(**config), features, _LENGTHS, _KEYS)
        for index, length in enumerate(_LENGTHS):
            expected = _augment_slowly(
                features[index],
                length,
                _KEYS[index],
                time_warp_distance=config["time_warp"],
                mask_value=config["mask_value"],
            )
            np.testing.assert_allclose(noised[index], expected, rtol=1e-6, err_msg=f"length {length}")

    def test_padding_is_never_changed(self):
        features = np.where(_IS_VALID, _features(), np.float32(np.nan))
        for time_masks in (_TIME_MASKS, FeatureMasks(10)):
            noised = _augment(_layer(time_masks=time_masks), features, _LENGTHS, _KEYS).numpy()
            np.testing.assert_array_equal(np.isnan(noised), np.broadcast_to(~_IS_VALID, noised.shape))

    def test_the_amount_and_the_content_of_padding_change_no_valid_frame(self):
        features = _features()
        noised = _augment(_layer(), features, _LENGTHS, _KEYS)
        padded = tf.pad(tf.where(_IS_VALID, features, 99.0), [[0, 0], [0, 13], [0, 0]])
        padded_noised = _augment(_layer(), padded, _LENGTHS, _KEYS)[:, :_NUM_FRAMES]
        np.testing.assert_array_equal(tf.where(_IS_VALID, padded_noised, 0), tf.where(_IS_VALID, noised, 0))

    def test_the_default_masks_are_those_of_the_papers_at_80_bins(self):
        features = tf.random.stateless_normal((600, 100, 80), seed=(1, 2))
        noised = SpecAugment(mask_value=99)(features, noise_seed=tf.range(600, dtype=tf.int64)).numpy()
        bins, frames = (noised == 99).all(1).sum(1), (noised == 99).all(2).sum(1)
        assert 45 < bins.max() <= 2 * 27
        assert 30 < frames.max() <= 10 * 5
        assert bins.min() == 0
        one_mask = SpecAugment(frequency_masks=FeatureMasks(1, max_fraction=27 / 80), mask_value=99)
        widest = (one_mask(features, noise_seed=tf.range(600, dtype=tf.int64)).numpy() == 99).all(1).sum(1).max()
        assert widest == 27

    def test_no_masks_and_no_warp_or_no_training_is_the_identity(self):
        features, none = _features(), FeatureMasks(0)
        noised = SpecAugment(frequency_masks=none, time_masks=none)(features, noise_seed=_KEYS)
        np.testing.assert_array_equal(noised, features)
        inputs = {"features": features, "length": tf.constant(_LENGTHS)}
        np.testing.assert_array_equal(_layer()(inputs, training=False)["features"], features)

    def test_changing_one_part_leaves_the_draws_of_the_others(self):
        features, none = _features(), FeatureMasks(0)
        plain = {"frequency_masks": none, "time_masks": none, "time_warp": 0, "mask_value": 99}
        both = SpecAugment(**{**plain, "frequency_masks": _FREQUENCY_MASKS, "time_masks": _TIME_MASKS})
        one, other = (
            SpecAugment(**{**plain, name: masks})
            for name, masks in [("frequency_masks", _FREQUENCY_MASKS), ("time_masks", _TIME_MASKS)]
        )
        is_masked = [layer(features, noise_seed=_KEYS).numpy() == 99 for layer in (both, one, other)]
        np.testing.assert_array_equal(is_masked[0], is_masked[1] | is_masked[2])


class TestKeys:
    def test_eager_graph_and_xla_give_the_same_features(self):
        features = _features()
        noised = _augment(_layer(), features, _LENGTHS, _KEYS)
        np.testing.assert_array_equal(_compiled(False)(features, _LENGTHS, _KEYS), noised)
        np.testing.assert_array_equal(_compiled(True)(features, _LENGTHS, _KEYS), noised)

    def test_an_utterance_is_noised_by_its_own_key_whatever_the_batch(self):
        features, augment = _features(), _compiled(False)
        noised = augment(features, _LENGTHS, _KEYS).numpy()
        order = np.random.default_rng(0).permutation(len(_LENGTHS))
        rows = [order, np.arange(1), np.arange(1, 9), np.arange(9, 16)]
        for row in rows:
            received = augment(tf.gather(features, row), _LENGTHS[row], tf.gather(_KEYS, row))
            np.testing.assert_array_equal(received, noised[row])

    def test_copies_with_different_keys_differ(self):
        copies = tf.repeat(_features()[:1], len(_KEYS), axis=0)
        noised = _layer()(copies, noise_seed=_KEYS).numpy()
        assert len({utterance.tobytes() for utterance in noised}) == len(_KEYS)

    def test_without_keys_the_seed_and_the_count_of_calls_decide(self):
        features = _features()
        first, second = _layer(seed=1), _layer(seed=1)
        calls = [first(features).numpy() for _ in range(2)]
        assert (calls[0] != calls[1]).any()
        for call in calls:
            np.testing.assert_array_equal(second(features), call)
        assert (_layer(seed=2)(features).numpy() != calls[0]).any()

    def test_refuses_keys_that_do_not_fit(self):
        with pytest.raises(ValueError, match=r"`noise_seed` must hold one int64 key per example"):
            _layer()(_features(), noise_seed=_KEYS[:3])


class TestInputs:
    def test_a_plain_tensor_is_a_batch_of_full_lengths(self):
        features, lengths = _features(), np.full(len(_LENGTHS), _NUM_FRAMES)
        expected = _augment(_layer(), features, lengths, _KEYS)
        np.testing.assert_array_equal(_layer()(features, noise_seed=_KEYS), expected)

    def test_a_single_utterance_gets_what_it_gets_in_a_batch(self):
        features = _features()
        noised = _augment(_layer(), features, _LENGTHS, _KEYS)
        for index in (0, 5, 15):
            single = _augment(_layer(), features[index], _LENGTHS[index], int(_KEYS[index]))
            np.testing.assert_array_equal(single, noised[index])
        np.testing.assert_array_equal(_layer()(features[0], noise_seed=int(_KEYS[0])), noised[0])
        assert _layer()(features[0]).shape == features[0].shape

    def test_only_the_features_of_a_dict_change(self):
        inputs = {"features": _features(), "length": tf.constant(_LENGTHS, tf.int64), "speaker": _KEYS}
        noised = _layer()(inputs, noise_seed=_KEYS)
        assert list(noised) == list(inputs)
        assert (noised["features"].numpy() != inputs["features"].numpy()).any()
        for name in ("length", "speaker"):
            assert noised[name].dtype == tf.int64
            np.testing.assert_array_equal(noised[name], inputs[name])

    def test_a_length_beyond_the_frames_counts_as_all_of_them(self):
        features, lengths = _features(), np.full(len(_LENGTHS), _NUM_FRAMES)
        expected = _augment(_layer(), features, lengths, _KEYS)
        np.testing.assert_array_equal(_augment(_layer(), features, lengths + 40, _KEYS), expected)
        np.testing.assert_array_equal(_augment(_layer(), features, lengths - 100, _KEYS), features)

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
    def test_other_floats_keep_their_dtype_and_get_the_same_noise(self, dtype):
        features = _features("float16")
        expected = _augment(_layer(), tf.cast(tf.cast(features, dtype), "float32"), _LENGTHS, _KEYS)
        noised = _augment(_layer(), tf.cast(features, dtype), _LENGTHS, _KEYS)
        assert noised.dtype == dtype
        np.testing.assert_array_equal(noised, tf.cast(expected, dtype))

    @pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
    def test_a_low_precision_policy_leaves_the_features_alone(self, policy):
        features = _features()
        noised = _augment(_layer(dtype=policy), features, _LENGTHS, _KEYS)
        assert noised.dtype == "float32"
        np.testing.assert_array_equal(noised, _augment(_layer(), features, _LENGTHS, _KEYS))

    def test_a_symbolic_call_keeps_structure_shapes_and_dtypes(self):
        features = keras.KerasTensor((None, None, 80), "float16")
        symbolic = _layer()({"features": features, "length": keras.KerasTensor((None,), "int32")})
        assert (symbolic["features"].shape, symbolic["features"].dtype) == ((None, None, 80), "float16")
        assert (symbolic["length"].shape, symbolic["length"].dtype) == ((None,), "int32")
        assert _layer().compute_output_shape((None, 100, 80)) == (None, 100, 80)

    def test_takes_utterances_of_unknown_length_in_a_data_pipeline(self):
        features, layer = _features().numpy(), _layer()
        cut = [utterance[:length] for utterance, length in zip(features, _LENGTHS, strict=True)]
        spec = tf.TensorSpec([None, _NUM_BINS], tf.float32)
        dataset = tf.data.Dataset.from_generator(lambda: iter(cut), output_signature=spec)
        dataset = tf.data.Dataset.zip(dataset, tf.data.Dataset.from_tensor_slices(_KEYS))
        dataset = dataset.map(lambda utterance, key: layer(utterance, noise_seed=key), num_parallel_calls=4)

        assert dataset.element_spec.shape.as_list() == [None, _NUM_BINS]
        noised = _augment(layer, features, _LENGTHS, _KEYS).numpy()
        for utterance, expected, length in zip(dataset.as_numpy_iterator(), noised, _LENGTHS, strict=True):
            np.testing.assert_array_equal(utterance, expected[:length])

    def test_keeps_the_contract_of_a_layer(self, tmp_path):
        config = {
            "frequency_masks": FeatureMasks(1, max_width=3, max_fraction=0.5),
            "time_masks": _TIME_MASKS,
            "time_warp": 3,
            "mask_value": 0.5,
            "seed": 4,
        }
        check_layer(SpecAugment, config, _features().numpy()[:4], tmp_path)

    def test_a_model_that_takes_dicts_can_be_saved_and_loaded(self, tmp_path):
        model = _network(_layer(seed=1))
        inputs = {"features": _features().numpy(), "length": _LENGTHS}
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), model.predict(inputs, verbose=0))


def _network(augmentation=None):
    """Classifies the mean of the valid frames."""
    inputs = {
        "features": keras.Input((_NUM_FRAMES, _NUM_BINS), name="features"),
        "length": keras.Input((), dtype="int32", name="length"),
    }
    features, length = (augmentation(inputs) if augmentation else inputs).values()
    return keras.Model(inputs, keras.layers.Dense(3, "softmax")(_ValidMean()([features, length])))


@keras.saving.register_keras_serializable(package="tests")
class _ValidMean(keras.layers.Layer):
    def call(self, inputs):
        features, length = inputs
        is_valid = keras.ops.arange(_NUM_FRAMES) < length[:, None]
        total = keras.ops.sum(keras.ops.where(is_valid[:, :, None], features, 0), axis=1)
        return total / keras.ops.cast(keras.ops.maximum(length, 1), total.dtype)[:, None]


def _plain_network():
    inputs = keras.Input((_NUM_FRAMES, _NUM_BINS))
    pooled = keras.layers.GlobalAveragePooling1D()(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, "softmax")(pooled))


class TestTraining:
    def test_a_step_on_utterances_with_lengths_is_the_same_in_xla_and_with_noise_in_the_pipeline(self):
        weights = _weights_after_training(takes_length=True)
        unnoised = _weights_after_training(takes_length=True, augmentation=None)
        assert np.abs(weights - unnoised).max() > 1e-3
        for changed in ({"jit_compile": True}, {"placement": "pipeline"}):
            received = _weights_after_training(takes_length=True, **changed)
            np.testing.assert_allclose(received, weights, rtol=1e-4, atol=1e-5, err_msg=str(changed))

    def test_a_step_on_plain_features_is_the_same_in_xla(self):
        weights = _weights_after_training(takes_length=False)
        compiled = _weights_after_training(takes_length=False, jit_compile=True)
        np.testing.assert_allclose(compiled, weights, rtol=1e-4, atol=1e-5)


def _weights_after_training(*, takes_length, augmentation=_layer, placement="step", jit_compile=False):
    """The kernel after two steps on joint batches."""
    keras.utils.set_random_seed(0)
    features = _features().numpy()
    x = {"features": features, "length": _LENGTHS} if takes_length else features
    y = np.arange(len(features)) % 3
    noise = kns.Noise(augmentation and augmentation(), placement=placement)
    network = _network() if takes_length else _plain_network()
    student = kns.NoisyStudent(network, task=kns.Classification(num_classes=3), noise=noise)
    student.compile(keras.optimizers.SGD(0.1), jit_compile=jit_compile)
    assert student.jit_compile == jit_compile
    batches = kns.joint_dataset((x, y), (x, y), batch_size=4, unlabeled_ratio=2, noise=noise)
    student.fit(batches, steps_per_epoch=2, verbose=0)
    return network.get_weights()[0]


class TestErrors:
    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"frequency_masks": 2}, r"`frequency_masks` must be a `FeatureMasks`, .*max_width=27.* Received: .*=2\."),
            ({"time_masks": (2, 9)}, r"`time_masks` must be a `FeatureMasks`, .* Received: time_masks=\(2, 9\)\."),
            ({"time_warp": -1}, r"`time_warp` must be an integer of frames, 0 or more\. Received: time_warp=-1\."),
            ({"time_warp": 2.5}, r"`time_warp` must be an integer of frames, .* Received: time_warp=2\.5\."),
            ({"mask_value": "zero"}, r"`mask_value` must be a finite number or \"mean\"\. .*mask_value='zero'\."),
            ({"mask_value": np.nan}, r"`mask_value` must be a finite number or \"mean\"\. .*mask_value=nan\."),
            ({"mask_value": np.zeros(2)}, r"`mask_value` must be a finite number or \"mean\"\. .*mask_value=array"),
        ],
    )
    def test_refuses_a_wrong_argument(self, config, message):
        with pytest.raises(ValueError, match=message):
            SpecAugment(**config)

    @pytest.mark.parametrize("make", [np.zeros, keras.KerasTensor], ids=["array", "symbolic"])
    def test_refuses_wrong_inputs_at_once_and_symbolically(self, make):
        with pytest.raises(ValueError, match=r"Features must have shape .* Received: features of shape \(2, 5, 8, 1\)"):
            _layer()(make((2, 5, 8, 1), "float32"))
        with pytest.raises(ValueError, match=r"\"length\" must hold one integer per utterance, .* dtype float32\."):
            _layer()({"features": make((2, 5, 8), "float32"), "length": make((2,), "float32")})
