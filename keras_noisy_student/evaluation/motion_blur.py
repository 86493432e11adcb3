"""Motion blur: each pixel smeared along a line, by half a bell curve, as ImageMagick does it."""

import numpy as np


def motion_blurred(images: np.ndarray, *, radius: int, deviation: float, degrees: float) -> np.ndarray:
    """Blurs images in one direction.

    Args:
        images: float32 `(images, height, width, channels)`. Outside them their border goes on.
        radius: half the length of the line, in pixels.
        deviation: of the bell curve, in pixels.
        degrees: the direction, clockwise from the right.
    """
    length = 2 * radius + 1
    weights = np.exp(-(np.arange(length) ** 2) / (2 * deviation**2)).astype(np.float32)
    weights /= weights.sum()
    height, width = images.shape[1:3]
    padded = np.pad(images, [(0, 0), (length, length), (length, length), (0, 0)], mode="edge")
    blurred = np.zeros_like(images)
    for distance, weight in enumerate(weights):
        row = length + round(distance * np.sin(np.radians(degrees)))
        column = length + round(distance * np.cos(np.radians(degrees)))
        blurred += weight * padded[:, row : row + height, column : column + width]
    return blurred
