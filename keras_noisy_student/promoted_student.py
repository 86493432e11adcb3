"""`PromotedStudent`: what a trainer lets one do with the last student, in Keras' words."""

import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_noisy_student.data_checks import evaluation_source, same_examples_source
from keras_noisy_student.run_data import RunData
from keras_noisy_student.serving.export import export
from keras_noisy_student.serving.made_up_examples import made_up_examples
from keras_noisy_student.serving.served_model import ServedModel
from keras_noisy_student.student import NoisyStudent
from keras_noisy_student.tasks.task import Task


class PromotedStudent:
    """Evaluates, predicts with, saves and exports the student that was promoted last.

    Args:
        task: what its outputs mean.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._teacher: NoisyStudent | None = None
        self._element_spec: Any = None
        self._first_examples: Any = None

    def _promoted(self, student: NoisyStudent | None, data: RunData) -> None:
        """Takes the student, and of what it was trained on the spec and the first examples."""
        self._teacher = student
        self._element_spec = data.element_spec
        self._first_examples = data.first_examples

    @property
    def teacher(self) -> NoisyStudent:
        """The last promoted student.

        Raises:
            ValueError: before `fit_rounds`.
        """
        if self._teacher is None:
            raise ValueError("There is no trained model yet. Call `fit_rounds` before this method.")
        return self._teacher

    @property
    def model(self) -> keras.Model:
        """The network of the last promoted student: an ordinary Keras model."""
        return self.teacher.network

    def evaluate(
        self, data: Any, *, batch_size: int = 128, return_dict: bool = False, verbose: int | str = "auto"
    ) -> Any:
        """Loss and metrics of the last student on labelled data, without noise; see `keras.Model.evaluate`.

        Args:
            data: a pair of arrays `(x, y)`, or an unbatched data set of `(x, y)`.
            batch_size: examples in a batch.
            return_dict: whether to return a dict by name; by default a list, the loss first.
            verbose: 0 is silent.
        """
        student = self.teacher
        source = evaluation_source(data, self._element_spec, self.task, name="data")
        return student.evaluate(source.batches(batch_size), return_dict=return_dict, verbose=verbose)

    def predict(self, x: Any, *, batch_size: int = 128, verbose: int | str = "auto") -> np.ndarray:
        """What the last student says of examples, without noise.

        Args:
            x: an array of examples, or an unbatched data set of them.
            batch_size: examples in a batch.
            verbose: 0 is silent.

        Returns:
            What the task predicts: of a `Classification`, probabilities `(examples, num_classes)`; of a
            `Transcription`, texts `(utterances,)`.
        """
        student = self.teacher
        source = same_examples_source(x, self._element_spec, name="x")
        outputs = student.predict(source.batches(batch_size), verbose=verbose)
        return self.task.predictions(tf.convert_to_tensor(outputs))

    def save(self, path: str) -> None:
        """Saves the last student's network as a `.keras` file."""
        self.model.save(path)

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        format: str = "tf_saved_model",
        front_end: keras.Layer | None = None,
        element_spec: Any = None,
        verify: bool = True,
        examples: Any = None,
    ) -> None:
        """Writes the last student for serving, without noise, and checks in a fresh process what was written.

        It takes raw examples in batches of any size and returns what the task serves: for `Classification`
        `probabilities`, `class_ids` and, where classes have names, `class_names`; for `Transcription` `tokens`,
        `log_score` and `text`. `docs/serving.md` describes formats, signatures and limits.

        The check takes some seconds: a Python process without Keras loads what was written, on the CPU, and must answer
        a batch of one and of several examples as the network does. Only then is anything put at `path`.

        Args:
            path: directory to write, for instance `"served/1"`, or a file that ends in `.tflite` or `.onnx`.
            format: as Keras calls it: `"tf_saved_model"`, which runs with TensorFlow alone; `"litert"` or `"onnx"`
                (extra `export`), which return numbers and hold the names of the classes beside them.
            front_end: a layer that makes the student's examples of raw ones, such as `kns.speech.LogMel` of waveforms;
                by default the served model takes what the student was trained on.
            element_spec: the `tf.TensorSpec` of one example that the front end takes, nested as the example is; sizes
                may be `None`. `LogMel` and other layers with an `element_spec` need none.
            verify: whether to check what was written.
            examples: a batch of raw examples to check it with; by default the first labelled ones, or noise where there
                is a front end.

        Raises:
            ImportError: without the packages of the format.
            ValueError: for a front end of whose examples nothing is known, a spec without a front end, an unknown
                format, a path of another, or a network that it has no operations for.
            VerificationError: when it does not load, or does not answer as the network does.
        """
        served = ServedModel(self.model, self.task, self._served_spec(front_end, element_spec), front_end)
        if verify and examples is None:
            is_raw = front_end is not None
            examples = made_up_examples(served.element_spec) if is_raw else self._first_examples
        export(served, os.fspath(path), file_format=format, examples=examples if verify else None)

    def _served_spec(self, front_end: keras.Layer | None, element_spec: Any) -> Any:
        """The spec of one raw example."""
        if front_end is None:
            if element_spec is not None:
                raise ValueError(
                    "`element_spec` is that of the examples of a `front_end`. Received: element_spec="
                    f"{element_spec}, front_end=None. Pass both, or neither."
                )
            return self._element_spec
        element_spec = getattr(front_end, "element_spec", None) if element_spec is None else element_spec
        if element_spec is None:
            raise ValueError(
                "The examples that a `front_end` takes must be known. Received: element_spec=None, and a "
                f"{type(front_end).__name__} without such an attribute. Pass `element_spec=tf.TensorSpec(...)`."
            )
        return element_spec
