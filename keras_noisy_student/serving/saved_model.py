"""A served model as a SavedModel."""

import json
import os
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.serving.encoded_images import decoded_images, is_image
from keras_noisy_student.serving.served_model import ServedModel

_FILES = tf.TensorSpec([None], tf.string, name="image_bytes")


def write_saved_model(served: ServedModel, directory: str) -> None:
    """Writes the signatures `serving_default` and, of images, `encoded`; names of ids lie in `assets.extra`."""
    endpoints: dict[str, tuple[Callable[..., Any], Any]] = {"serve": (served, served.signature)}
    if is_image(served.element_spec):
        endpoints["encoded"] = (lambda image_bytes: served(decoded_images(image_bytes, served.element_spec)), _FILES)
    write_endpoints(served, directory, endpoints)
    names = served.task.served_names()
    if names:
        # Where TensorFlow Serving keeps what is not part of the graph.
        extra = os.path.join(directory, "assets.extra")
        os.mkdir(extra)
        for name, strings in names.items():
            with open(os.path.join(extra, f"{name}.json"), "w", encoding="utf-8") as file:
                json.dump(strings, file, ensure_ascii=False)


def write_endpoints(served: ServedModel, directory: str, endpoints: dict[str, tuple[Callable[..., Any], Any]]) -> None:
    """Writes functions, each with the spec of its batch, over the weights of a served model.

    The first one is the signature `serving_default`, too.
    """
    archive = keras.export.ExportArchive()
    archive.track(served.network)
    if served.front_end is not None:
        served.front_end(tf.nest.map_structure(_example, served.element_spec))
        archive.track(served.front_end)
    for name, (function, spec) in endpoints.items():
        archive.add_endpoint(name, function, input_signature=[spec])
    archive.write_out(directory, verbose=False)


def _example(spec: tf.TensorSpec) -> tf.Tensor:
    """A batch of one, which builds a layer: only then can it be tracked."""
    return tf.zeros([1, *(size or 1 for size in spec.shape)], spec.dtype)
