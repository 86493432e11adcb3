"""Noise in place of raw examples."""

import numpy as np
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.serving.made_up_examples import made_up_examples


def test_they_are_of_their_spec_and_differ_from_each_other():
    spec = {"clip": tf.TensorSpec((None, 4, 3), tf.uint8), "pitch": tf.TensorSpec((7,), tf.float16)}
    examples = made_up_examples(spec)
    assert {name: (tuple(x.shape), x.dtype) for name, x in examples.items()} == {
        "clip": ((5, 64, 4, 3), tf.uint8),
        "pitch": ((5, 7), tf.float16),
    }
    assert np.ptp(examples["clip"], axis=(1, 2, 3)).min() > 200
    assert len(np.unique(examples["pitch"], axis=0)) == 5


def test_ids_are_0_and_waveforms_have_their_length():
    assert made_up_examples(tf.TensorSpec((3,), tf.int32)).numpy().tolist() == [[0, 0, 0]] * 5
    assert made_up_examples({"x": tf.TensorSpec((), tf.int64)})["x"].numpy().tolist() == [0] * 5
    waveforms = made_up_examples(kns.speech.LogMel(16000).element_spec)
    assert waveforms["waveform"].shape == (5, 4096)
    assert waveforms["length"].numpy().tolist() == [4096] * 5
    assert np.ptp(made_up_examples(tf.TensorSpec((None,), tf.int16)).numpy().astype(int)) > 2**15
