"""A served model as a LiteRT file (`.tflite`)."""

import json
import os
import re
import tempfile
import zipfile

import tensorflow as tf

from keras_noisy_student.serving.saved_model import write_endpoints
from keras_noisy_student.serving.served_model import ServedModel


def write_litert(served: ServedModel, path: str) -> None:
    """Writes what LiteRT runs with its built-in operations alone; names of ids are appended to it as a zip archive.

    Raises:
        ValueError: when the network needs other operations.
    """
    with tempfile.TemporaryDirectory() as directory:
        saved_model = os.path.join(directory, "saved_model")
        write_endpoints(served, saved_model, {"serve": (served.numbers, served.signature)})
        converter = tf.lite.TFLiteConverter.from_saved_model(saved_model, signature_keys=["serving_default"])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            content = converter.convert()
        except Exception as error:  # The converter has no public class of errors.
            missing = re.search(r"(?:TF Select|Custom) ops: .*", str(error))
            raise ValueError(
                f"The network cannot be written as LiteRT: {missing[0] if missing else error}. Replace what LiteRT has "
                'no operation for (in half precision it has none), or export with format="tf_saved_model".'
            ) from error
    with open(path, "wb") as file:
        file.write(content)
    names = served.task.served_names()
    if names:
        # As LiteRT's own metadata keeps files of labels: a reader of the model stops before them.
        with zipfile.ZipFile(path, "a") as archive:
            for name, strings in names.items():
                archive.writestr(f"{name}.json", json.dumps(strings, ensure_ascii=False))
