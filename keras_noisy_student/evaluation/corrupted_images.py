"""`CorruptedImages`: the images of a test set under every corruption and severity, made once and stored."""

import dataclasses
import functools
import hashlib
import itertools
import os
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.argument_checks import checked_directory, checked_fixed_seed
from keras_noisy_student.evaluation.corruptions import CORRUPTIONS, SEVERITIES, SMALLEST_SIDE, corrupt
from keras_noisy_student.evaluation.image_batches import batches, checked_images
from keras_noisy_student.noise.seeds import stream_key
from keras_noisy_student.storage.atomic_files import make_directory
from keras_noisy_student.storage.checksums import DamagedFileError, check_file
from keras_noisy_student.storage.json_files import read_json, write_json
from keras_noisy_student.storage.tensor_files import write_tensors
from keras_noisy_student.storage.typed_fields import from_json

_BLOCK_IMAGES = 100


class CorruptedImages(Mapping[tuple[str, int], tf.data.Dataset]):
    """Images under the 15 corruptions of ImageNet-C at 5 severities, so that all models see the very same ones.

    Each of the 75 sets is made when it is first read, and read from the disk ever after. The corruptions are those of
    imagecorruptions-imaug (extra `robustness`), with the constants that ImageNet-C has for images of 224 pixels: at
    32 pixels they are much stronger than those of CIFAR-10-C.

    It maps `(corruption, severity)` to a `tf.data.Dataset` of unbatched uint8 images, in the order of `images`. Any
    other mapping of that kind serves as well where `corrupted` is asked for, to arrays too: published ImageNet-C or
    CIFAR-10-C files are read so.

    Args:
        directory: where the sets are stored, 75 times the size of the images. One process at a time may make them.
        images: uint8 of one size of 32 pixels or more, 3 channels: an array `(images, height, width, 3)`, or a
            `tf.data.Dataset` of unbatched images.
        seed: key of the random draws. An image is corrupted by its place in `images`.

    Raises:
        ValueError: for other images; on reading, where the directory holds sets of other images or of another seed.
        DamagedFileError: on reading, where a stored set is not what was written.
        ImportError: on reading, where a set must be made and imagecorruptions-imaug is not installed.

    Example:
        >>> import tempfile
        >>> images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype("uint8")
        >>> corrupted = CorruptedImages(tempfile.mkdtemp(), images, seed=0)
        >>> len(corrupted), corrupted["contrast", 5].element_spec.shape
        (75, TensorShape([32, 32, 3]))
        >>> bool(next(iter(corrupted["contrast", 5])).numpy().std() < images[0].std() / 10)
        True

    Reference:
        Hendrycks and Dietterich 2019, https://arxiv.org/abs/1903.12261
    """

    def __init__(self, directory: str | os.PathLike[str], images: Any, *, seed: int = 0) -> None:
        path = checked_directory(directory)
        if path is None:
            raise ValueError("`directory` must be a path. Received: directory=None.")
        self._directory = path
        self._images = checked_images(images)
        _check_can_be_corrupted(self._images)
        self._seed = checked_fixed_seed(seed)

    def __getitem__(self, corruption_and_severity: tuple[str, int]) -> tf.data.Dataset:
        if corruption_and_severity not in set(self):
            raise KeyError(corruption_and_severity)
        corruption, severity = corruption_and_severity
        path = posixpath.join(self._directory, f"{corruption}-{severity}.tfrecord")
        description = f"{path}.json"
        if not tf.io.gfile.exists(description):
            self._make(corruption, severity, path, description)
        self._check(path, description)
        return _read(path, self._shape)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return itertools.product(CORRUPTIONS, SEVERITIES)

    def __len__(self) -> int:
        return len(CORRUPTIONS) * len(SEVERITIES)

    @property
    def _shape(self) -> tf.TensorShape:
        images = self._images
        return images.element_spec.shape if isinstance(images, tf.data.Dataset) else tf.TensorShape(images.shape[1:])

    @functools.cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        for block in batches(self._images, batch_size=_BLOCK_IMAGES):
            digest.update(np.ascontiguousarray(block).data)
        return digest.hexdigest()

    def _make(self, corruption: str, severity: int, path: str, description: str) -> None:
        make_directory(self._directory)
        images = (image for block in batches(self._images, batch_size=_BLOCK_IMAGES) for image in block)
        corrupted = (
            corrupt(image, corruption, severity, key=stream_key(self._seed, position))
            for position, image in enumerate(images)
        )
        sha256 = write_tensors(path, _blocks(corrupted))
        write_json(description, dataclasses.asdict(_Stored(self._digest, self._seed, sha256)))

    def _check(self, path: str, description: str) -> None:
        try:
            stored = from_json(_Stored, read_json(description))
            check_file(path, stored.sha256)
        except (DamagedFileError, TypeError) as error:
            raise DamagedFileError(f"{error} Delete {description} to have the set made again.") from error
        if (stored.images, stored.seed) != (self._digest, self._seed):
            raise ValueError(
                f"`directory` must hold sets of the same images and seed={self._seed}. Received: {path}, made of "
                f"{'the same' if stored.images == self._digest else 'other'} images with seed={stored.seed}. Name "
                "another directory, or delete this one."
            )


@dataclasses.dataclass(frozen=True)
class _Stored:
    """What the JSON file beside a set says.

    Args:
        images: checksum of the images that were corrupted.
        seed: see `CorruptedImages`.
        sha256: checksum of the file.
    """

    images: str
    seed: int
    sha256: str


def _check_can_be_corrupted(images: tf.data.Dataset | np.ndarray) -> None:
    spec = images.element_spec if isinstance(images, tf.data.Dataset) else tf.TensorSpec(images.shape[1:], images.dtype)
    height, width, channels = spec.shape
    if spec.dtype != tf.uint8 or channels != 3 or min(height or 0, width or 0) < SMALLEST_SIDE:
        raise ValueError(
            f"`images` must be uint8 of one size, {SMALLEST_SIDE} pixels or more each way, and 3 channels. Received: "
            f"{spec.dtype.name} {spec.shape}. Resize them by `tf.image.resize`, repeat a grey channel by "
            "`tf.image.grayscale_to_rgb`, cast by `tf.cast(..., tf.uint8)`."
        )


def _blocks(images: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    while block := list(itertools.islice(images, _BLOCK_IMAGES)):
        yield np.stack(block)


def _read(path: str, shape: tf.TensorShape) -> tf.data.Dataset:
    def block(record: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.io.parse_tensor(record, tf.uint8), [None, *shape])

    return tf.data.TFRecordDataset(path).map(block).unbatch()
