"""What every Keras layer of this library must be able to do, checked in one place."""

import dataclasses

import keras
import numpy as np


def check_layer(layer_class, config, inputs, directory):
    """Config round trip, symbolic call, `fit`, mixed precision, save and load.

    Args:
        layer_class: the registered layer class.
        config: its constructor arguments.
        inputs: an array `(batch, ...)` that the layer takes.
        directory: where a model may be saved.
    """
    layer = layer_class(**config)
    _check_config_round_trip(layer, config)
    symbolic = layer(keras.KerasTensor((None, *inputs.shape[1:]), dtype=inputs.dtype.name))
    outputs = layer(inputs)
    assert symbolic.shape == (None, *outputs.shape[1:])
    assert symbolic.dtype == keras.backend.standardize_dtype(outputs.dtype)

    for policy in ("float32", "mixed_float16", "mixed_bfloat16"):
        model = _model_with(layer_class(**config, dtype=policy), inputs)
        model.compile("sgd", "mse")
        model.fit(inputs, np.zeros((len(inputs), 1), "float32"), batch_size=len(inputs), verbose=0)
        outputs = model.predict(inputs, verbose=0)
        assert np.isfinite(outputs).all()

        path = directory / f"{policy}.keras"
        model.save(path)
        np.testing.assert_array_equal(keras.models.load_model(path).predict(inputs, verbose=0), outputs)


def _check_config_round_trip(layer, config):
    restored = type(layer).from_config(layer.get_config())
    assert restored.get_config() == layer.get_config()
    for name, value in config.items():
        assert layer.get_config()[name] == _serialized(value)
    registered = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(registered) is type(layer)


def _serialized(value):
    if dataclasses.is_dataclass(value):
        return dataclasses.asdict(value)
    if isinstance(value, list):
        return [_serialized(item) for item in value]
    return keras.saving.serialize_keras_object(value) if isinstance(value, keras.Layer) else value


def _model_with(layer, inputs):
    model_inputs = keras.Input(inputs.shape[1:], dtype=inputs.dtype.name)
    features = keras.layers.Rescaling(1 / 255)(layer(model_inputs))
    return keras.Model(model_inputs, keras.layers.Dense(1, dtype="float32")(keras.layers.Flatten()(features)))
