"""Reads back what was written for TensorBoard."""

import tensorflow as tf


def read_events(directory):
    """The summaries of a TensorBoard run: by tag, an array for each step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(directory))
    accumulator.Reload()
    return {
        tag: {event.step: tf.make_ndarray(event.tensor_proto) for event in accumulator.Tensors(tag)}
        for tag in accumulator.Tags()["tensors"]
    }
