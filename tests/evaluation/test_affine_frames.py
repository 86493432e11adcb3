import itertools

import numpy as np
import pytest

from keras_noisy_student.evaluation.affine_frames import projected, rotations, scalings, tilts, translations

HEIGHT, WIDTH = 6, 9
IMAGES = np.random.default_rng(0).uniform(0, 1, (2, HEIGHT, WIDTH, 3)).astype("float32")


def projected_slowly(image, transform):
    """Pixel by pixel: where it comes from, and a blend of the four pixels around that place, black if outside."""
    frame = np.zeros_like(image)
    for row, column in itertools.product(range(HEIGHT), range(WIDTH)):
        x, y, scale = np.linalg.solve(transform, [column, row, 1])
        x, y = x / scale, y / scale
        left, top = int(np.floor(x)), int(np.floor(y))
        for source_row, source_column in itertools.product((top, top + 1), (left, left + 1)):
            if 0 <= source_row < HEIGHT and 0 <= source_column < WIDTH:
                weight = (1 - abs(x - source_column)) * (1 - abs(y - source_row))
                frame[row, column] += weight * image[source_row, source_column]
    return frame


def tilt_slowly(degrees):
    """The camera of ImageNet-P: onto a plane, turned about y and x, away by the diagonal, and onto the picture."""
    angle, focus = np.radians(degrees), np.hypot(HEIGHT, WIDTH)
    x, y = (WIDTH - 1) / 2, (HEIGHT - 1) / 2
    to_space = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 0]])
    about_y = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    away = np.array([[0, 0, 0], [0, 0, 0], [0, 0, focus]])
    to_picture = np.array([[focus, 0, x], [0, focus, y], [0, 0, 1]])
    return to_picture @ (about_x @ about_y @ to_space + away)


VALUES = np.array([-15.0, -1.0, 0.0, 7.0])
TRANSFORMS = {
    "translations": translations(VALUES),
    "scalings": scalings(np.array([0.4, 1.0, 1.15]), HEIGHT, WIDTH),
    "rotations": rotations(VALUES, HEIGHT, WIDTH),
    "tilts": tilts(VALUES, HEIGHT, WIDTH),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_frames_are_those_of_a_slow_reference(name):
    transforms = TRANSFORMS[name]
    frames = projected(IMAGES, transforms)
    assert frames.shape == (2, len(transforms), HEIGHT, WIDTH, 3)
    for image, position in itertools.product(range(2), range(len(transforms))):
        expected = projected_slowly(IMAGES[image], transforms[position])
        np.testing.assert_allclose(frames[image, position], expected, atol=1e-4)


def test_images_move_to_the_right():
    frames = projected(IMAGES, translations(np.array([2])))
    np.testing.assert_allclose(frames[:, 0, :, 2:], IMAGES[:, :, :-2], atol=1e-6)
    assert (frames[:, 0, :, :2] == 0).all()


def test_images_turn_clockwise_about_their_centre():
    square = IMAGES[:, :, :HEIGHT]
    frames = projected(square, rotations(np.array([90.0]), HEIGHT, HEIGHT))
    np.testing.assert_allclose(frames[:, 0, 1:-1, 1:-1], np.rot90(square, k=-1, axes=(1, 2))[:, 1:-1, 1:-1], atol=1e-4)


def test_scaling_leaves_the_centre_where_it_is():
    centre, right = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2, 1]), np.array([1, 0, 0])
    for transform, factor in zip(scalings(np.array([0.5, 2.0]), HEIGHT, WIDTH), [0.5, 2.0], strict=True):
        np.testing.assert_allclose(transform @ centre, centre)
        np.testing.assert_allclose(transform @ (centre + right), centre + factor * right)


def test_a_tilt_is_that_of_the_camera_of_imagenet_p():
    for transform, degrees in zip(tilts(VALUES, HEIGHT, WIDTH), VALUES, strict=True):
        expected = tilt_slowly(degrees)
        np.testing.assert_allclose(transform / transform[2, 2], expected / expected[2, 2], atol=1e-12)
