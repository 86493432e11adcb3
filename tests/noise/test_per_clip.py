import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.noise import seeds
from tests.layer_contract import check_layer

# Keras itself, when it saves a model, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

NUM_CLIPS, NUM_FRAMES, SIZE = 6, 4, 12
# A few that differ in what they draw: all 16 take XLA seconds.
OPS = ["Rotate", "Posterize", "Cutout"]
KEYS = seeds.fold(11, tf.range(NUM_CLIPS))


def _shift_levels(images, noise_seed):
    shift = tf.cast(seeds.uniform(noise_seed, 1) * 100, images.dtype)
    return images + shift[:, :, None, None]


def _keras_layers():
    return [
        keras.layers.RandomFlip(),
        keras.layers.RandomRotation(0.2),
        keras.layers.RandomCrop(8, 7),
        keras.layers.RandomErasing(1.0),
        keras.layers.RandAugment((0, 255)),
        keras.layers.GaussianNoise(0.9),
        keras.Sequential([keras.layers.RandomContrast(0.5), keras.layers.Dropout(0.3)]),
    ]


def _augmentations():
    return [kns.RandAugment(num_ops=2, magnitude=9, jit_compile=False), _shift_levels, *_keras_layers()]


def _name(augmentation):
    return getattr(augmentation, "name", "function")


def _clips(dtype="uint8", num_frames=NUM_FRAMES):
    return np.random.default_rng(0).integers(0, 256, (NUM_CLIPS, num_frames, SIZE, SIZE, 3)).astype(dtype)


def _still_clips(dtype="uint8"):
    """Clips of one frame again and again, the same in every clip."""
    return np.tile(_clips(dtype)[:1, :1], (NUM_CLIPS, NUM_FRAMES, 1, 1, 1))


class TestPixels:
    @pytest.mark.parametrize("dtype", ["uint8", "float32"])
    @pytest.mark.parametrize("augmentation", _augmentations(), ids=_name)
    def test_a_still_clip_stays_still_and_clips_differ_from_each_other(self, augmentation, dtype):
        clips = _still_clips(dtype)
        noised = kns.PerClip(augmentation)(clips, noise_seed=KEYS).numpy()
        np.testing.assert_array_equal(noised, np.tile(noised[:, :1], (1, NUM_FRAMES, 1, 1, 1)))
        assert len({clip.tobytes() for clip in noised}) > 1
        assert any(clip.shape != clips[0].shape or np.any(clip != clips[0]) for clip in noised)

    def test_every_frame_is_what_the_layer_makes_of_it_with_the_key_of_the_clip(self):
        clips, layer = _clips(), kns.RandAugment(num_ops=2, magnitude=9, jit_compile=False)
        noised = kns.PerClip(layer)(clips, noise_seed=KEYS)
        assert noised.dtype == tf.uint8
        for clip, noised_clip, key in zip(clips, noised, KEYS, strict=True):
            for frame, noised_frame in zip(clip, noised_clip, strict=True):
                np.testing.assert_array_equal(noised_frame, layer(frame, noise_seed=key))

    @pytest.mark.parametrize("layer", _keras_layers(), ids=_name)
    def test_every_frame_is_what_a_layer_of_keras_makes_of_it_from_the_same_state(self, layer):
        clips, key = _clips(), KEYS[0]
        noised = kns.PerClip(layer)(clips, noise_seed=KEYS)
        generators = [part for nested in layer._flatten_layers() for part in nested._seed_generators]
        states = tf.bitcast(seeds.fold(key, tf.range(len(generators))), tf.uint32)
        for frame, noised_frame in zip(clips[0], noised[0], strict=True):
            for generator, state in zip(generators, tf.unstack(states), strict=True):
                generator.state.assign(tf.cast(state, "int64"))
            expected = layer(tf.cast(frame, "float32")[None], training=True)[0]
            np.testing.assert_allclose(noised_frame, expected, atol=0.01)

    def test_moving_clips_keep_their_motion(self):
        clips = np.stack([np.roll(_clips()[:, 0], step, axis=2) for step in range(NUM_FRAMES)], axis=1)
        invert = kns.RandAugment(num_ops=1, ops=["Invert"], jit_compile=False)
        np.testing.assert_array_equal(kns.PerClip(invert)(clips, noise_seed=KEYS), 255 - clips)


class TestKeys:
    @pytest.mark.parametrize("augmentation", [kns.RandAugment(jit_compile=False), keras.layers.RandomRotation(0.2)])
    def test_a_clip_is_noised_by_its_own_key_whatever_the_batch(self, augmentation):
        layer, clips = kns.PerClip(augmentation), _clips()
        noised = layer(clips, noise_seed=KEYS)
        np.testing.assert_array_equal(layer(clips[2:4], noise_seed=KEYS[2:4]), noised[2:4])
        np.testing.assert_array_equal(layer(clips[2], noise_seed=KEYS[2]), noised[2])

    @pytest.mark.parametrize("jit_compile", [False, True])
    def test_graph_and_xla_give_the_pixels_of_eager_mode(self, jit_compile):
        layer, clips = kns.PerClip(kns.RandAugment(ops=OPS)), _clips()
        compiled = tf.function(lambda clips, keys: layer(clips, noise_seed=keys), jit_compile=jit_compile)
        np.testing.assert_array_equal(compiled(clips, KEYS), layer(clips, noise_seed=KEYS))

    def test_a_still_clip_stays_still_when_xla_compiles_a_layer_of_keras(self):
        layer, clips = kns.PerClip(keras.layers.RandomContrast(0.5)), _still_clips()
        noised = tf.function(lambda clips, keys: layer(clips, noise_seed=keys), jit_compile=True)(clips, KEYS).numpy()
        np.testing.assert_array_equal(noised, np.tile(noised[:, :1], (1, NUM_FRAMES, 1, 1, 1)))
        assert len({clip.tobytes() for clip in noised}) == NUM_CLIPS

    @pytest.mark.parametrize("augmentation", [kns.RandAugment(ops=OPS), keras.layers.RandomRotation(0.2)], ids=_name)
    def test_clips_of_unknown_shape_get_the_same_pixels_in_a_parallel_pipeline(self, augmentation):
        layer, clips = kns.PerClip(augmentation), _clips()
        examples = tf.data.Dataset.from_generator(
            lambda: zip(clips, KEYS.numpy(), strict=True),
            output_signature=(tf.TensorSpec([None, None, None, 3], tf.uint8), tf.TensorSpec([], tf.int64)),
        )
        noised = examples.batch(2).map(lambda clips, keys: layer(clips, noise_seed=keys), num_parallel_calls=3)
        expected = layer(clips, noise_seed=KEYS)
        np.testing.assert_array_equal(np.concatenate(list(noised)), expected)

    def test_without_keys_noise_follows_the_seed_and_the_count_of_calls(self):
        clips = _still_clips()
        first, second = (kns.PerClip(keras.layers.RandomContrast(0.5), seed=1) for _ in range(2))
        noised = first(clips)
        np.testing.assert_array_equal(second(clips), noised)
        assert np.any(second(clips) != noised)
        np.testing.assert_array_equal(noised, np.tile(noised[:, :1], (1, NUM_FRAMES, 1, 1, 1)))

    def test_keys_that_are_not_one_per_clip_are_refused(self):
        with pytest.raises(ValueError, match=r"`noise_seed` must hold one int64 key per example"):
            kns.PerClip(kns.RandAugment())(_clips(), noise_seed=KEYS[:2])


class TestNoise:
    def test_a_step_sees_the_same_pixels_wherever_the_noise_is_placed(self):
        expected = _loss_of_one_step(placement="pipeline", jit_compile=False)
        assert expected != _loss_of_one_step(placement="pipeline", jit_compile=False, magnitude=2)
        for jit_compile in (False, True):
            np.testing.assert_allclose(
                _loss_of_one_step(placement="step", jit_compile=jit_compile), expected, rtol=1e-5
            )

    def test_xla_compiles_a_step_by_itself_with_a_layer_but_not_with_a_function(self):
        assert kns.PerClip(kns.RandAugment()).supports_jit
        assert not kns.PerClip(_shift_levels).supports_jit


def _loss_of_one_step(*, placement, jit_compile, magnitude=9):
    augmentation = kns.PerClip(kns.RandAugment(magnitude=magnitude, ops=OPS, jit_compile=jit_compile))
    noise = kns.Noise(augmentation, placement=placement)
    network = keras.Sequential(
        [
            keras.Input((NUM_FRAMES, SIZE, SIZE, 3), dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(3, "softmax", kernel_initializer=keras.initializers.GlorotUniform(seed=0)),
        ]
    )
    student = kns.NoisyStudent(network, task=kns.Classification(num_classes=3), noise=noise)
    student.compile("sgd", jit_compile=jit_compile)
    labels = np.arange(NUM_CLIPS) % 3
    batches = kns.joint_dataset((_clips(), labels), (_clips(), labels), batch_size=NUM_CLIPS, noise=noise)
    return student.fit(batches, steps_per_epoch=1, verbose=0).history["loss"][0]


class TestInference:
    @pytest.mark.parametrize("augmentation", [kns.RandAugment(), _shift_levels], ids=_name)
    def test_clips_stay_as_they_are(self, augmentation):
        noised = kns.PerClip(augmentation)(_clips(), training=False)
        assert noised.dtype == tf.uint8
        np.testing.assert_array_equal(noised, _clips())

    def test_a_layer_of_keras_is_called_in_inference_mode(self):
        resized = kns.PerClip(_ResizeOrNoise())(_clips(), training=False)
        np.testing.assert_array_equal(resized, _clips("float32")[:, :, ::2, ::2])


class _ResizeOrNoise(keras.layers.GaussianNoise):
    """A layer that does something in inference mode too."""

    def __init__(self):
        super().__init__(0.5)

    def call(self, images, training=False):
        return super().call(images, training=training) if training else images[:, ::2, ::2]


class TestLayer:
    @pytest.mark.parametrize(
        "augmentation",
        [kns.RandAugment(1, ops=["Invert"], jit_compile=False), keras.layers.GaussianNoise(0.5)],
        ids=_name,
    )
    def test_fulfils_the_contract_of_layers(self, augmentation, tmp_path):
        check_layer(kns.PerClip, {"augmentation": augmentation, "seed": 1}, _clips(), tmp_path)

    def test_sizes_that_are_unknown_stay_unknown_in_a_symbolic_call(self):
        layer = kns.PerClip(keras.layers.RandomRotation(0.2))
        assert layer(keras.Input((None, None, None, 3))).shape == (None, None, None, None, 3)

    def test_frames_may_change_their_size(self):
        layer = kns.PerClip(keras.layers.RandomCrop(8, 7))
        assert layer(keras.Input((NUM_FRAMES, SIZE, SIZE, 3))).shape == (None, NUM_FRAMES, 8, 7, 3)
        assert layer(_clips()[0]).shape == (NUM_FRAMES, 8, 7, 3)


class TestErrors:
    def test_what_cannot_be_called_is_refused(self):
        with pytest.raises(ValueError, match=r"`augmentation` must be a Keras layer or a function.*augmentation=3"):
            kns.PerClip(3)

    def test_a_function_without_keys_is_refused(self):
        message = r"must take `noise_seed`, or it would noise each frame .* Received: augmentation=<function .*RandAug"
        with pytest.raises(ValueError, match=message):
            kns.PerClip(lambda images: images)

    def test_a_layer_without_seed_generators_is_refused(self):
        message = r"from `keras.random.SeedGenerator`s of its own.*Received: augmentation=<Lambda.*Pass a layer such as"
        with pytest.raises(ValueError, match=message):
            kns.PerClip(keras.layers.Lambda(lambda images: images + tf.random.uniform(tf.shape(images))))

    def test_a_layer_of_keras_cv_is_refused(self):
        keras_cv = pytest.importorskip("keras_cv")
        with pytest.raises(ValueError, match=r"those of keras-cv"):
            kns.PerClip(keras_cv.layers.RandAugment(value_range=(0, 255)))

    @pytest.mark.parametrize("shape", [(12, 12, 3), (1, 2, 3, 12, 12, 3)])
    def test_clips_of_another_rank_are_refused(self, shape):
        with pytest.raises(ValueError, match=r"`clips` must have shape `\(batch, time, .*Received: clips of shape"):
            kns.PerClip(kns.RandAugment())(tf.zeros(shape))
