import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.pseudo_labels.annotate import annotate
from keras_noisy_student.pseudo_labels.fingerprint import fingerprint
from keras_noisy_student.pseudo_labels.store_writer import StoreWriter
from keras_noisy_student.pseudo_labels.teacher import Teacher
from keras_noisy_student.sources.given_source import as_source
from keras_noisy_student.tasks.classification import Classification
from keras_noisy_student.tasks.stored_probabilities import decode
from tests.toy_data import NUM_CLASSES, NUM_FEATURES, all_columns, features, network

NUM_ROWS = 7


def _annotate(teacher, x, directory, *, batch_size=3, verbose=False, **task_arguments):
    pool = x if isinstance(x, tf.data.Dataset) else tf.data.Dataset.from_tensor_slices(x)
    task = Classification(NUM_CLASSES, **task_arguments)
    pool = as_source(pool, name="unlabeled")
    teacher = Teacher([teacher], task)
    return annotate(teacher, pool, store=_store(directory), batch_size=batch_size, verbose=verbose)


def _store(directory, blocks_per_shard=2):
    return StoreWriter(str(directory), made_by={"teacher": "a"}, blocks_per_shard=blocks_per_shard)


def _stored_probabilities(pseudo_labels):
    return np.concatenate([decode(block, NUM_CLASSES) for block in pseudo_labels.rows()])


@pytest.mark.parametrize("batch_size", [1, 3, 7, 10])
def test_stores_what_the_un_noised_teacher_says_in_the_order_of_the_pool(tmp_path, batch_size):
    teacher, x = network(dropout_rate=0.9), features(NUM_ROWS)
    expected = teacher(x, training=False).numpy()

    pseudo_labels = _annotate(teacher, x, tmp_path, batch_size=batch_size)

    np.testing.assert_allclose(all_columns(pseudo_labels)["score"], expected.max(axis=-1), rtol=1e-6)
    np.testing.assert_array_equal(all_columns(pseudo_labels)["class_id"], expected.argmax(axis=-1))
    np.testing.assert_array_equal(all_columns(pseudo_labels)["fingerprint"], fingerprint(x))
    np.testing.assert_allclose(_stored_probabilities(pseudo_labels), expected, rtol=1e-3)


def test_logits_become_probabilities(tmp_path):
    teacher, x = network(activation=None), features(NUM_ROWS)
    expected = tf.nn.softmax(teacher(x)).numpy()
    pseudo_labels = _annotate(teacher, x, tmp_path, from_logits=True)
    np.testing.assert_allclose(all_columns(pseudo_labels)["score"], expected.max(axis=-1), rtol=1e-6)
    np.testing.assert_allclose(_stored_probabilities(pseudo_labels), expected, rtol=1e-3)


def test_leaves_the_statistics_of_the_teacher_as_they_were(tmp_path):
    teacher = keras.Sequential([keras.Input((NUM_FEATURES,)), keras.layers.BatchNormalization(), network()])
    before = [weight.numpy() for weight in teacher.weights]
    _annotate(teacher, features(NUM_ROWS), tmp_path)
    for weight, expected in zip(teacher.weights, before, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_reads_pools_of_dicts(tmp_path):
    inputs = {name: keras.Input((NUM_FEATURES,), name=name) for name in ("left", "right")}
    teacher = keras.Model(inputs, network()(keras.layers.Add()(list(inputs.values()))))
    x = {"left": features(NUM_ROWS), "right": features(NUM_ROWS, seed=1)}
    pseudo_labels = _annotate(teacher, x, tmp_path)
    np.testing.assert_array_equal(all_columns(pseudo_labels)["class_id"], teacher(x).numpy().argmax(axis=-1))
    np.testing.assert_array_equal(all_columns(pseudo_labels)["fingerprint"], fingerprint(x))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_outputs_that_are_not_finite_and_names_the_first_row(tmp_path, value):
    x = features(NUM_ROWS)
    x[[4, 5]] = value
    message = (
        r"The teacher's outputs must be finite\. Received: NaN or infinity for 2 examples of the unlabelled pool, the "
        r"first at row 4\. Look for NaN in that example, or for a teacher that diverged\."
    )
    with pytest.raises(ValueError, match=message):
        _annotate(network(), x, tmp_path)
    assert not (tmp_path / "manifest.json").exists()


class _Counted(keras.layers.Layer):
    """Counts the examples that went through it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, x):
        tf.py_function(lambda x: self.seen.extend(x[:, 0].numpy().tolist()), [x], [])
        return x


def counted_teacher():
    counted = _Counted()
    teacher = keras.Sequential([keras.Input((NUM_FEATURES,)), counted, network()])
    counted.seen.clear()
    return teacher, counted.seen


def _files(directory):
    return {file.name: file.read_bytes() for file in directory.iterdir()}


@pytest.mark.parametrize(
    ("lost", "seen_again"),
    [
        ([], []),
        (["manifest.json"], []),
        (["manifest.json", "shard-00000-00001.json"], [6, 7, 8, 9]),
        (["shard-00000-00000.json"], [0, 1, 2, 3, 4, 5]),
        (["shard-00000-00001.targets.tfrecord", "shard-00000-00000.columns.tfrecord"], list(range(10))),
    ],
)
@pytest.mark.filterwarnings("ignore:.* is missing")
@pytest.mark.parametrize("is_known", [True, False])
def test_only_the_shards_that_are_missing_are_annotated_again(tmp_path, lost, seen_again, is_known):
    x = features(10)
    pool = tf.data.Dataset.from_tensor_slices(x)
    pool = pool if is_known else pool.filter(lambda x: True)
    _annotate(network(), pool, tmp_path)
    before = _files(tmp_path)
    for name in lost:
        (tmp_path / name).unlink()
    teacher, seen = counted_teacher()
    pseudo_labels = _annotate(teacher, pool, tmp_path)
    assert sorted(seen) == sorted(x[seen_again, 0].tolist())
    assert _files(tmp_path) == before
    np.testing.assert_array_equal(all_columns(pseudo_labels)["fingerprint"], fingerprint(x))


def test_the_row_in_an_error_counts_from_the_beginning_of_the_pool_when_annotation_goes_on(tmp_path):
    x = features(20)
    _annotate(network(), x, tmp_path)
    for name in ("manifest.json", "shard-00000-00002.json"):
        (tmp_path / name).unlink()
    x[17] = np.nan
    with pytest.raises(ValueError, match="the first at row 17"):
        _annotate(network(), x, tmp_path)


def test_shows_progress_only_when_asked(tmp_path, capsys):
    _annotate(network(), features(NUM_ROWS), tmp_path, verbose=True)
    assert "3/3" in capsys.readouterr().out
    _annotate(network(), features(NUM_ROWS), tmp_path, verbose=False)
    assert capsys.readouterr().out == ""


def test_a_pool_of_unknown_length_is_annotated_whole_and_ends_its_line_of_progress(tmp_path, capsys):
    pool = tf.data.Dataset.from_tensor_slices(features(NUM_ROWS)).filter(lambda x: True)
    assert len(_annotate(network(), pool, tmp_path, verbose=True)) == NUM_ROWS
    printed = capsys.readouterr().out
    assert "3/Unknown" in printed
    assert printed.endswith("\n")
