import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.noise import geometry

# Not 1.0: a rotation by 30 degrees has sources halfway between two pixels, which a rounding error decides.
_LEVELS = [0.0, 0.1, 0.9, 0.99, 2.7]
_SHAPES = [(13, 17, 1), (13, 17, 3), (16, 16, 3), (1, 5, 3)]


def _nearest(image, matrix):
    positions = geometry.nearest_positions(matrix, *image.shape[:2])
    return geometry.take_pixels(tf.convert_to_tensor(image), positions, fill=128)


def _bilinear(image, matrix):
    return geometry.interpolate_pixels(tf.convert_to_tensor(image), matrix, fill=128)


def _image(shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _warp_slowly(image, source_of):
    """Loops over the output pixels; `source_of(x, y)` is the place in the source."""
    height, width, _ = image.shape
    warped = np.full_like(image, 128)
    for y in range(height):
        for x in range(width):
            source_x, source_y = (_round_half_away(place) for place in source_of(x, y))
            if 0 <= source_x < width and 0 <= source_y < height:
                warped[y, x] = image[source_y, source_x]
    return warped


def _round_half_away(number):
    return int(np.sign(number) * np.floor(np.abs(number) + 0.5))


def _rotation_source(degrees, height, width):
    angle = np.radians(degrees)
    center_x, center_y = (width - 1) / 2, (height - 1) / 2

    def source_of(x, y):
        from_x, from_y = x - center_x, y - center_y
        return (
            center_x + np.cos(angle) * from_x - np.sin(angle) * from_y,
            center_y + np.sin(angle) * from_x + np.cos(angle) * from_y,
        )

    return source_of


def _cases(level, height, width):
    """(matrix, place in the source) of the five ops."""
    shear, pixels = 0.3 * level, 4 * level
    return {
        "Rotate": (geometry.rotation(30 * level, height, width), _rotation_source(30 * level, height, width)),
        "ShearX": (geometry.shear_x(shear), lambda x, y: (x + np.float32(shear) * np.float32(y), y)),
        "ShearY": (geometry.shear_y(shear), lambda x, y: (x, y + np.float32(shear) * np.float32(x))),
        "TranslateX": (geometry.translation_x(pixels), lambda x, y: (x + pixels, y)),
        "TranslateY": (geometry.translation_y(pixels), lambda x, y: (x, y + pixels)),
    }


@pytest.mark.parametrize("op", ["Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"])
@pytest.mark.parametrize("shape", _SHAPES, ids=str)
def test_equals_a_loop_over_the_pixels(op, shape):
    image = _image(shape)
    for level in [sign * level for level in _LEVELS for sign in (-1, 1)]:
        matrix, source_of = _cases(level, *shape[:2])[op]
        np.testing.assert_array_equal(_nearest(image, matrix), _warp_slowly(image, source_of), f"level {level}")


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("warp", [_nearest, _bilinear])
@pytest.mark.parametrize("shape", [(100, 100, 3), (99, 131, 1)], ids=str)
def test_compiled_pixels_are_the_eager_pixels(warp, shape, jit_compile):
    image = tf.constant(_image(shape))
    compiled = tf.function(warp, jit_compile=jit_compile)
    for level in np.linspace(-3, 3, 11):
        for op, (matrix, _) in _cases(level, *shape[:2]).items():
            np.testing.assert_array_equal(compiled(image, matrix), warp(image, matrix), f"{op} at {level}")


@pytest.mark.parametrize("op", ["Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"])
@pytest.mark.parametrize("shape", _SHAPES, ids=str)
def test_bilinear_blends_the_four_pixels_around_the_source(op, shape):
    image = _image(shape)
    for level in [sign * level for level in _LEVELS for sign in (-1, 1)]:
        matrix, source_of = _cases(level, *shape[:2])[op]
        difference = np.abs(_bilinear(image, matrix).numpy() - _blend_slowly(image, source_of))
        # The distances are rounded to 1/256 of a pixel in both directions, and the level to a whole number.
        assert difference.max() <= 2 * 255 / 512 + 0.5, f"level {level}"


def _blend_slowly(image, source_of):
    height, width, _ = image.shape
    padded = np.pad(image.astype(float), [(1, 1), (1, 1), (0, 0)], constant_values=128)
    warped = np.empty(image.shape)
    for y in range(height):
        for x in range(width):
            source_x, source_y = source_of(x, y)
            left, top = int(np.floor(source_x)), int(np.floor(source_y))
            right_weight, bottom_weight = source_x - left, source_y - top
            warped[y, x] = 0
            for row, row_weight in ((top, 1 - bottom_weight), (top + 1, bottom_weight)):
                for column, column_weight in ((left, 1 - right_weight), (left + 1, right_weight)):
                    is_inside = 0 <= row < height and 0 <= column < width
                    level = padded[row + 1, column + 1] if is_inside else 128
                    warped[y, x] += row_weight * column_weight * level
    return warped


def test_bilinear_keeps_an_image_that_is_not_moved():
    image = _image((13, 17, 3))
    np.testing.assert_array_equal(_bilinear(image, geometry.rotation(0.0, 13, 17)), image)


def test_equals_the_projective_transform_of_tensorflow_which_the_authors_use():
    image = tf.constant(_image((64, 64, 3)))
    for level in np.linspace(-3, 3, 11):
        for op, (matrix, _) in _cases(level, 64, 64).items():
            expected = _projective_transform(image, matrix)
            np.testing.assert_array_equal(_nearest(image, matrix), expected, f"{op} at {level}")


def _projective_transform(image, matrix):
    a, b, c, d, e, f = matrix.numpy()
    with_alpha = tf.concat([image, tf.ones_like(image[..., :1])], -1)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=with_alpha[None],
        transforms=[[a, b, -c, d, e, -f, 0, 0]],
        output_shape=image.shape[:2],
        fill_value=0.0,
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )[0]
    return tf.where(warped[..., -1:] == 0, tf.constant(128, tf.uint8), warped[..., :-1])


@pytest.mark.parametrize("warp", [_nearest, _bilinear])
def test_rotation_by_a_right_angle_is_exact(warp):
    image = _image((8, 8, 3))
    np.testing.assert_array_equal(warp(image, geometry.rotation(90, 8, 8)), np.rot90(image))


def test_a_half_pixel_to_the_left_of_the_image_is_outside():
    image = _image((1, 4, 1))
    moved = _nearest(image, geometry.translation_x(-0.5)).numpy().ravel()
    np.testing.assert_array_equal(moved, [128, *image.ravel()[1:]])


def test_matrices_of_many_levels_are_those_of_each():
    levels = np.array([-0.3, 0.0, 2.7])
    for matrices in (geometry.shear_x, geometry.translation_y, lambda level: geometry.rotation(30 * level, 9, 13)):
        np.testing.assert_array_equal(matrices(levels), tf.stack([matrices(level) for level in levels]))


def test_takes_an_image_of_unknown_size():
    image, matrix = _image((13, 17, 3)), geometry.shear_x(0.27)
    spec = tf.TensorSpec([None, None, 3], tf.uint8)

    def nearest(image):
        return geometry.take_pixels(image, geometry.nearest_positions(matrix, *tf.unstack(tf.shape(image))[:2]), fill=9)

    def bilinear(image):
        return geometry.interpolate_pixels(image, matrix, fill=9)

    for warp in (nearest, bilinear):
        np.testing.assert_array_equal(tf.function(warp, [spec])(image), warp(tf.constant(image)))
