import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.noise import geometry, image_ops, seeds
from keras_noisy_student.noise.magnitudes import jittered_magnitudes
from keras_noisy_student.noise.op_parameters import OpParameters
from keras_noisy_student.noise.op_settings import OpSettings
from keras_noisy_student.noise.rand_augment import RandAugment
from keras_noisy_student.noise.random_op import DRAWS_PER_OP, GEOMETRIC_OPS, OPS
from tests.layer_contract import check_layer

# Keras itself, when it saves a model, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

_HEIGHT, _WIDTH = 24, 32
_KEYS = seeds.fold(7, tf.range(48))


def _images(num_channels=3, num=48, seed=0):
    generator = np.random.default_rng(seed)
    low = generator.integers(0, 100, (num, 1, 1, num_channels))
    return generator.integers(low, low + 150, (num, _HEIGHT, _WIDTH, num_channels)).astype(np.uint8)


@functools.cache
def _compiled(jit_compile, num_channels=None, **config):
    """One traced function per configuration, for batches of any size (of one size for XLA, which has no other)."""
    layer = RandAugment(**config)
    signature = [tf.TensorSpec([None, _HEIGHT, _WIDTH, num_channels or 3], tf.uint8), tf.TensorSpec([None], tf.int64)]
    function = tf.function(lambda images, keys: layer(images, noise_seed=keys), signature, jit_compile=jit_compile)
    return lambda images, keys: function(images, keys).numpy()


def _augment_slowly(image, key, layer):
    """The policy, image by image and op by op, from the same draws."""
    draws = seeds.uniform(tf.reshape(key, [1]), layer.num_draws).numpy().reshape(layer.num_ops, DRAWS_PER_OP)
    magnitudes = jittered_magnitudes(layer.magnitude, layer.magnitude_std)
    for op_draw, sign_draw, row_draw, column_draw, magnitude_draw, probability_draw in draws.tolist():
        if probability_draw < layer.probability:
            op = OPS[int(op_draw * len(OPS))]
            center = (int(row_draw * _HEIGHT), int(column_draw * _WIDTH))
            parameters = OpParameters(magnitudes[int(magnitude_draw * len(magnitudes))], layer.overflow)
            image = _apply(op, image, -1 if sign_draw < 0.5 else 1, center, parameters, layer.op_settings)
    return np.asarray(image)


def _apply(op, image, sign, center, parameters, settings):
    image = tf.convert_to_tensor(image)
    factor, shear = parameters.enhance_factor, sign * parameters.shear
    pixels = sign * parameters.level * settings.translation(_HEIGHT, _WIDTH)
    half_size = int(parameters.level * settings.cutout_half_size(_HEIGHT, _WIDTH))
    is_papers_mean = settings.contrast_mean == "paper"
    functions = {
        "AutoContrast": lambda: image_ops.auto_contrast(image),
        "Equalize": lambda: image_ops.equalize(image),
        "Invert": lambda: image_ops.invert(image),
        "Rotate": lambda: geometry.rotation(sign * parameters.degrees, _HEIGHT, _WIDTH),
        "Posterize": lambda: image_ops.posterize(image, parameters.num_bits),
        "Solarize": lambda: image_ops.solarize(image, parameters.solarize_threshold),
        "Color": lambda: image_ops.color(image, factor),
        "Contrast": lambda: (image_ops.contrast_of_the_paper if is_papers_mean else image_ops.contrast)(image, factor),
        "Brightness": lambda: image_ops.brightness(image, factor),
        "Sharpness": lambda: image_ops.sharpness(image, factor),
        "ShearX": lambda: geometry.shear_x(shear),
        "ShearY": lambda: geometry.shear_y(shear),
        "TranslateX": lambda: geometry.translation_x(pixels),
        "TranslateY": lambda: geometry.translation_y(pixels),
        "SolarizeAdd": lambda: image_ops.solarize_add(image, parameters.solarize_addition),
        "Cutout": lambda: image_ops.cutout(image, center, half_size, fill=settings.fill),
    }
    if op not in GEOMETRIC_OPS:
        return functions[op]()
    if settings.interpolation == "bilinear":
        return geometry.interpolate_pixels(image, functions[op](), fill=settings.fill)
    positions = geometry.nearest_positions(functions[op](), _HEIGHT, _WIDTH)
    return geometry.take_pixels(image, positions, fill=settings.fill)


class TestPolicy:
    @pytest.mark.parametrize(
        ("num_channels", "config"),
        [
            (3, {}),
            (1, {"num_ops": 3, "magnitude": 27, "overflow": "paper"}),
            (3, {"magnitude_std": 2.0, "probability": 0.6}),
            (
                3,
                {
                    "op_settings": OpSettings(
                        translate_const=10, cutout_const=5.5, contrast_mean="paper", interpolation="bilinear", fill=9
                    )
                },
            ),
        ],
        ids=["default", "paper", "jitter", "settings"],
    )
    def test_equals_a_slow_statement_of_the_policy(self, num_channels, config):
        images, layer = _images(num_channels), RandAugment(**config)
        noised = _compiled(False, num_channels, **config)(images, _KEYS)
        for image, key, actual in zip(images, _KEYS, noised, strict=True):
            np.testing.assert_array_equal(actual, _augment_slowly(image, key, layer))

    def test_a_magnitude_with_jitter_spreads_around_its_mean(self):
        image = np.full((1, 8, 8, 1), 100, np.uint8)
        keys = tf.range(3000, dtype=tf.int64)
        layer = RandAugment(1, 5, ops=["Brightness"], magnitude_std=1)
        levels = layer(np.repeat(image, 3000, 0), noise_seed=keys)[:, 0, 0, 0].numpy()
        # Brightness multiplies with 0.1 + 0.18 * magnitude, and rounds down.
        assert abs(levels.mean() - 99.5) < 1.5
        assert abs(levels.std() - 18) < 1

    @pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
    def test_an_op_is_applied_with_its_probability(self, probability):
        images, keys = np.zeros((4000, 4, 4, 1), np.uint8), tf.range(4000, dtype=tf.int64)
        noised = RandAugment(1, 9, ops=["Invert"], probability=probability)(images, noise_seed=keys)
        assert (
            abs((noised[:, 0, 0, 0].numpy() == 255).mean() - probability)
            < 4 * np.sqrt(0.25 / 4000) * (probability % 1 > 0) + 1e-9
        )

    def test_every_op_and_both_signs_are_equally_frequent(self):
        num_images, image = 2048, _images(num=1)[0]
        keys = tf.range(num_images, dtype=tf.int64)
        noised = _compiled(True, num_ops=1)(np.broadcast_to(image, (num_images, *image.shape)), keys)
        of_pixels = {}
        for op in OPS[:-1]:
            for sign in (-1, 1):
                of_pixels[np.asarray(_apply(op, image, sign, None, OpParameters(9), OpSettings())).tobytes()] = (
                    op,
                    sign,
                )
        drawn = [of_pixels.get(pixels.tobytes(), ("Cutout", 1)) for pixels in noised]

        deviation = np.sqrt(num_images / len(OPS))
        for op in OPS:
            signs = [sign for drawn_op, sign in drawn if drawn_op == op]
            assert abs(len(signs) - num_images / len(OPS)) < 4 * deviation, op
            if op in ("Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"):
                assert abs(sum(signs)) < 4 * deviation, op

    def test_cuts_lie_all_over_the_image(self):
        image = np.zeros((8, 8, 1), np.uint8)
        layer = RandAugment(1, 10, ops=["Cutout"], op_settings=OpSettings(cutout_const=2))
        noised = layer(np.stack([image] * 200), noise_seed=tf.range(200, dtype=tf.int64))
        assert (np.mean(noised, 0) > 0).all()

    def test_only_the_given_ops_are_applied(self):
        images = _images(num=8)
        inverted_twice = RandAugment(2, 9, ops=["Invert"])(images, noise_seed=_KEYS[:8])
        np.testing.assert_array_equal(inverted_twice, images)

    def test_no_ops_or_no_training_is_the_identity(self):
        images = _images(num=4)
        np.testing.assert_array_equal(RandAugment(0)(images), images)
        np.testing.assert_array_equal(RandAugment()(images, training=False), images)


class TestKeys:
    def test_eager_graph_and_xla_give_the_same_pixels(self):
        images = _images()
        noised = _compiled(False)(images, _KEYS)
        np.testing.assert_array_equal(_compiled(True)(images, _KEYS), noised)
        np.testing.assert_array_equal(RandAugment()(images[:6], noise_seed=_KEYS[:6]), noised[:6])

    def test_an_image_is_noised_by_its_own_key_whatever_the_batch(self):
        images, augment = _images(), _compiled(False)
        noised = augment(images, _KEYS)

        order = np.random.default_rng(0).permutation(len(images))
        np.testing.assert_array_equal(augment(images[order], tf.gather(_KEYS, order)), noised[order])
        for start, stop in [(0, 1), (1, 8), (8, 48)]:
            np.testing.assert_array_equal(augment(images[start:stop], _KEYS[start:stop]), noised[start:stop])
        np.testing.assert_array_equal(RandAugment()(images[5], noise_seed=int(_KEYS[5])), noised[5])

    def test_copies_with_different_keys_differ(self):
        copies = np.repeat(_images(num=1), len(_KEYS), 0)
        noised = _compiled(False)(copies, _KEYS)
        assert len({pixels.tobytes() for pixels in noised}) > 40

    def test_without_keys_the_seed_and_the_count_of_calls_decide(self):
        images = _images(num=3)
        first, second = RandAugment(seed=1), RandAugment(seed=1)
        calls = [first(images).numpy() for _ in range(2)]
        assert (calls[0] != calls[1]).any()
        for call in calls:
            np.testing.assert_array_equal(second(images), call)
        assert (RandAugment(seed=2)(images).numpy() != calls[0]).any()

    def test_without_keys_rows_of_a_batch_get_different_noise(self):
        copies = np.repeat(_images(num=1), 12, 0)
        assert len({pixels.tobytes() for pixels in RandAugment(seed=0)(copies).numpy()}) > 8

    def test_without_keys_a_single_image_works_too(self):
        image = _images(num=1)[0]
        assert RandAugment(seed=0)(image).shape == image.shape


class TestTensors:
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
    def test_floats_are_rounded_to_levels_and_keep_their_dtype(self, dtype):
        images, keys = _images(num=4), _KEYS[:4]
        floats = tf.cast(tf.cast(images, tf.float32) + (0.25 if dtype != "bfloat16" else 0), dtype)

        noised = RandAugment()(floats, noise_seed=keys)

        assert noised.dtype == dtype
        np.testing.assert_array_equal(tf.cast(noised, tf.uint8), RandAugment()(images, noise_seed=keys))

    @pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
    def test_a_low_precision_policy_leaves_the_pixels_alone(self, policy):
        images, keys = _images(num=4), _KEYS[:4]
        layer = RandAugment(dtype=policy)
        expected = RandAugment()(images, noise_seed=keys)
        for given in (images, images.astype("float32")):
            noised = layer(given, noise_seed=keys)
            assert noised.dtype == given.dtype
            np.testing.assert_array_equal(noised, expected)

    def test_a_symbolic_call_keeps_shape_and_dtype(self):
        symbolic = RandAugment()(keras.KerasTensor((None, None, 32, 3), "uint8"))
        assert (symbolic.shape, symbolic.dtype) == ((None, None, 32, 3), "uint8")
        assert RandAugment().compute_output_shape((None, 32, 32, 3)) == (None, 32, 32, 3)

    def test_takes_images_of_unknown_size_in_a_data_pipeline(self):
        images = _images(num=6)
        layer = RandAugment()
        spec = tf.TensorSpec([None, None, 3], tf.uint8)
        dataset = tf.data.Dataset.from_generator(lambda: iter(images), output_signature=spec)
        dataset = tf.data.Dataset.zip(dataset, tf.data.Dataset.from_tensor_slices(_KEYS[:6]))
        dataset = dataset.map(lambda image, key: layer(image, noise_seed=key), num_parallel_calls=4)

        expected = layer(images, noise_seed=_KEYS[:6])
        np.testing.assert_array_equal(np.stack(list(dataset.as_numpy_iterator())), expected)

    def test_draws_its_own_keys_in_a_data_pipeline(self):
        copies = np.repeat(_images(num=1), 12, 0)
        dataset = tf.data.Dataset.from_tensor_slices(copies).map(RandAugment(seed=0))
        assert len({pixels.tobytes() for pixels in dataset.as_numpy_iterator()}) > 8

    def test_keeps_the_contract_of_a_layer(self, tmp_path):
        config = {
            "num_ops": 1,
            "magnitude": 5.0,
            "ops": ["Rotate", "Invert", "Cutout"],
            "magnitude_std": 0.5,
            "probability": 0.75,
            "overflow": "paper",
            "op_settings": OpSettings(translate_const=7.0, cutout_const=3.0, fill=3),
            "jit_compile": False,
            "seed": 4,
        }
        check_layer(RandAugment, config, _images(num=4), tmp_path)


class TestErrors:
    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"num_ops": -1}, r"`num_ops` must be an integer, 0 or more. Received: num_ops=-1."),
            ({"num_ops": 1.5}, r"`num_ops` must be an integer, 0 or more. Received: num_ops=1.5."),
            ({"num_ops": True}, r"`num_ops` must be an integer, 0 or more. Received: num_ops=True."),
            ({"magnitude": -0.1}, r"`magnitude` must be a finite number, 0 or more. Received: magnitude=-0.1."),
            ({"magnitude": float("inf")}, r"`magnitude` must be a finite number, 0 or more. Received: magnitude=inf."),
            ({"magnitude": "9"}, r"`magnitude` must be a finite number, 0 or more. Received: magnitude='9'."),
            ({"ops": []}, r"`ops` must be a list or tuple of one or more op names. Received: ops=\[\]."),
            ({"ops": "Invert"}, r"`ops` must be a list or tuple of one or more op names. Received: ops='Invert'."),
            ({"ops": 3}, r"`ops` must be a list or tuple of one or more op names. Received: ops=3."),
            ({"ops": {"Invert"}}, r"`ops` must be a list or tuple of one or more op names. Received: ops={'Invert'}."),
            ({"ops": np.array(["Invert", "Color"])}, r"`ops` must be a list or tuple .* Received: ops=array\("),
            ({"ops": ["invert"]}, r"`ops` must be names out of AutoContrast, .*, Cutout. Received: .* \['invert'\]."),
            ({"ops": [np.zeros(2)]}, r"`ops` must be names out of AutoContrast, .* unknown \[array\(\[0., 0.\]\)\]."),
            ({"overflow": "wrap"}, r"`overflow` must be \"clamp\" or \"paper\". Received: overflow='wrap'."),
            ({"magnitude_std": -1}, r"`magnitude_std` must be a finite number, 0 or more. Received: magnitude_std=-1."),
            ({"probability": 1.5}, r"`probability` must be in \[0, 1\]. Received: probability=1.5."),
            (
                {"op_settings": {"fill": 3}},
                r"`op_settings` must be an `OpSettings`. Received: op_settings={'fill': 3}.",
            ),
        ],
    )
    def test_refuses_a_wrong_argument(self, config, message):
        with pytest.raises(ValueError, match=message):
            RandAugment(**config)

    @pytest.mark.parametrize(
        ("shape", "dtype", "message"),
        [
            ((8, 8), "uint8", r"`images` must have shape `\(batch, .*`. Received: images of shape \(8, 8\)."),
            ((2, 1, 8, 8, 3), "uint8", r"Received: images of shape \(2, 1, 8, 8, 3\)."),
            (
                (2, 8, 8, 4),
                "uint8",
                r"`images` must have 1 or 3 channels, .* Received: images of shape \(2, 8, 8, 4\).",
            ),
            ((2, 8, 8, 3), "int32", r"`images` must be uint8, or float in \[0, 255\]. Received: .* dtype int32."),
        ],
    )
    def test_refuses_wrong_images_at_once_and_symbolically(self, shape, dtype, message):
        with pytest.raises(ValueError, match=message):
            RandAugment()(np.zeros(shape, dtype))
        with pytest.raises(ValueError, match=message):
            RandAugment()(keras.KerasTensor(shape, dtype))

    @pytest.mark.parametrize("keys", [np.zeros(3, np.int64), np.int64(0), np.zeros(2, np.float32)])
    def test_refuses_keys_that_do_not_fit(self, keys):
        message = r"`noise_seed` must hold one int64 key per example, in .* Received: noise_seed of shape .* and dtype"
        with pytest.raises(ValueError, match=message):
            RandAugment()(_images(num=2), noise_seed=keys)
