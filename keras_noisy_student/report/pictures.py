"""Pictures: examples that people can look at, as `data:` URIs: images, clips and spectrograms."""

import base64
import io
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

_LONGEST_SIDE = 160
_MOST_LOSSLESS = 64
_FRAMES = 4


def pictures(x: Any) -> Callable[[Any], str] | None:
    """How examples like this one are drawn, or `None` for what has no picture: vectors, token ids and the like.

    Args:
        x: an example as NumPy arrays: an image `(height, width, channels)` or `(height, width)` of uint8, a clip
            `(frames, height, width, channels)`, or features `(frames, bins)`, which may stand in a dict with their
            `length`.

    Returns:
        From an example, noised or not, to the URI. The range of the grey levels is that of `x`.
    """
    if isinstance(x, Mapping):
        has_features = {"features", "length"} <= x.keys() and x["features"].ndim == 2
        return (lambda example: _spectrogram(_valid(example))) if has_features else None
    if not isinstance(x, np.ndarray):
        return None
    if x.ndim == 2 and x.dtype.kind == "f":
        return _spectrogram
    low, high = _levels(x) if x.size and x.dtype.kind in "fiu" else (0.0, 255.0)

    def uint8(example: np.ndarray) -> np.ndarray:
        return np.round(255 * (np.clip(example.astype(np.float64), low, high) - low) / (high - low)).astype("uint8")

    if x.ndim == 2 and x.dtype == np.uint8:
        return lambda example: _uri(uint8(example))
    if x.ndim == 3 and x.shape[-1] in (1, 3):
        return lambda example: _uri(uint8(example))
    if x.ndim == 4 and x.shape[-1] in (1, 3):
        return lambda example: _uri(_frames(uint8(example)))
    return None


def _levels(x: np.ndarray) -> tuple[float, float]:
    """What is black and white in floats: 0 and 1, 0 and 255, or else the extremes."""
    low, high = float(np.min(x)), float(np.max(x))
    if x.dtype == np.uint8 or (low >= 0 and 1 < high <= 255):
        return 0.0, 255.0
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return (low, high) if low < high else (low - 1, low + 1)


def _frames(clip: np.ndarray) -> np.ndarray:
    """A few frames side by side, from the first to the last."""
    places = np.linspace(0, len(clip) - 1, min(_FRAMES, len(clip))).round().astype(int)
    return np.concatenate(list(clip[places]), axis=1)


def _valid(example: Mapping[str, np.ndarray]) -> np.ndarray:
    return example["features"][: max(1, int(example["length"]))]


def _spectrogram(features: np.ndarray) -> str:
    """Time from left to right, bins from bottom to top."""
    low, high = float(np.min(features)), float(np.max(features))
    scaled = (features.T[::-1].astype(np.float64) - low) / ((high - low) or 1.0)
    return _uri(matplotlib.colormaps["viridis"](scaled, bytes=True)[..., :3])


def _uri(levels: np.ndarray) -> str:
    image = Image.fromarray(levels[..., 0] if levels.ndim == 3 and levels.shape[-1] == 1 else levels)
    is_small = max(image.size) <= _MOST_LOSSLESS
    image.thumbnail((_LONGEST_SIDE * _FRAMES, _LONGEST_SIDE))
    file = io.BytesIO()
    # PNG of small images stays sharp when the page enlarges them; of photographs it takes ten times the room of JPEG.
    kind = "png" if is_small else "jpeg"
    image.save(file, format=kind, quality=85)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
