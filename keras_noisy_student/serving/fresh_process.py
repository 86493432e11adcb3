"""What a fresh process runs to check an export: nothing of this package, and no Keras, can be imported in it.

It is given to Python as text, with four arguments: the format, the path of the export, a file of questions, and one
for the answers. Both are NumPy archives; keys are `number/signature/input`, and `number/output`.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Answer = Callable[[str, dict[str, np.ndarray]], dict[str, Any]]


def load_saved_model(path: str) -> Answer:
    """Signatures of a SavedModel, by TensorFlow."""
    import tensorflow as tf

    model = tf.saved_model.load(path)

    def answer(signature: str, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
        outputs = model.signatures[signature](**{name: tf.constant(array) for name, array in inputs.items()})
        return {name: output.numpy() for name, output in outputs.items()}

    return answer


def load_litert(path: str) -> Answer:
    """Signatures of a `.tflite` file, by LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path)
    return lambda signature, inputs: interpreter.get_signature_runner(signature)(**inputs)


def load_onnx(path: str) -> Answer:
    """An ONNX file, which has one signature, by ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda signature, inputs: dict(zip(names, session.run(names, inputs)))  # noqa: B905


LOADERS = {"tf_saved_model": load_saved_model, "litert": load_litert, "onnx": load_onnx}


def main(file_format: str, path: str, questions_path: str, answers_path: str) -> None:
    """Asks the export every question and writes its answers."""
    with np.load(questions_path) as file:
        questions: dict[tuple[str, str], dict[str, np.ndarray]] = {}
        for key in file.files:
            number, signature, name = key.split("/")
            questions.setdefault((number, signature), {})[name] = file[key]
    answer = LOADERS[file_format](path)
    answers: dict[str, Any] = {}
    for (number, signature), inputs in questions.items():
        for name, output in answer(signature, inputs).items():
            array = np.asarray(output)
            # Strings of any length are Python objects, which no NumPy archive should hold.
            answers[f"{number}/{name}"] = array.astype("S") if array.dtype == object else array
    np.savez(answers_path, **answers)


if __name__ == "__main__":
    sys.modules["keras"] = sys.modules["keras_noisy_student"] = None  # type: ignore[assignment]
    main(*sys.argv[1:])
