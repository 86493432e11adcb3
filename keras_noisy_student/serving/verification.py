"""An export is loaded in a fresh process and answers as the network does, or is an error."""

import dataclasses
import importlib.resources
import os
import tempfile
from typing import Any

import numpy as np
import tensorflow as tf

from keras_noisy_student.serving.encoded_images import is_image
from keras_noisy_student.serving.python_process import run_python
from keras_noisy_student.serving.served_model import ServedModel

_NUM_EXAMPLES = 5
_TOLERANCE = 1e-4
"""Of float32 and more: absolute, and 10 times as much relative. Runtimes add up in another order."""
_HALF_TOLERANCE = 2e-2


class VerificationError(RuntimeError):
    """An export does not load in a fresh process, or does not answer as the network does."""


@dataclasses.dataclass(frozen=True)
class _Question:
    signature: str
    inputs: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]


def verify(served: ServedModel, path: str, *, file_format: str, examples: Any) -> None:
    """Asks an export in a fresh process and compares its answers with those of the network.

    It is asked for one example, and for several. SavedModels of images are asked for PNG files too.

    Args:
        served: what was exported.
        path: where it lies, on this machine.
        file_format: what it was written as.
        examples: a batch of raw examples.

    Raises:
        VerificationError: when it does not load, fails, or answers otherwise.
        ValueError: when the network itself answers these examples with NaN or infinity.
    """
    questions = _questions(served, examples, file_format=file_format)
    with tempfile.TemporaryDirectory() as directory:
        answers = _answers(questions, path, file_format=file_format, directory=directory)
    is_half = tf.as_dtype(served.network.compute_dtype).size < 4
    for number, question in enumerate(questions):
        received = {key.split("/", 1)[1]: array for key, array in answers.items() if key.startswith(f"{number}/")}
        _check_same(received, question, is_half=is_half)


def _questions(served: ServedModel, examples: Any, *, file_format: str) -> list[_Question]:
    places = np.arange(_NUM_EXAMPLES) % len(tf.nest.flatten(examples)[0])
    several = tf.nest.map_structure(lambda tensor: tf.gather(tensor, places), examples)
    # Where the fresh process runs, too: an accelerator may round otherwise.
    with tf.device("CPU:0"):
        outputs = served(several) if file_format == "tf_saved_model" else served.numbers(several)
    expected = {name: _without_objects(output.numpy()) for name, output in outputs.items()}
    for name, array in expected.items():
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise ValueError(
                f"The network's `{name}` for the examples that the export is checked with hold NaN or infinity. Pass "
                "examples that it knows as `examples`."
            )
    inputs = {name: tensor.numpy() for name, tensor in served.inputs(several).items()}
    signatures = {"serving_default": inputs}
    if file_format == "tf_saved_model" and is_image(served.element_spec):
        signatures["encoded"] = {"image_bytes": np.array([tf.io.encode_png(image).numpy() for image in several])}
    return [
        _Question(signature, _first(arrays, size), _first(expected, size))
        for signature, arrays in signatures.items()
        for size in (1, _NUM_EXAMPLES)
    ]


def _without_objects(array: np.ndarray) -> np.ndarray:
    """Strings as bytes of a fixed length, as the fresh process returns them."""
    return array.astype("S") if array.dtype == object else array


def _first(arrays: dict[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    return {name: array[:size] for name, array in arrays.items()}


def _answers(questions: list[_Question], path: str, *, file_format: str, directory: str) -> dict[str, np.ndarray]:
    """What a fresh process answers, by number of the question and name of the output."""
    asked: dict[str, Any] = {
        f"{number}/{question.signature}/{name}": array
        for number, question in enumerate(questions)
        for name, array in question.inputs.items()
    }
    questions_path, answers_path = (os.path.join(directory, name) for name in ("questions.npz", "answers.npz"))
    np.savez(questions_path, **asked)
    program = importlib.resources.files(__package__).joinpath("fresh_process.py").read_text(encoding="utf-8")
    arguments = ["-c", program, file_format, os.path.abspath(path), questions_path, answers_path]
    process = run_python(arguments, directory=directory)
    if process.returncode != 0:
        raise VerificationError(
            "A fresh process without Keras could not run the export. It ended with exit status "
            f"{process.returncode}:\n{process.stderr[-2000:]}"
        )
    with np.load(answers_path) as file:
        return {key: file[key] for key in file.files}


def _check_same(received: dict[str, np.ndarray], question: _Question, *, is_half: bool) -> None:
    where = f"the signature `{question.signature}`"
    if received.keys() != question.expected.keys():
        raise VerificationError(
            f"The export does not return what the network does, by {where}. Expected: {sorted(question.expected)}. "
            f"Received: {sorted(received)}."
        )
    for name, expected in question.expected.items():
        difference = _difference(received[name], expected, is_half=is_half)
        if difference:
            raise VerificationError(
                f"The export does not answer as the network does: `{name}` of {len(expected)} examples, by {where}, "
                f"{difference}. If the network is random or keeps a state, make it a function of its inputs; pass "
                "verify=False to export it as it is."
            )


def _difference(received: np.ndarray, expected: np.ndarray, *, is_half: bool) -> str:
    """What differs, in words; empty where nothing does."""
    if received.shape != expected.shape:
        return f"has shape {received.shape} instead of {expected.shape}"
    if np.issubdtype(expected.dtype, np.floating):
        tolerance = _HALF_TOLERANCE if is_half else _TOLERANCE
        if np.allclose(received, expected, rtol=10 * tolerance, atol=tolerance):
            return ""
        return f"differs by up to {np.abs(received - expected).max():.3g}"
    # In half precision the largest of two numbers is often a matter of rounding.
    num_different = int(np.sum(received != expected))
    return f"differs in {num_different} of {expected.size} places" if num_different and not is_half else ""
