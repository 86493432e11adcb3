import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from tests.layer_contract import check_layer

# Keras itself, when it saves a model, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def _clips(channels=3, dtype="float32"):
    return np.random.default_rng(0).integers(0, 256, (2, 4, 5, 6, channels)).astype(dtype)


def _by_definition(clip):
    """Frame by frame; the weights of red, green and blue are those of ITU-R BT.601."""
    gray = [frame @ [0.299, 0.587, 0.114] if frame.shape[-1] == 3 else frame[..., 0] for frame in clip]
    last = len(gray) - 1
    stacked = [(gray[max(place - 1, 0)], gray[place], gray[min(place + 1, last)]) for place in range(len(gray))]
    return np.stack([np.stack(channels, axis=-1) for channels in stacked])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_every_frame_stands_between_its_neighbours(channels, jit_compile):
    clips = _clips(channels)
    stacked = tf.function(kns.video.StackedGrayscale(), jit_compile=jit_compile)(clips)
    np.testing.assert_allclose(stacked, [_by_definition(clip) for clip in clips], atol=0.05)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_the_dtype_stays_that_of_the_clips(dtype):
    stacked = kns.video.StackedGrayscale()(_clips(dtype=dtype))
    assert stacked.dtype.name == dtype
    np.testing.assert_allclose(stacked, [_by_definition(clip) for clip in _clips()], atol=1)


def test_a_clip_without_a_batch_and_one_of_a_single_frame():
    clip = _clips()[0]
    layer = kns.video.StackedGrayscale()
    np.testing.assert_array_equal(layer(clip), layer(clip[None])[0])
    np.testing.assert_allclose(layer(clip[:1]), _by_definition(clip[:1]), atol=0.05)


def test_number_and_size_of_the_frames_may_be_unknown():
    stack = tf.function(kns.video.StackedGrayscale(), [tf.TensorSpec([None, None, None, None, 3])])
    np.testing.assert_array_equal(stack(_clips()), kns.video.StackedGrayscale()(_clips()))


def test_a_mask_is_handed_on_to_the_next_layer():
    clips, mask = tf.constant(_clips()), tf.constant([[True] * 3 + [False]] * 2)
    clips._keras_mask = mask
    np.testing.assert_array_equal(kns.video.StackedGrayscale()(clips)._keras_mask, mask)


def test_contract(tmp_path):
    check_layer(kns.video.StackedGrayscale, {}, _clips(dtype="uint8"), tmp_path)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 5, 3), r"`clips` must have shape .* Received: clips of shape \(4, 5, 3\)"),
        (
            (2, 4, 5, 5, 4),
            r"`clips` must have 1 or 3 channels\. Received: .* \(2, 4, 5, 5, 4\)\. Pass .* by `clips\[\.\.\., :3\]`\.",
        ),
    ],
)
def test_what_it_refuses(shape, message):
    with pytest.raises(ValueError, match=message):
        kns.video.StackedGrayscale()(np.zeros(shape, "uint8"))
