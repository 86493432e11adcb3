"""Perturbation sequences: the 10 of ImageNet-P, in which an image changes a little from frame to frame.

After Hendrycks and Dietterich 2019, arXiv 1903.12261, and their `create_p` scripts. Images are uint8
`(images, height, width, 3)`, sequences `(images, frames, height, width, 3)`. ImageNet-P cuts its frames out of larger
images and stores them as videos; here what lies outside the image is black and nothing is compressed.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from keras_noisy_student.evaluation.affine_frames import projected, rotations, scalings, tilts, translations
from keras_noisy_student.evaluation.motion_blur import motion_blurred
from keras_noisy_student.noise.seeds import stream_key

PERTURBATIONS = (
    "gaussian_noise",
    "shot_noise",
    "motion_blur",
    "zoom_blur",
    "snow",
    "brightness",
    "translate",
    "rotate",
    "tilt",
    "scale",
)
COMPARED_WITH_THE_FIRST_FRAME = ("gaussian_noise", "shot_noise")

_FRAMES = 31
_MIDDLE = _FRAMES // 2


@dataclasses.dataclass(frozen=True)
class Strengths:
    """The constants in which ImageNet-P, for 224 pixels, and CIFAR-10-P, for 32, differ.

    Args:
        noise_deviation: of Gaussian noise, the full range being 1.
        photons: that a white pixel receives under shot noise.
        blur: radius and standard deviation in pixels of the motion blur, the angle between frames in degrees, and the
            number of frames.
        snow_blur: radius and standard deviation in pixels of the blur of the flakes.
        snow_zoom: size of the flakes.
        brightness_step: that the value of HSV changes from frame to frame, the full range being 1.
        translations: in pixels, of each frame.
        tilt_step: in degrees, from frame to frame.
        scales: of the first and the last frame.
    """

    noise_deviation: float
    photons: float
    blur: tuple[int, float, float, int]
    snow_blur: tuple[int, float]
    snow_zoom: int
    brightness_step: float
    translations: range
    tilt_step: float
    scales: tuple[float, float]


STRENGTHS = {
    "cifar10_p": Strengths(
        noise_deviation=0.02,
        photons=700,
        blur=(6, 1.8, 9, 21),
        snow_blur=(10, 2),
        snow_zoom=2,
        brightness_step=0.015,
        translations=range(-7, 9),
        tilt_step=0.75,
        scales=(0.7, 1.3),
    ),
    "imagenet_p": Strengths(
        noise_deviation=0.03,
        photons=300,
        blur=(10, 3, 4, 31),
        snow_blur=(14, 4),
        snow_zoom=3,
        brightness_step=0.02,
        translations=range(-20, 21),
        tilt_step=1,
        scales=(0.4, 1.15),
    ),
}
StrengthsName = Literal["cifar10_p", "imagenet_p"]


def perturbed(images: np.ndarray, perturbation: str, strengths: Strengths, *, keys: Sequence[int]) -> np.ndarray:
    """The sequence of each image under one of `PERTURBATIONS`.

    Args:
        images: uint8 `(images, height, width, 3)`.
        perturbation: its name.
        strengths: see `STRENGTHS`.
        keys: of the random draws of each image.

    Returns:
        uint8 `(images, frames, height, width, 3)`.
    """
    generators = [np.random.default_rng(stream_key(key, perturbation) % 2**64) for key in keys]
    frames = _MAKERS[perturbation](images.astype(np.float32) / 255, strengths, generators)
    levels: np.ndarray = (np.clip(frames, 0, 1) * 255 + 0.5).astype(np.uint8)
    return levels


Generators = Sequence[np.random.Generator]


def _gaussian_noise(images: np.ndarray, strengths: Strengths, generators: Generators) -> np.ndarray:
    noise = [generator.normal(size=(_FRAMES - 1, *images.shape[1:])) for generator in generators]
    return _after_the_image(images, images[:, None] + strengths.noise_deviation * np.stack(noise))


def _shot_noise(images: np.ndarray, strengths: Strengths, generators: Generators) -> np.ndarray:
    photons = [
        generator.poisson(image * strengths.photons, size=(_FRAMES - 1, *image.shape))
        for generator, image in zip(generators, images, strict=True)
    ]
    return _after_the_image(images, np.stack(photons) / strengths.photons)


def _motion_blur(images: np.ndarray, strengths: Strengths, generators: Generators) -> np.ndarray:
    radius, deviation, step, num_frames = strengths.blur
    angles = [step * (frame - num_frames + 1) for frame in range(num_frames)]
    frames = [motion_blurred(images, radius=radius, deviation=deviation, degrees=angle) for angle in angles]
    return np.stack(frames, 1)


def _zoom_blur(images: np.ndarray, strengths: Strengths, generators: Generators) -> np.ndarray:
    zoomed = projected(images, scalings(1 + 0.004 * np.arange(_FRAMES), *images.shape[1:3]))
    return np.cumsum(zoomed, axis=1) / np.arange(1, _FRAMES + 1)[:, None, None, None]


def _snow(images: np.ndarray, strengths: Strengths, generators: Generators) -> np.ndarray:
    radius, deviation = strengths.snow_blur
    height, width = images.shape[1:3]
    flakes = np.stack([_flakes(generator, height, width, zoom=strengths.snow_zoom) for generator in generators])
    grey = images @ np.array([[0.299], [0.587], [0.114]], np.float32)
    whitened = 0.85 * images + 0.15 * np.maximum(images, 1.5 * grey + 0.5)
    frames = []
    for frame in range(_FRAMES):
        falling = motion_blurred(flakes, radius=radius, deviation=deviation, degrees=4 * frame - 150)
        frames.append(whitened + falling + np.rot90(falling, k=2, axes=(1, 2)))
    return np.stack(frames, 1)


def _flakes(generator: np.random.Generator, height: int, width: int, *, zoom: int) -> np.ndarray:
    """Where there is snow, float32 `(height, width, 1)`."""
    drawn = generator.normal(0.05, 0.3, size=(-(-height // zoom), -(-width // zoom), 1))
    layer = tf.image.resize(drawn, (drawn.shape[0] * zoom, drawn.shape[1] * zoom)).numpy()[:height, :width]
    return np.where(layer < 0.5, 0, np.minimum(layer, 1)).astype(np.float32)


def _brightness(images: np.ndarray, strengths: Strengths, generators: Generators) -> np.ndarray:
    hue, saturation, value = np.split(tf.image.rgb_to_hsv(images).numpy()[:, None], 3, axis=-1)
    changes = strengths.brightness_step * (np.arange(_FRAMES, dtype=np.float32) - _MIDDLE)
    values = np.clip(value + changes[:, None, None, None], 0, 1)
    others = [np.broadcast_to(channel, values.shape) for channel in (hue, saturation)]
    frames: np.ndarray = tf.image.hsv_to_rgb(np.concatenate([*others, values], -1)).numpy()
    return frames


def _translate(images: np.ndarray, strengths: Strengths, generators: Generators) -> np.ndarray:
    return projected(images, translations(np.array(strengths.translations)))


def _rotate(images: np.ndarray, strengths: Strengths, generators: Generators) -> np.ndarray:
    return projected(images, rotations(np.arange(_FRAMES) - _MIDDLE, *images.shape[1:3]))


def _tilt(images: np.ndarray, strengths: Strengths, generators: Generators) -> np.ndarray:
    return projected(images, tilts(strengths.tilt_step * (np.arange(_FRAMES) - _MIDDLE), *images.shape[1:3]))


def _scale(images: np.ndarray, strengths: Strengths, generators: Generators) -> np.ndarray:
    return projected(images, scalings(np.linspace(*strengths.scales, _FRAMES), *images.shape[1:3]))


def _after_the_image(images: np.ndarray, noised: np.ndarray) -> np.ndarray:
    return np.concatenate([images[:, None], noised], 1)


_MAKERS: dict[str, Callable[[np.ndarray, Strengths, Generators], np.ndarray]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "motion_blur": _motion_blur,
    "zoom_blur": _zoom_blur,
    "snow": _snow,
    "brightness": _brightness,
    "translate": _translate,
    "rotate": _rotate,
    "tilt": _tilt,
    "scale": _scale,
}
