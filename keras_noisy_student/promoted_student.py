"""`PromotedStudent`: what a trainer lets one do with the last student, in Keras' words."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_noisy_student.data_checks import evaluation_source, same_examples_source
from keras_noisy_student.serving import export_saved_model
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

    def _promoted(self, student: NoisyStudent | None, element_spec: Any) -> None:
        """Takes the student, and the spec of the examples that it was trained on."""
        self._teacher = student
        self._element_spec = element_spec

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
        """The last student's probabilities `(examples, num_classes)`, without noise.

        Args:
            x: an array of examples, or an unbatched data set of them.
            batch_size: examples in a batch.
            verbose: 0 is silent.
        """
        student = self.teacher
        source = same_examples_source(x, self._element_spec, name="x")
        outputs = student.predict(source.batches(batch_size), verbose=verbose)
        return np.asarray(self.task.serve(tf.convert_to_tensor(outputs))["probabilities"])

    def summary(self) -> None:
        """Prints the summary of the last student's network, and the noise that was set in its layers."""
        self.model.summary()
        for layer_noise in self.teacher.layer_noise:
            print(layer_noise)

    def save(self, path: str) -> None:
        """Saves the last student's network as a `.keras` file."""
        self.model.save(path)

    def export(self, path: str) -> None:
        """Writes a SavedModel of the last student for serving.

        It takes raw examples in batches of any size and returns what the task serves (`probabilities` and `class_ids`
        for `Classification`), without noise. It runs with TensorFlow alone.

        Args:
            path: directory to write, for instance `"served/1"`.
        """
        export_saved_model(self.model, self.task, path, element_spec=self._element_spec)
