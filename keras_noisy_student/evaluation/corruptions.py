"""Corruptions: the 15 of ImageNet-C, at 5 severities, of one uint8 image (Hendrycks and Dietterich 2019)."""

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_noisy_student.noise.seeds import stream_key

CORRUPTIONS = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
)
SEVERITIES = (1, 2, 3, 4, 5)
SMALLEST_SIDE = 32

# They draw from generators of their own, which the seed of NumPy does not reach.
_TAKE_A_SEED = ("impulse_noise", "glass_blur")


def corrupt(image: np.ndarray, corruption: str, severity: int, *, key: int) -> np.ndarray:
    """Corrupts one image by imagecorruptions-imaug, with the constants of ImageNet-C.

    Args:
        image: uint8 `(height, width, 3)`, of 32 pixels or more each way.
        corruption: one of `CORRUPTIONS`.
        severity: from 1 to 5.
        key: of the random draws.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        ImportError: without imagecorruptions-imaug.
    """
    seed = stream_key(key, corruption, severity) % 2**32
    seed_argument = {"seed": seed} if corruption in _TAKE_A_SEED else {}
    library = _library()
    with _numpy_seeded(seed):
        corrupted: np.ndarray = library.corrupt(image, corruption_name=corruption, severity=severity, **seed_argument)
    return corrupted


def _library() -> Any:
    try:
        return importlib.import_module("imagecorruptions")
    except ImportError as error:
        raise ImportError(
            "Corrupting images needs imagecorruptions-imaug, which cannot be imported. Install it by "
            '`pip install "keras-noisy-student[robustness]"`.'
        ) from error


@contextlib.contextmanager
def _numpy_seeded(seed: int) -> Iterator[None]:
    """Seeds NumPy's global generator, which the library draws from, and leaves it as it was."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
