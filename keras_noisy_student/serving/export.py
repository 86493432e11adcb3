"""Export: write, verify, and only then put it where it was asked for."""

import dataclasses
import functools
import importlib.util
import os
import tempfile
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_noisy_student.serving.litert_file import write_litert
from keras_noisy_student.serving.onnx_file import write_onnx
from keras_noisy_student.serving.saved_model import write_saved_model
from keras_noisy_student.serving.served_model import ServedModel
from keras_noisy_student.serving.verification import verify
from keras_noisy_student.storage.atomic_files import make_directory, write_atomically


@dataclasses.dataclass(frozen=True)
class _Format:
    write: Callable[[ServedModel, str], None]
    suffix: str = ""
    """What the path of a file ends in; a SavedModel is a directory."""
    runtime: str = "tensorflow"
    """The package that a fresh process runs it with."""


_FORMATS = {
    "tf_saved_model": _Format(write_saved_model),
    "litert": _Format(write_litert, suffix=".tflite", runtime="ai_edge_litert"),
    "onnx": _Format(write_onnx, suffix=".onnx", runtime="onnxruntime"),
}


def export(served: ServedModel, path: str, *, file_format: str, examples: Any) -> None:
    """Writes a served model.

    Args:
        served: what to write.
        path: a directory for a SavedModel, else a file; any that `tf.io.gfile` writes to.
        file_format: `"tf_saved_model"`, `"litert"` or `"onnx"`.
        examples: a batch of raw examples to check it with, or `None` to leave that out.

    Raises:
        ImportError: without the packages of the format.
        ValueError: for another format or suffix, or a network that the format has no operations for.
        VerificationError: when it does not answer as the network does.
    """
    chosen = _FORMATS.get(file_format)
    if chosen is None:
        raise ValueError(f"`format` must be one of {sorted(_FORMATS)}. Received: format={file_format!r}.")
    if not path.endswith(chosen.suffix):
        raise ValueError(
            f"The path of format={file_format!r} must end in {chosen.suffix!r}. Received: path={path!r}. Pass a path "
            f"such as {'model' + chosen.suffix!r}."
        )
    if examples is not None and importlib.util.find_spec(chosen.runtime) is None:
        raise ImportError(
            f"To check what format={file_format!r} writes, {chosen.runtime} is needed, which is not installed. Install "
            'it by `pip install "keras-noisy-student[export]"`, or pass verify=False.'
        )
    with tempfile.TemporaryDirectory() as directory:
        written = os.path.join(directory, f"model{chosen.suffix}")
        chosen.write(served, written)
        if examples is not None:
            verify(served, written, file_format=file_format, examples=examples)
        _publish(written, path)


def _publish(written: str, path: str) -> None:
    """Copies a file, or all files of a directory, each of them complete or absent."""
    if os.path.isfile(written):
        files = {written: path}
    else:
        found = [os.path.join(parent, name) for parent, _, names in os.walk(written) for name in names]
        # Last, since a server that watches the directory loads it as soon as this file is there.
        found.sort(key=lambda file: file.endswith("saved_model.pb"))
        files = {file: os.path.join(path, os.path.relpath(file, written)) for file in found}
        # Names of an earlier export would be taken for those of this one.
        for earlier in tf.io.gfile.glob(os.path.join(path, "assets.extra", "*.json")):
            tf.io.gfile.remove(earlier)
    for source, target in files.items():
        make_directory(os.path.dirname(target))
        write_atomically(target, functools.partial(tf.io.gfile.copy, source, overwrite=True))
