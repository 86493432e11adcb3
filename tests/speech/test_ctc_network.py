"""`ctc_network` and `FrameMask`."""

import keras
import numpy as np
import pytest

import keras_noisy_student as kns
from keras_noisy_student.speech.blank_padding import is_sure_of_blank

LENGTHS = np.array([23, 9, 1, 0], np.int32)


def examples(num_frames=23):
    features = np.random.default_rng(0).normal(size=(4, num_frames, 5)).astype("float32")
    return {"features": features, "length": LENGTHS}


def small_network(**sizes):
    return kns.speech.ctc_network(7, num_bins=5, width=8, **sizes)


@pytest.mark.parametrize("subsampling", [1, 2, 3])
def test_it_has_an_output_for_every_few_frames_and_is_sure_of_the_blank_in_padding(subsampling):
    outputs = small_network(subsampling=subsampling)(examples())
    assert outputs.shape == (4, -(-23 // subsampling), 8)
    assert outputs.dtype == "float32"
    num_valid = np.sum(~is_sure_of_blank(outputs).numpy(), axis=1)
    assert num_valid.tolist() == [-(-length // subsampling) for length in LENGTHS]


@pytest.mark.parametrize("subsampling", [1, 2, 3, 4])
def test_padding_changes_nothing(subsampling):
    network, batch = small_network(subsampling=subsampling), examples()
    expected = network(batch)
    batch["features"][1, 9:] = 100.0
    np.testing.assert_array_equal(network(batch)[1], expected[1])
    for num_more in range(1, 5):
        longer = {**batch, "features": np.pad(batch["features"], [(0, 0), (0, num_more), (0, 0)])}
        np.testing.assert_allclose(network(longer)[:, : expected.shape[1]], expected, atol=1e-5)


def test_noise_finds_its_layers():
    network = small_network(num_blocks=2)
    changed = kns.set_model_noise(network, dropout_rate=0.3, survival_probability=0.5)
    assert len(changed) == 4


def test_it_survives_its_file(tmp_path):
    network = small_network()
    network.save(tmp_path / "network.keras")
    restored = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(restored(examples()), network(examples()))


@pytest.mark.parametrize("name", ["num_bins", "width", "num_blocks", "subsampling"])
def test_sizes_out_of_range(name):
    with pytest.raises(ValueError, match=f"`{name}` must be a positive integer"):
        kns.speech.ctc_network(7, **{"num_bins": 5, name: 0})


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_frames_beyond_the_end_are_zero(policy):
    masked = kns.speech.FrameMask(dtype=policy)(np.ones((4, 23, 5), "float32"), LENGTHS)
    assert masked.dtype == ("float32" if policy == "float32" else "float16")
    assert masked.numpy().sum(axis=(1, 2)).tolist() == (5 * LENGTHS).tolist()


def test_a_mask_of_other_shapes_is_refused():
    with pytest.raises(ValueError, match=r"Received: frames of shape \(23, 5\) and lengths of shape \(4,\)"):
        kns.speech.FrameMask()(np.ones((23, 5)), LENGTHS)
