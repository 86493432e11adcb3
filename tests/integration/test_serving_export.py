"""Exports in every format, loaded where only their runtime is."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.serving import export as export_module
from keras_noisy_student.serving.export import export
from keras_noisy_student.serving.saved_model import write_saved_model
from keras_noisy_student.serving.served_model import ServedModel
from keras_noisy_student.serving.verification import VerificationError, verify

LOADER = """
import json, sys
sys.modules["keras"] = sys.modules["keras_noisy_student"] = None  # importing either is an error
import numpy as np
import tensorflow as tf

model = tf.saved_model.load(sys.argv[1])
serve = model.signatures["serving_default"]
images = np.load(sys.argv[2])
answers = [serve(tf.constant(images[:size])) for size in (1, 5)]
answers = [{name: value.numpy().tolist() for name, value in answer.items()} for answer in answers]
print(json.dumps(answers, default=bytes.decode))
"""
TASK = kns.Classification(num_classes=2, from_logits=True, class_names=("dark", "größer"))
ROOT = pathlib.Path(__file__).parents[2]
SPEC = tf.TensorSpec((8, 8, 3), tf.uint8)
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype("uint8")


def make_network(round_index=0):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Normalization(mean=[120.0, 130.0, 140.0], variance=[900.0, 1600.0, 2500.0])(inputs)
    x = keras.layers.Conv2D(4, 3, use_bias=False)(x)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    x = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, keras.layers.Dense(2)(x))


@pytest.fixture(scope="module")
def trainer():
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    x = rng.integers(0, 100, (40, 8, 8, 3)) + 100 * y[:, None, None, None]
    x = x.astype("uint8")
    trainer = kns.NoisyStudentTrainer(make_network, TASK, noise=kns.Noise(augmentation=keras.layers.GaussianNoise(0.5)))
    trainer.compile(keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.5))
    trainer.fit_rounds((x, y), x, num_rounds=1, batch_size=8, epochs=4, verbose=0)
    return trainer


def names_of(class_ids):
    return [TASK.class_names[class_id] for class_id in class_ids]


def test_a_fresh_process_with_tensorflow_alone_agrees_with_predict(trainer, tmp_path):
    trainer.export(tmp_path / "served" / "1", verify=False)
    np.save(tmp_path / "images.npy", IMAGES)
    (tmp_path / "load.py").write_text(LOADER)
    arguments = [sys.executable, "-X", "utf8", "load.py", "served/1", "images.npy"]
    process = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False)
    assert process.returncode == 0, process.stderr
    expected = trainer.predict(IMAGES, verbose=0)
    for answer, size in zip(json.loads(process.stdout), (1, 5), strict=True):
        np.testing.assert_allclose(answer["probabilities"], expected[:size], atol=1e-5)
        assert answer["class_ids"] == expected[:size].argmax(axis=-1).tolist()
        assert answer["class_names"] == names_of(answer["class_ids"])
    names = json.loads((tmp_path / "served" / "1" / "assets.extra" / "class_names.json").read_text("utf-8"))
    assert names == list(TASK.class_names)


@pytest.fixture(scope="module")
def page(trainer, tmp_path_factory):
    """What the page on serving has written, checked, and what it has read of that."""
    for needed in ("ai_edge_litert", "onnxruntime", "tf2onnx"):
        pytest.importorskip(needed, reason="The page exports to every format.")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "serving.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 2
    directory, namespace = tmp_path_factory.mktemp("page"), {"trainer": trainer, "images": IMAGES}
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(directory)
        for block in blocks:
            exec(compile(block, "serving.md", "exec"), namespace)
    assert sorted(os.listdir(directory / "served")) == ["1", "model.onnx", "model.tflite"]
    return directory / "served", namespace


@pytest.mark.slow
def test_litert_agrees_with_predict(trainer, page):
    directory, namespace = page
    expected = trainer.predict(IMAGES, verbose=0)
    interpreter = namespace["Interpreter"](str(directory / "model.tflite"))
    signature = {"inputs": ["x"], "outputs": ["class_ids", "probabilities"]}
    assert interpreter.get_signature_list() == {"serving_default": signature}
    serve = interpreter.get_signature_runner("serving_default")
    for size in (1, 5, 2):
        answer = serve(x=IMAGES[:size])
        np.testing.assert_allclose(answer["probabilities"], expected[:size], atol=1e-5)
        np.testing.assert_array_equal(answer["class_ids"], expected[:size].argmax(axis=-1))
    assert namespace["class_names"] == list(TASK.class_names)
    assert namespace["class_ids"].tolist() == expected.argmax(axis=-1).tolist()


@pytest.mark.slow
def test_onnx_agrees_with_predict(trainer, page):
    onnxruntime = pytest.importorskip("onnxruntime", reason="The runtime is an extra.")
    expected = trainer.predict(IMAGES, verbose=0)
    session = onnxruntime.InferenceSession(page[0] / "model.onnx")
    assert [(x.name, x.type) for x in session.get_inputs()] == [("x", "tensor(uint8)")]
    assert [output.name for output in session.get_outputs()] == ["class_ids", "probabilities"]
    for size in (1, 5, 2):
        class_ids, probabilities = session.run(["class_ids", "probabilities"], {"x": IMAGES[:size]})
        np.testing.assert_allclose(probabilities, expected[:size], atol=1e-5)
        np.testing.assert_array_equal(class_ids, expected[:size].argmax(axis=-1))
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["class_names"]) == list(TASK.class_names)


def test_the_shorter_way_to_onnx_still_takes_constants_for_inputs():
    """Once it does not, `write_onnx` can go it, and needs no process."""
    convert = pytest.importorskip("tf2onnx.convert", reason="The converter is an extra.")
    function = tf.function(make_network(), input_signature=[tf.TensorSpec((None, 8, 8, 3), tf.uint8)])
    model, _ = convert.from_function(function, input_signature=function.input_signature, opset=18)
    assert len(model.graph.input) == 3


def test_encoded_files_are_answered_as_their_arrays_are(trainer, tmp_path):
    trainer.export(tmp_path, verify=False)
    model = tf.saved_model.load(str(tmp_path))
    signatures = model.signatures
    assert sorted(signatures) == ["encoded", "serve", "serving_default"]
    (x,) = signatures["serving_default"].structured_input_signature[1].values()
    assert (x.name, x.shape.as_list(), x.dtype) == ("x", [None, 8, 8, 3], tf.uint8)
    png_files = tf.constant([tf.io.encode_png(image).numpy() for image in IMAGES])
    from_arrays = signatures["serving_default"](x=tf.constant(IMAGES))
    from_files = signatures["encoded"](image_bytes=png_files)
    np.testing.assert_array_equal(from_files["probabilities"], from_arrays["probabilities"])
    assert [name.decode() for name in from_files["class_names"].numpy()] == names_of(from_files["class_ids"].numpy())
    jpeg_file = tf.io.encode_jpeg(np.kron(IMAGES[0], np.ones((4, 4, 1), "uint8")))
    image = tf.image.resize(tf.io.decode_jpeg(jpeg_file, channels=3), (8, 8), antialias=True)
    expected = trainer.predict(np.round(image).astype("uint8")[None], verbose=0)
    received = model.encoded(tf.stack([jpeg_file]))["probabilities"]
    np.testing.assert_allclose(received, expected, atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures["encoded"](image_bytes=tf.constant([b"no image"]))


@pytest.mark.slow
def test_the_check_finds_weights_that_were_exchanged_or_damaged(tmp_path):
    keras.utils.set_random_seed(0)
    served = ServedModel(make_network(), TASK, SPEC)
    weights = served.network.get_weights()
    for name, factor in (("1", 2), ("2", 1)):
        served.network.set_weights([factor * weight for weight in weights])
        write_saved_model(served, str(tmp_path / name))
    shutil.copytree(tmp_path / "1" / "variables", tmp_path / "2" / "variables", dirs_exist_ok=True)
    message = (
        r"does not answer as the network does: `probabilities` of 1 examples, by the signature `serving_default`, "
    )
    with pytest.raises(VerificationError, match=message + r"differs by up to 0\.\d+\. If the network is random"):
        verify(served, str(tmp_path / "2"), file_format="tf_saved_model", examples=IMAGES)
    (data,) = (tmp_path / "2" / "variables").glob("variables.data*")
    data.write_bytes(bytes(len(data.read_bytes()) // 2))
    with pytest.raises(VerificationError, match=r"(?s)A fresh process without Keras could not run .* exit status 1:"):
        verify(served, str(tmp_path / "2"), file_format="tf_saved_model", examples=IMAGES)


class AlwaysNoisy(keras.layers.Layer):
    """Noise that does not ask whether it is training."""

    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x))


def test_a_network_that_answers_at_random_is_not_exported(tmp_path):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), AlwaysNoisy()])
    served = ServedModel(network, kns.Classification(2, from_logits=True), tf.TensorSpec((4,), tf.float32))
    with pytest.raises(
        VerificationError, match=r"`(probabilities|class_ids)` of [15] examples.* make it a function of"
    ):
        export(served, str(tmp_path / "1"), file_format="tf_saved_model", examples=np.ones((1, 4), "float32"))
    assert os.listdir(tmp_path) == []


def test_examples_that_the_network_does_not_know_are_refused(tmp_path):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    served = ServedModel(network, kns.Classification(2, from_logits=True), tf.TensorSpec((4,), tf.float32))
    with pytest.raises(ValueError, match=r"`probabilities` for the examples .* hold NaN or infinity\. Pass examples"):
        export(served, str(tmp_path / "1"), file_format="tf_saved_model", examples=np.full((1, 4), np.nan, "float32"))


def test_an_interpreter_that_cannot_be_run_is_named(trainer, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(RuntimeError, match=r"could not be run: .*python'\. `sys\.executable` must be a Python interp"):
        trainer.export(tmp_path / "1")
    assert os.listdir(tmp_path) == []
    trainer.export(tmp_path / "1", verify=False)
    assert (tmp_path / "1" / "saved_model.pb").exists()


def test_a_front_end_is_checked_with_made_up_or_given_examples(trainer, tmp_path, monkeypatch):
    checked = []

    def remember(served, path, *, file_format, examples):
        checked.append(examples)

    monkeypatch.setattr(export_module, "verify", remember)
    front_end = keras.layers.Rescaling(255)
    given = np.ones((1, 8, 8, 3), "float32")
    for examples in (None, given):
        trainer.export(
            tmp_path, front_end=front_end, element_spec=tf.TensorSpec((8, 8, 3), tf.float32), examples=examples
        )
    made_up, same = checked
    assert (made_up.shape, made_up.dtype) == ((5, 8, 8, 3), tf.float32)
    assert same is given


@pytest.mark.parametrize("name", ["served/1", "model.tflite"])
def test_object_stores_are_written_to(trainer, name, tmp_path):
    path = f"ram://{tmp_path.name}/{name}"
    trainer.export(path, format="litert" if name.endswith("tflite") else "tf_saved_model", verify=False)
    if name == "served/1":
        loaded = tf.saved_model.load(path)
        answer = loaded.serve(tf.constant(IMAGES))
        np.testing.assert_allclose(answer["probabilities"], trainer.predict(IMAGES, verbose=0), atol=1e-5)
    else:
        assert tf.io.gfile.stat(path).length > 1000


def test_an_export_replaces_the_last_one_and_leaves_other_files_alone(trainer, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    trainer.export(tmp_path, verify=False)
    old = tf.saved_model.load(str(tmp_path))
    first = old.serve(IMAGES)["probabilities"]
    assert (tmp_path / "assets.extra" / "class_names.json").exists()
    without_names = dataclasses.replace(TASK, class_names=None)
    other = ServedModel(make_network(), without_names, SPEC)
    export(other, str(tmp_path), file_format="tf_saved_model", examples=None)
    new = tf.saved_model.load(str(tmp_path))
    second = new.serve(IMAGES)["probabilities"]
    np.testing.assert_allclose(second, other(IMAGES)["probabilities"], atol=1e-5)
    assert np.abs(first - second).max() > 1e-3
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "assets.extra" / "class_names.json").exists()
    assert not list(pathlib.Path(tmp_path).rglob("*.tmp"))


def test_operations_that_litert_does_not_have_are_named(tmp_path):
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        served = ServedModel(make_network(), TASK, SPEC)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    with pytest.raises(
        ValueError, match=r"as LiteRT: TF Select ops: .*Conv2D.*\. Replace what LiteRT has no operation"
    ):
        export(served, str(tmp_path / "model.tflite"), file_format="litert", examples=None)


class Digamma(keras.layers.Layer):
    """An operation that ONNX does not have."""

    def call(self, x):
        return tf.math.digamma(x)


def test_operations_that_onnx_does_not_have_are_named(tmp_path):
    pytest.importorskip("tf2onnx", reason="The converter is an extra.")
    network = keras.Sequential([keras.Input((2,)), Digamma()])
    served = ServedModel(network, kns.Classification(2, from_logits=True), tf.TensorSpec((2,), tf.float32))
    with pytest.raises(ValueError, match=r"(?s)cannot be written as ONNX: .*Digamma.*Replace what ONNX has no"):
        export(served, str(tmp_path / "model.onnx"), file_format="onnx", examples=None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "torch"}, r"must be one of \['litert', 'onnx', 'tf_saved_model'\]\. Received: format='torch'\."),
        ({"format": "onnx"}, r"must end in '\.onnx'\. Received: path='served/1'\. Pass a path such as 'model\.onnx'"),
        ({"format": "litert"}, r"must end in '\.tflite'\. Received: path='served/1'\."),
    ],
)
def test_unknown_formats_and_other_suffixes_are_refused(trainer, options, message):
    with pytest.raises(ValueError, match=message):
        trainer.export("served/1", **options)


def test_missing_packages_are_named(trainer, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ImportError, match=r"To check what format='litert' writes, ai_edge_litert is needed.*\[export\]"
    ):
        trainer.export(tmp_path / "model.tflite", format="litert")
    with pytest.raises(ImportError, match=r'format="onnx" needs tf2onnx, which is not installed.*\[export\]'):
        trainer.export(tmp_path / "model.onnx", format="onnx", verify=False)
