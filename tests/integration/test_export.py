"""The exported SavedModel, loaded where only TensorFlow is."""

import json
import subprocess
import sys

import keras
import numpy as np
import tensorflow as tf

import keras_noisy_student as kns

LOADER = """
import json, sys
sys.modules["keras"] = sys.modules["keras_noisy_student"] = None  # importing either is an error
import numpy as np
import tensorflow as tf

model = tf.saved_model.load(sys.argv[1])
serve = model.signatures["serving_default"]
images = np.load(sys.argv[2])
answers = [serve(tf.constant(images[:size])) for size in (1, 5)]
print(json.dumps([{name: value.numpy().tolist() for name, value in answer.items()} for answer in answers]))
"""


def make_network(round_index):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, use_bias=False)(x)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    x = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, keras.layers.Dense(2)(x))


def test_a_fresh_process_with_tensorflow_alone_agrees_with_predict(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    x = rng.integers(0, 100, (40, 8, 8, 3)) + 100 * y[:, None, None, None]
    x = x.astype("uint8")
    trainer = kns.NoisyStudentTrainer(
        make_network,
        kns.Classification(num_classes=2, from_logits=True),
        noise=kns.Noise(augmentation=keras.layers.GaussianNoise(0.5)),
    )
    trainer.compile(keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.5))
    trainer.fit_rounds((x, y), x, num_rounds=1, batch_size=8, epochs=4, verbose=0)
    trainer.export(str(tmp_path / "served" / "1"))

    np.save(tmp_path / "images.npy", x[:5])
    (tmp_path / "load.py").write_text(LOADER)
    arguments = [sys.executable, "load.py", "served/1", "images.npy"]
    process = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    expected = trainer.predict(x[:5], verbose=0)
    for answer, size in zip(json.loads(process.stdout), (1, 5), strict=True):
        np.testing.assert_allclose(answer["probabilities"], expected[:size], atol=1e-5)
        assert answer["class_ids"] == expected[:size].argmax(axis=-1).tolist()


def test_the_signature_takes_raw_examples_in_batches_of_any_size(tmp_path):
    network = make_network(0)
    spec = tf.TensorSpec((8, 8, 3), tf.uint8)
    kns.serving.export_saved_model(network, kns.Classification(2, from_logits=True), str(tmp_path), element_spec=spec)
    loaded = tf.saved_model.load(str(tmp_path))
    signature = loaded.signatures["serving_default"]
    (received,) = signature.structured_input_signature[1].values()
    assert (received.shape.as_list(), received.dtype) == ([None, 8, 8, 3], tf.uint8)
    served = loaded.serve(np.zeros((2, 8, 8, 3), "uint8"))
    assert sorted(served) == ["class_ids", "probabilities"]
    assert sorted(signature.structured_outputs) == ["class_ids", "probabilities"]
