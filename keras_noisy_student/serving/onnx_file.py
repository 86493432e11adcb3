"""A served model as an ONNX file."""

import importlib
import importlib.util
import json
import os
import tempfile
from typing import Any

from keras_noisy_student.serving.python_process import run_python
from keras_noisy_student.serving.saved_model import write_endpoints
from keras_noisy_student.serving.served_model import ServedModel

_OPSET = "18"
"""The newest set of operations that tf2onnx writes; older runtimes refuse newer ones."""


def write_onnx(served: ServedModel, path: str) -> None:
    """Writes what ONNX runtimes run; names of ids are in the metadata of the model, as JSON.

    Not by `tf2onnx.convert.from_function`, as Keras does it: that takes constants, of `Normalization` for instance, for
    inputs of the model.

    Raises:
        ImportError: without tf2onnx.
        ValueError: when the network needs operations that ONNX does not have.
    """
    onnx = _library()
    path = os.path.abspath(path)
    with tempfile.TemporaryDirectory() as directory:
        write_endpoints(served, directory, {"serve": (served.numbers, served.signature)})
        options = {"--saved-model": directory, "--signature_def": "serving_default", "--tag": "serve"}
        options |= {"--opset": _OPSET, "--output": path}
        arguments = [word for option in options.items() for word in option]
        process = run_python(["-m", "tf2onnx.convert", *arguments], directory=directory)
    if process.returncode != 0:
        raise _error(process.stderr[-2000:])
    model = onnx.load(path)
    try:
        # tf2onnx copies operations that it does not know.
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise _error(str(error)) from error
    for name, strings in served.task.served_names().items():
        model.metadata_props.add(key=name, value=json.dumps(strings, ensure_ascii=False))
    onnx.save(model, path)


def _library() -> Any:
    """The package `onnx`, where the converter is there too."""
    if importlib.util.find_spec("tf2onnx") is None:
        raise ImportError(
            'format="onnx" needs tf2onnx, which is not installed. Install it by '
            '`pip install "keras-noisy-student[export]"`.'
        )
    return importlib.import_module("onnx")


def _error(reason: str) -> ValueError:
    return ValueError(
        f"The network cannot be written as ONNX: {reason}\nReplace what ONNX has no operation for, or export with "
        'format="tf_saved_model".'
    )
