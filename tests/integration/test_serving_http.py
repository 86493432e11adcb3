"""`examples/serve.py` over loopback: a real server, many clients, and what they do wrong."""

import argparse
import concurrent.futures
import contextlib
import http.client
import importlib
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.serving.saved_model import write_saved_model
from keras_noisy_student.serving.served_model import ServedModel

pytest.importorskip("prometheus_client", reason="The example's packages are an extra.")
pytest.importorskip("starlette", reason="The example's packages are an extra.")
uvicorn = pytest.importorskip("uvicorn", reason="The example's packages are an extra.")

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
# Importing either is an error in the server.
RUN = """
import runpy, sys
sys.modules["keras"] = sys.modules["keras_noisy_student"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
NUM_CLIENTS = 40
MAX_BYTES = 20_000
TASK = kns.Classification(num_classes=3, class_names=("cat", "dog", "größer"))
NO_WAIT = {"max_batch_size": 1, "max_wait_ms": 0.0, "max_body_bytes": MAX_BYTES}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def ask(port, method, path, body=None, content_type="image/png", encode_chunked=False):
    """Status, headers and text of an answer."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        headers = {"Content-Type": content_type} if content_type else {}
        headers |= {"Transfer-Encoding": "chunked"} if encode_chunked else {}
        connection.request(method, path, body, headers, encode_chunked=encode_chunked)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()


def predict(port, body, **options):
    status, _, text = ask(port, "POST", "/predict", body, **options)
    return status, json.loads(text)


def wait_until(is_true, *, seconds=300):
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def answers_health(port):
    with contextlib.suppress(OSError):
        return ask(port, "GET", "/health")[0] == 200
    return False


def metric(port, name):
    text = ask(port, "GET", "/metrics")[2]
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, flags=re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    """A model whose class is the channel with most light."""
    head = keras.layers.Dense(3, "softmax", kernel_initializer="identity")
    layers = [keras.layers.Rescaling(1 / 64), keras.layers.GlobalAveragePooling2D(), head]
    network = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    path = str(tmp_path_factory.mktemp("served") / "1")
    write_saved_model(ServedModel(network, TASK, tf.TensorSpec((8, 8, 3), tf.uint8)), path)
    return path


@pytest.fixture(scope="module")
def encoded(saved_model):
    """The signature itself, for the bytes of one image."""
    model = tf.saved_model.load(saved_model)

    def answer(file):
        outputs = model.signatures["encoded"](image_bytes=tf.constant([file]))
        return {name: tensor.numpy()[0] for name, tensor in outputs.items()}

    return answer


@contextlib.contextmanager
def serving(saved_model, *options):
    port = free_port()
    command = [sys.executable, "-c", RUN, str(EXAMPLES / "serve.py"), saved_model, "--port", str(port), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            wait_until(lambda: process.poll() is not None or answers_health(port))
            assert process.poll() is None, process.stdout.read()
            yield process, port
        finally:
            if process.poll() is None:
                process.kill()


@pytest.fixture(scope="module")
def server(saved_model):
    options = ["--max-body-bytes", str(MAX_BYTES), "--max-wait-ms", "100"]
    with serving(saved_model, *options) as (process, port):
        yield process, port


def image_files(number):
    """PNG and JPEG files of several sizes and all classes, no two alike."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 128, (8 + place % 4, 8, 3)).astype("uint8") for place in range(number)]
    for place, image in enumerate(images):
        image[..., place % 3] += 100
    return [(tf.io.encode_jpeg if place % 2 else tf.io.encode_png)(image).numpy() for place, image in enumerate(images)]


def at_once(functions):
    """What functions return that are called at the same time, each in a thread of its own."""
    barrier = threading.Barrier(len(functions))

    def call(function):
        barrier.wait()
        return function()

    with concurrent.futures.ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(call, functions))


@pytest.mark.slow
def test_concurrent_clients_get_the_models_own_answers_from_fewer_calls(server, encoded):
    _, port = server
    calls, images, answered = (
        metric(port, name)
        for name in ("model_batch_size_count", "model_batch_size_sum", 'predict_requests_total{status="200"}')
    )
    files = image_files(NUM_CLIENTS)
    answers = at_once([lambda file=file: predict(port, file) for file in files])
    assert {answer["class_name"] for _, answer in answers} == set(TASK.class_names)
    for file, (status, answer) in zip(files, answers, strict=True):
        expected = encoded(file)
        assert status == 200
        np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], atol=1e-5)
        assert answer["class_id"] == expected["class_ids"]
        assert answer["class_name"] == TASK.class_names[answer["class_id"]]
    assert metric(port, "model_batch_size_sum") - images == NUM_CLIENTS
    assert metric(port, "model_batch_size_count") - calls < NUM_CLIENTS / 2
    assert metric(port, 'predict_requests_total{status="200"}') - answered == NUM_CLIENTS
    assert metric(port, "predict_seconds_count") >= NUM_CLIENTS


def test_what_is_no_image_is_refused_and_those_beside_it_are_answered(server, encoded):
    _, port = server
    good = image_files(6)
    truncated = tf.io.encode_jpeg(np.zeros((64, 64, 3), "uint8")).numpy()[:-80]
    bodies = [good[0], b"no image", *good[1:4], truncated, *good[4:]]
    answers = at_once([lambda body=body: predict(port, body) for body in bodies])
    for body, (status, answer) in zip(bodies, answers, strict=True):
        if body in good:
            assert (status, answer["class_id"]) == (200, encoded(body)["class_ids"])
        else:
            assert (status, answer) == (422, {"error": "The body is no whole JPEG or PNG image."})


@pytest.mark.parametrize("encode_chunked", [False, True])
def test_bodies_that_are_too_large_are_refused(server, encode_chunked):
    body = [b"a" * (MAX_BYTES + 1)] if encode_chunked else b"a" * (MAX_BYTES + 1)
    status, answer = predict(server[1], body, encode_chunked=encode_chunked)
    assert (status, answer["error"]) == (413, f"The body must not be larger than {MAX_BYTES} bytes.")


def test_other_requests_are_refused_in_words(server):
    _, port = server
    (file,) = image_files(1)
    assert predict(port, b"") == (400, {"error": "The body is empty. Send the bytes of a JPEG or PNG file."})
    for content_type in (None, "application/json"):
        status, answer = predict(port, file, content_type=content_type)
        assert (status, answer["error"]) == (415, "The content type must be one of image/jpeg, image/png.")
    assert predict(port, file, content_type="Image/PNG; x=y")[0] == 200
    assert ask(port, "GET", "/predict")[0] == 405
    assert ask(port, "POST", "/", file)[0] == 404
    assert metric(port, 'predict_requests_total{status="415"}') == 2


def test_health_readiness_and_metrics_are_told(server):
    _, port = server
    assert ask(port, "GET", "/health")[::2] == (200, "ok")
    assert ask(port, "GET", "/ready")[::2] == (200, "ok")
    status, headers, text = ask(port, "GET", "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    assert "# TYPE queued_images gauge" in text


@pytest.mark.slow
def test_sigterm_ends_the_server(server):
    process, port = server
    assert answers_health(port)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) in (0, -signal.SIGTERM)
    assert not answers_health(port)
    assert "Traceback" not in process.stdout.read()


class HeldModel:
    """A model that answers once it is released."""

    def __init__(self):
        self.asked, self.released = threading.Event(), threading.Event()
        self.signatures = {"encoded": self.answer}

    def answer(self, image_bytes):
        self.asked.set()
        assert self.released.wait(120)
        size = len(image_bytes)
        return {"class_ids": tf.zeros([size], tf.int32), "probabilities": tf.ones([size, 1])}


@contextlib.contextmanager
def held_server(monkeypatch, **options):
    """The service in a thread, over a model that is held."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    serve, model = importlib.import_module("serve"), HeldModel()
    monkeypatch.setattr(serve.tf.saved_model, "load", lambda path: model)
    app = serve.make_app("path", argparse.Namespace(**NO_WAIT | options))
    port = free_port()
    running = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        wait_until(lambda: answers_health(port))
        yield running, model, port
    finally:
        model.released.set()
        running.should_exit = True
        thread.join()


def test_a_model_that_takes_no_files_is_refused(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    serve, model = importlib.import_module("serve"), argparse.Namespace(signatures={"serving_default": None})
    monkeypatch.setattr(serve.tf.saved_model, "load", lambda path: model)
    message = r"path must have the signature `encoded`, .* Received: \['serving_default'\]\. Export a trainer"
    with pytest.raises(SystemExit, match=message):
        serve.make_app("path", argparse.Namespace(**NO_WAIT))


def test_a_full_queue_is_told_and_what_is_under_way_is_finished_at_the_end(monkeypatch):
    files = image_files(3)
    with (
        held_server(monkeypatch, queue_size=1, timeout_s=120.0) as (running, model, port),
        concurrent.futures.ThreadPoolExecutor(2) as pool,
    ):
        first = pool.submit(predict, port, files[0])
        assert model.asked.wait(120)
        second = pool.submit(predict, port, files[1])
        wait_until(lambda: metric(port, "queued_images") == 1)
        status, headers, text = ask(port, "POST", "/predict", files[2])
        assert (status, headers["retry-after"], text) == (503, "1", '{"error":"Too many requests wait."}')
        assert ask(port, "GET", "/ready")[::2] == (503, "full")
        assert ask(port, "GET", "/health")[0] == 200
        running.should_exit = True
        model.released.set()
        assert first.result() == second.result() == (200, {"class_id": 0, "probabilities": [1.0]})
        wait_until(lambda: not answers_health(port))


def test_a_slow_model_is_told_and_goes_on(monkeypatch):
    (file,) = image_files(1)
    with held_server(monkeypatch, queue_size=4, timeout_s=0.5) as (_, model, port):
        assert predict(port, file) == (504, {"error": "No answer within 0.5 seconds."})
        model.released.set()
        wait_until(lambda: predict(port, file)[0] == 200)
