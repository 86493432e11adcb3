import colorsys

import numpy as np
import pytest

from keras_noisy_student.evaluation.affine_frames import projected, rotations, scalings, tilts, translations
from keras_noisy_student.evaluation.motion_blur import motion_blurred
from keras_noisy_student.evaluation.perturbations import PERTURBATIONS, STRENGTHS, perturbed
from tests.evaluation.toy_images import grey, images

SIDE = 8
IMAGES = images(3, side=SIDE)
KEYS = [11, 12, 13]
CIFAR, IMAGENET = STRENGTHS["cifar10_p"], STRENGTHS["imagenet_p"]
NUM_FRAMES = {"cifar10_p": {"motion_blur": 21, "translate": 16}, "imagenet_p": {"translate": 41}}


def levels(frames):
    return np.clip(frames, 0, 1) * 255


def assert_same_levels(frames, expected):
    """To rounding."""
    np.testing.assert_allclose(frames.astype("float64"), levels(expected), atol=0.51)


@pytest.mark.parametrize("strengths", STRENGTHS)
@pytest.mark.parametrize("perturbation", PERTURBATIONS)
def test_sequences_have_their_frames_and_follow_from_image_and_key(perturbation, strengths):
    frames = perturbed(IMAGES, perturbation, STRENGTHS[strengths], keys=KEYS)
    num_frames = NUM_FRAMES[strengths].get(perturbation, 31)
    assert frames.shape == (3, num_frames, SIDE, SIDE, 3)
    assert frames.dtype == np.uint8
    alone = perturbed(IMAGES[1:2], perturbation, STRENGTHS[strengths], keys=KEYS[1:2])
    np.testing.assert_array_equal(frames[1:2], alone)


@pytest.mark.parametrize("strengths", STRENGTHS)
@pytest.mark.parametrize("perturbation", PERTURBATIONS)
def test_every_frame_differs_from_the_one_before(perturbation, strengths):
    frames = perturbed(images(1, side=48), perturbation, STRENGTHS[strengths], keys=KEYS[:1])[0]
    assert (frames[1:] != frames[:-1]).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("perturbation", PERTURBATIONS)
def test_only_noise_and_snow_are_drawn(perturbation):
    first, second = (perturbed(IMAGES[:1], perturbation, CIFAR, keys=[key]) for key in (1, 2))
    is_drawn = perturbation in ("gaussian_noise", "shot_noise", "snow")
    assert (first != second).any() == is_drawn


@pytest.mark.parametrize(
    ("perturbation", "middle"),
    [
        ("gaussian_noise", 0),
        ("shot_noise", 0),
        ("zoom_blur", 0),
        ("brightness", 15),
        ("translate", 7),
        ("rotate", 15),
        ("tilt", 15),
        ("scale", 15),
    ],
)
def test_one_frame_is_the_image_itself(perturbation, middle):
    frames = perturbed(IMAGES, perturbation, CIFAR, keys=KEYS)
    np.testing.assert_allclose(frames[:, middle].astype(int), IMAGES, atol=1)


@pytest.mark.parametrize(("strengths", "deviation"), [(CIFAR, 0.02), (IMAGENET, 0.03)])
def test_gaussian_noise_has_its_deviation(strengths, deviation):
    frames = perturbed(grey([128], side=32), "gaussian_noise", strengths, keys=[0])
    noise = frames[0, 1:].astype(float) - 128
    assert noise.std() == pytest.approx(255 * deviation, rel=0.02)
    assert abs(noise.mean()) < 0.1


@pytest.mark.parametrize(("strengths", "photons"), [(CIFAR, 700), (IMAGENET, 300)])
def test_shot_noise_is_that_of_counted_photons(strengths, photons):
    frames = perturbed(grey([51], side=32), "shot_noise", strengths, keys=[0])
    noise = frames[0, 1:].astype(float) - 51
    assert noise.std() == pytest.approx(255 * np.sqrt(0.2 / photons), rel=0.02)
    assert abs(noise.mean()) < 0.1


def test_motion_blur_turns_up_to_the_angle_0():
    frames = perturbed(IMAGES, "motion_blur", CIFAR, keys=KEYS)
    for frame, degrees in [(0, -180), (5, -135), (20, 0)]:
        assert_same_levels(frames[:, frame], motion_blurred(IMAGES / 255, radius=6, deviation=1.8, degrees=degrees))


def test_zoom_blur_is_the_mean_of_all_zooms_so_far():
    frames = perturbed(IMAGES, "zoom_blur", CIFAR, keys=KEYS)
    for last in (1, 30):
        factors = np.array([1 + 0.004 * frame for frame in range(last + 1)])
        zooms = projected(np.float32(IMAGES / 255), scalings(factors, SIDE, SIDE))
        assert_same_levels(frames[:, last], zooms.mean(axis=1))


@pytest.mark.parametrize(("strengths", "step"), [(CIFAR, 0.015), (IMAGENET, 0.02)])
def test_brightness_moves_the_value_of_hsv(strengths, step):
    frames = perturbed(IMAGES[:1], "brightness", strengths, keys=[0])
    for frame in (0, 20, 30):
        expected = np.empty((SIDE, SIDE, 3))
        for place in np.ndindex(SIDE, SIDE):
            hue, saturation, value = colorsys.rgb_to_hsv(*(IMAGES[0][place] / 255))
            expected[place] = colorsys.hsv_to_rgb(hue, saturation, np.clip(value + step * (frame - 15), 0, 1))
        assert_same_levels(frames[0, frame], expected)


@pytest.mark.parametrize(
    ("perturbation", "strengths", "transforms"),
    [
        ("translate", CIFAR, translations(np.arange(-7, 9))),
        ("translate", IMAGENET, translations(np.arange(-20, 21))),
        ("rotate", CIFAR, rotations(np.arange(-15, 16), SIDE, SIDE)),
        ("tilt", CIFAR, tilts(0.75 * np.arange(-15, 16), SIDE, SIDE)),
        ("tilt", IMAGENET, tilts(np.arange(-15.0, 16), SIDE, SIDE)),
        ("scale", CIFAR, scalings((np.arange(31) * 2 + 70) / 100, SIDE, SIDE)),
        ("scale", IMAGENET, scalings((np.arange(31) * 2.5 + 40) / 100, SIDE, SIDE)),
    ],
)
def test_geometric_sequences_are_those_of_the_published_scripts(perturbation, strengths, transforms):
    frames = perturbed(IMAGES, perturbation, strengths, keys=KEYS)
    assert_same_levels(frames, projected(np.float32(IMAGES / 255), transforms))


def test_snow_falls_on_a_whitened_image():
    frames = perturbed(grey([0, 100], side=32), "snow", CIFAR, keys=[1, 2]).astype(float)
    # 0.85 of the image, 0.15 of 1.5 times its grey and half a white.
    ground = [0.15 * 0.5 * 255, 0.85 * 100 + 0.15 * (1.5 * 100 + 127.5)]
    np.testing.assert_allclose(frames.min(axis=(1, 2, 3, 4)), ground, atol=1)
    assert (frames.max(axis=(1, 2, 3, 4)) > np.add(ground, 30)).all()
    # Snow has no colour, and falls as much on every frame.
    assert (np.ptp(frames, axis=-1) <= 1).all()
    amounts = frames.mean(axis=(2, 3, 4))
    assert (np.ptp(amounts, axis=1) < 12).all()
