import pathlib

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.evaluation import corrupted_images
from keras_noisy_student.evaluation.corrupted_images import CorruptedImages
from keras_noisy_student.evaluation.corruptions import CORRUPTIONS, corrupt
from keras_noisy_student.noise.seeds import stream_key
from keras_noisy_student.storage.checksums import DamagedFileError
from tests.damage import DAMAGES
from tests.evaluation.toy_images import images

IMAGES = images(3)


@pytest.fixture
def library():
    return pytest.importorskip("imagecorruptions")


def arrays(dataset):
    return np.stack(list(dataset.as_numpy_iterator()))


def refuse(*arguments, **keywords):
    raise AssertionError("Nothing should be corrupted again.")


def test_there_is_a_set_for_every_corruption_and_severity(tmp_path):
    corrupted = CorruptedImages(str(tmp_path / "sets"), IMAGES)
    assert len(corrupted) == len(list(corrupted)) == 75
    assert list(corrupted)[:6] == [("gaussian_noise", severity) for severity in range(1, 6)] + [("shot_noise", 1)]
    assert {corruption for corruption, _ in corrupted} == set(CORRUPTIONS)
    assert not (tmp_path / "sets").exists()
    with pytest.raises(KeyError, match="fog"):
        corrupted["fog", 6]


@pytest.mark.parametrize("as_dataset", [False, True])
@pytest.mark.parametrize("block_images", [1, 2, 100])
def test_a_set_holds_each_image_corrupted_by_its_place(library, tmp_path, monkeypatch, as_dataset, block_images):
    monkeypatch.setattr(corrupted_images, "_BLOCK_IMAGES", block_images)
    given = tf.data.Dataset.from_tensor_slices(IMAGES) if as_dataset else IMAGES
    corrupted = CorruptedImages(tmp_path, given, seed=4)
    for key in [("impulse_noise", 2), ("glass_blur", 1), ("motion_blur", 5)]:
        expected = [corrupt(image, *key, key=stream_key(4, position)) for position, image in enumerate(IMAGES)]
        np.testing.assert_array_equal(arrays(corrupted[key]), expected)


def test_a_set_is_made_once_and_read_ever_after(library, tmp_path, monkeypatch):
    first = arrays(CorruptedImages(tmp_path, IMAGES, seed=1)["glass_blur", 2])
    monkeypatch.setattr(corrupted_images, "corrupt", refuse)
    np.testing.assert_array_equal(arrays(CorruptedImages(tmp_path, IMAGES, seed=1)["glass_blur", 2]), first)


def test_a_set_whose_making_was_stopped_is_made_again(library, tmp_path, monkeypatch):
    def stop_at_the_last_image(image, *arguments, key):
        if key == stream_key(0, 2):
            raise KeyboardInterrupt
        return corrupt(image, *arguments, key=key)

    with monkeypatch.context() as stopped:
        stopped.setattr(corrupted_images, "corrupt", stop_at_the_last_image)
        with pytest.raises(KeyboardInterrupt):
            CorruptedImages(tmp_path, IMAGES)["contrast", 1]
    assert len(arrays(CorruptedImages(tmp_path, IMAGES)["contrast", 1])) == 3


@pytest.mark.parametrize("name", ["contrast-1.tfrecord", "contrast-1.tfrecord.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_set_is_refused_and_made_again_when_its_description_is_gone(library, tmp_path, name, damage):
    corrupted = CorruptedImages(tmp_path, IMAGES)
    expected = arrays(corrupted["contrast", 1])
    damage(tmp_path / name)
    description = tmp_path / "contrast-1.tfrecord.json"
    if description.exists():
        with pytest.raises(DamagedFileError, match=r"Delete .*contrast-1\.tfrecord\.json to have the set made again"):
            corrupted["contrast", 1]
        description.unlink()
    np.testing.assert_array_equal(arrays(corrupted["contrast", 1]), expected)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [((IMAGES[:2], 0), "made of other images with seed=0"), ((IMAGES, 5), "made of the same images with seed=0")],
)
def test_sets_of_other_images_or_another_seed_are_refused(library, tmp_path, arguments, received):
    CorruptedImages(tmp_path, IMAGES, seed=0)["contrast", 1]
    given, seed = arguments
    message = rf"`directory` must hold sets of the same images and seed={seed}\..*{received}"
    with pytest.raises(ValueError, match=message):
        CorruptedImages(tmp_path, given, seed=seed)["contrast", 1]


@pytest.mark.parametrize(
    ("given", "received"),
    [
        (IMAGES[:, :31], r"uint8 \(31, 32, 3\)"),
        (IMAGES[..., :1], r"uint8 \(32, 32, 1\)"),
        (IMAGES.astype("float32"), r"float32 \(32, 32, 3\)"),
        (tf.data.Dataset.from_generator(lambda: iter(IMAGES), output_signature=tf.TensorSpec((None, 32, 3), tf.uint8)),
         r"uint8 \(None, 32, 3\)"),
    ],
)  # fmt: skip
def test_images_that_cannot_be_corrupted_are_refused(tmp_path, given, received):
    with pytest.raises(ValueError, match=rf"uint8 of one size, 32 pixels or more.* Received: {received}"):
        CorruptedImages(tmp_path, given)


def test_other_arguments_are_checked(tmp_path):
    for seed in (0.5, None):
        with pytest.raises(ValueError, match=rf"`seed` must be an integer of 64 bits\. Received: seed={seed}\."):
            CorruptedImages(tmp_path, IMAGES, seed=seed)
    with pytest.raises(ValueError, match=r"`directory` must be a path"):
        CorruptedImages(3, IMAGES)
    with pytest.raises(ValueError, match=r"`directory` must be a path"):
        CorruptedImages(None, IMAGES)
    assert list(pathlib.Path(tmp_path).iterdir()) == []
