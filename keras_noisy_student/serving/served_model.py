"""`ServedModel`: from raw examples to what the task serves, whatever the format it is written in."""

import dataclasses
import re
from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.tasks.task import Task


@dataclasses.dataclass(frozen=True)
class ServedModel:
    """A function of a batch of raw examples, without noise.

    Args:
        network: the model to serve.
        task: turns its outputs into what is returned.
        element_spec: the `tf.TensorSpec` of one raw example, nested as the example is; sizes may be `None`.
        front_end: makes of such examples those that the network takes.
    """

    network: keras.Model
    task: Task
    element_spec: Any
    front_end: keras.Layer | None = None

    def __call__(self, x: Any) -> dict[str, tf.Tensor]:
        """What the task serves of a batch."""
        examples = x if self.front_end is None else self.front_end(x)
        return self.task.serve(self.network(examples, training=False))

    def numbers(self, x: Any) -> dict[str, tf.Tensor]:
        """What the task serves of a batch but for strings, which phones and ONNX runtimes are not made for."""
        return {name: tensor for name, tensor in self(x).items() if tensor.dtype != tf.string}

    @property
    def signature(self) -> Any:
        """The spec of a batch of any size, each tensor with the name of its input."""
        specs = tf.nest.flatten(self.element_spec)
        named = [
            tf.TensorSpec([None, *spec.shape], spec.dtype, name=name)
            for name, spec in zip(self._input_names, specs, strict=True)
        ]
        return tf.nest.pack_sequence_as(self.element_spec, named)

    def inputs(self, x: Any) -> dict[str, Any]:
        """The tensors of a batch by the names of their inputs."""
        return dict(zip(self._input_names, tf.nest.flatten(x), strict=True))

    @property
    def _input_names(self) -> list[str]:
        """`x` for a single tensor, else its keys."""
        paths = [path for path, _ in keras.tree.flatten_with_path(self.element_spec)]
        return [_identifier("_".join(map(str, path))) for path in paths]


def _identifier(name: str) -> str:
    """TensorFlow would rename an input whose name is none."""
    name = re.sub(r"\W", "_", name, flags=re.ASCII)
    return name if name[:1].isalpha() else f"x_{name}".rstrip("_")
