"""Serving: a network as a SavedModel that needs neither this package nor Keras to run."""

from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.tasks.task import Task


def export_saved_model(network: keras.Model, task: Task, path: str, *, element_spec: Any) -> None:
    """Writes a SavedModel with a dynamic batch: one endpoint, `serve`, which is also the signature `serving_default`.

    It takes raw examples, as they were trained on (images: uint8, 0 to 255), applies no augmentation, and returns what
    `task.serve` names: for `Classification`, `probabilities` and `class_ids`.

    Args:
        network: the model to serve.
        task: turns its outputs into what is returned.
        path: directory of the SavedModel; TensorFlow Serving expects its last part to be a version number.
        element_spec: the `tf.TensorSpec` of one example, nested as the example is.
    """

    def serve(x: Any) -> dict[str, tf.Tensor]:
        return task.serve(network(x, training=False))

    signature = tf.nest.map_structure(lambda spec: tf.TensorSpec([None, *spec.shape], spec.dtype), element_spec)
    archive = keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint("serve", serve, input_signature=[signature])
    archive.write_out(path, verbose=False)
