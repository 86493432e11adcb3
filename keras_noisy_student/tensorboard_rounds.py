"""What `keras.callbacks.TensorBoard` shows of a run: the epochs of each round apart, and a point for each round."""

import contextlib
import importlib.util
import os
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_noisy_student.history import RoundRecord, RoundsHistory
from keras_noisy_student.pseudo_labels.score_histogram import ScoreHistogram


def check_tensorboard_is_installed(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Raises an `ImportError` for a `TensorBoard` that could not write: Keras finds out when the first epoch ends."""
    if _tensorboards(callbacks) and importlib.util.find_spec("tensorboard") is None:
        raise ImportError("keras.callbacks.TensorBoard needs tensorboard: pip install tensorboard.")


def log_dirs(callbacks: Sequence[keras.callbacks.Callback]) -> list[str]:
    """Where the `TensorBoard` callbacks among them write."""
    return [os.fspath(callback.log_dir) for callback in _tensorboards(callbacks)]


@contextlib.contextmanager
def epochs_apart(callbacks: Sequence[keras.callbacks.Callback], round_index: int) -> Iterator[None]:
    """Has `TensorBoard` callbacks write epochs to `round_<index>` in their `log_dir`.

    For those that all rounds share: each round counts its epochs from 0, and would write over those before it.
    """
    tensorboards, before = _tensorboards(callbacks), log_dirs(callbacks)
    for callback, log_dir in zip(tensorboards, before, strict=True):
        callback.log_dir = os.path.join(log_dir, f"round_{round_index}")
    try:
        yield
    finally:
        for callback, log_dir in zip(tensorboards, before, strict=True):
            callback.log_dir = log_dir


def write_round(log_dir: str, record: RoundRecord, scores: ScoreHistogram | None) -> None:
    """Writes a finished round to `rounds` in a `log_dir`, with its index as the step.

    Args:
        log_dir: of a `TensorBoard` callback.
        record: whose figures become scalars, and whose class counts histograms.
        scores: of the annotated pool, which become histograms of all and of those kept; `None` where nothing was
            stored.
    """
    columns = {name: values[0] for name, values in RoundsHistory([record]).to_dict().items()}
    figures = {name: value for name, value in columns.items() if isinstance(value, int | float)}
    with tf.summary.create_file_writer(os.path.join(log_dir, "rounds")).as_default(step=record.round_index):
        for name, value in figures.items():
            tf.summary.scalar(f"round/{name}", float(value))
        if scores is not None:
            _write_histogram("pseudo_labels/confidence", scores.kept + scores.dropped, scores.edges)
            _write_histogram("pseudo_labels/kept_confidence", scores.kept, scores.edges)
            for name, counts in {"class": record.class_counts, "selected_class": record.selected_class_counts}.items():
                _write_histogram(f"pseudo_labels/{name}", np.array(counts), np.arange(len(counts) + 1) - 0.5)


def _write_histogram(tag: str, counts: np.ndarray, edges: np.ndarray) -> None:
    """`tf.summary.histogram` of values that are counted already: it takes all values at once, and sets the edges."""
    buckets = np.stack([edges[:-1], edges[1:], counts], axis=1)
    metadata = tf.compat.v1.SummaryMetadata(plugin_data={"plugin_name": "histograms"})
    tf.summary.write(tag, tf.constant(buckets, tf.float64), metadata=metadata)


def _tensorboards(callbacks: Sequence[keras.callbacks.Callback]) -> list[keras.callbacks.TensorBoard]:
    return [callback for callback in callbacks if isinstance(callback, keras.callbacks.TensorBoard)]
