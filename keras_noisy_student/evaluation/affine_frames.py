"""Frames in which an image moves: projective transforms, float64 `(frames, 3, 3)`, and images under them.

A transform sends the pixel `(x, y, 1)` of the image to its place in the frame; what comes from outside is black.
"""

from typing import Any

import numpy as np
import tensorflow as tf


def translations(pixels: np.ndarray) -> np.ndarray:
    """To the right, by a number of pixels in each frame."""
    return _matrices(len(pixels), {(0, 2): pixels})


def scalings(factors: np.ndarray, height: int, width: int) -> np.ndarray:
    """About the centre, by a factor in each frame."""
    return _about_the_centre(_matrices(len(factors), {(0, 0): factors, (1, 1): factors}), height, width)


def rotations(degrees: np.ndarray, height: int, width: int) -> np.ndarray:
    """About the centre, clockwise, by an angle in each frame."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turns = _matrices(len(degrees), {(0, 0): cosine, (0, 1): -sine, (1, 0): sine, (1, 1): cosine})
    return _about_the_centre(turns, height, width)


def tilts(degrees: np.ndarray, height: int, width: int) -> np.ndarray:
    """About both axes of the image by an angle in each frame, seen from as far away as its diagonal is long."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    distance = np.hypot(height, width)
    # The columns that the pixels (x, y) and the point of view have in space, turned about the x and the y axis.
    plane = {(0, 0): cosine, (1, 0): -sine * sine, (1, 1): cosine, (2, 0): sine * cosine, (2, 1): sine}
    in_space = _matrices(len(degrees), plane | {(2, 2): distance})
    lens = _matrices(1, {(0, 0): distance, (1, 1): distance})
    return _about_the_centre(lens @ in_space, height, width)


def projected(images: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Every image under every transform, with bilinear interpolation.

    Args:
        images: float32 `(images, height, width, channels)`.
        transforms: `(frames, 3, 3)`.

    Returns:
        float32 `(images, frames, height, width, channels)`.
    """
    to_source = np.linalg.inv(transforms)
    rows = (to_source / to_source[:, 2:, 2:]).reshape(-1, 9)[:, :8]
    frames = tf.raw_ops.ImageProjectiveTransformV3(
        images=np.repeat(images, len(rows), axis=0),
        transforms=np.tile(rows, (len(images), 1)).astype(np.float32),
        output_shape=images.shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    projected_frames: np.ndarray = frames.numpy().reshape(len(images), len(rows), *images.shape[1:])
    return projected_frames


def _about_the_centre(transforms: np.ndarray, height: int, width: int) -> np.ndarray:
    """The same transforms with the centre of the image as their origin."""
    there, back = np.eye(3), np.eye(3)
    there[:2, 2], back[:2, 2] = ((1 - width) / 2, (1 - height) / 2), ((width - 1) / 2, (height - 1) / 2)
    moved: np.ndarray = back @ transforms @ there
    return moved


def _matrices(num_frames: int, entries: dict[tuple[int, int], Any]) -> np.ndarray:
    """Unit matrices in which some entries are others, by frame."""
    matrices = np.tile(np.eye(3), (num_frames, 1, 1))
    for (row, column), values in entries.items():
        matrices[:, row, column] = values
    return matrices
