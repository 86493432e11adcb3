"""Data and settings of `fit_rounds` that nobody means to pass: accepted, or an error that explains itself.

Nothing is trained: the first round ends in `Accepted`.
"""

import collections
import tempfile

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import keras_noisy_student as kns
from tests.odd_values import ALL, ODD_VALUES, check_accepts_or_explains, fuzz_settings
from tests.toy_data import NUM_CLASSES, NUM_FEATURES, features, labels, network

NUM_EXAMPLES = 6
X, Y, POOL = features(NUM_EXAMPLES), labels(NUM_EXAMPLES), features(NUM_EXAMPLES, seed=1)
DTYPES = ["bool", "uint8", "int64", "uint64", "float16", "float64", "longdouble", "complex64", "U3", "S3", "object"]
DTYPES += ["datetime64[s]", "timedelta64[s]", "V4", [("a", "int32")]]
SHAPES = [(), (0,), (1,), (NUM_EXAMPLES,), (NUM_EXAMPLES, 0), (0, NUM_FEATURES), (NUM_EXAMPLES, 1)]
SHAPES += [(NUM_EXAMPLES, NUM_FEATURES), (5, NUM_FEATURES), (NUM_EXAMPLES, 2, 2), (NUM_EXAMPLES, 1, 1, NUM_FEATURES)]
SHAPES += [(1, 1, 1, 1, 1)]
Pair = collections.namedtuple("Pair", ["x", "y"])


ABOUT_DATA = ["labeled", "labelled", "unlabeled", "validation_data", "Labels"]


class Accepted(Exception):
    """The data and settings passed all checks."""


class CheckingTrainer(kns.NoisyStudentTrainer):
    def run_round(self, teacher, data, settings):
        raise Accepted


def as_dataset(data):
    return tf.data.Dataset.from_tensor_slices(data)


def from_examples(examples, spec):
    return tf.data.Dataset.from_generator(lambda: iter(examples), output_signature=spec)


def fails_at(label):
    """A stream that ends in an error of TensorFlow, as a broken file does."""
    numbers = {"at once": 0, "later": NUM_EXAMPLES - 1}
    return (
        as_dataset((X, Y))
        .enumerate()
        .map(
            lambda row, pair: (
                tf.debugging.check_numerics(pair[0] / tf.cast(row != numbers[label], "float32"), "x"),
                pair[1],
            )
        )
    )


PAIRS = as_dataset((X, Y))
PAIR_SPEC = tf.TensorSpec((NUM_FEATURES,)), tf.TensorSpec((), tf.int32)
DATASETS = {
    "batched": PAIRS.batch(2),
    "of batches of batches": PAIRS.batch(2).batch(2),
    "endless": PAIRS.repeat(),
    "endless, filtered": PAIRS.repeat().filter(lambda x, y: y < 2),
    "endless, all filtered out": PAIRS.repeat().filter(lambda x, y: y > 9),
    "endless, shuffled, filtered": PAIRS.filter(lambda x, y: y < 9).repeat().shuffle(4),
    "finite again": PAIRS.repeat().take_while(lambda x, y: y < 2),
    "empty": PAIRS.take(0),
    "all filtered out": PAIRS.filter(lambda x, y: False),
    "ragged": PAIRS.ragged_batch(2),
    "sparse": PAIRS.map(lambda x, y: (tf.sparse.from_dense(x), y)),
    "of windows": PAIRS.window(2),
    "of none": PAIRS.map(lambda x, y: (x, None)),
    "of optionals": PAIRS.map(lambda x, y: tf.experimental.Optional.from_value(x)),
    "of labels alone": PAIRS.map(lambda x, y: ({}, y)),
    "of dicts": PAIRS.map(lambda x, y: {"x": x, "y": y}),
    "of triples": PAIRS.map(lambda x, y: (x, y, 1.0)),
    "of texts": PAIRS.map(lambda x, y: (tf.as_string(x), y)),
    "of complex numbers": PAIRS.map(lambda x, y: (tf.cast(x, tf.complex64), y)),
    "of NaN": PAIRS.map(lambda x, y: (x * np.nan, y)),
    "of labels out of range": PAIRS.map(lambda x, y: (x, y - 1)),
    "of one-hot labels": PAIRS.map(lambda x, y: (x, tf.one_hot(y, NUM_CLASSES))),
    "of x": PAIRS.map(lambda x, y: x),
    "fails at once": fails_at("at once"),
    "fails later": fails_at("later"),
    "of another shape than it says": from_examples([(X[0], 0), (X[1, :2], 1)], PAIR_SPEC),
    "of fewer parts than it says": from_examples([X[0]], PAIR_SPEC),
    "of a generator that fails": from_examples((1 / 0 for _ in range(2)), PAIR_SPEC),
    "of unknown shape": from_examples([(X[0], 0)], (tf.TensorSpec(None), tf.TensorSpec((), tf.int32))),
    "of unknown sizes": from_examples([(X[0], 0)], (tf.TensorSpec([None]), tf.TensorSpec((), tf.int32))),
    "of unknown rank of labels": from_examples([(X[0], 0)], (tf.TensorSpec((NUM_FEATURES,)), tf.TensorSpec(None))),
    "of missing files": tf.data.TFRecordDataset("/nowhere/at/all.tfrecord").map(lambda text: (X[0], 0)),
}
STRUCTURES = [
    (X, Y, Y),
    (X,),
    (X, ()),
    ({}, Y),
    ((), ()),
    Pair(X, Y),
    Pair(POOL, None),
    ({"a": X, 1: X}, Y),
    {"x": X, "y": Y},
    {None: X},
    {b"x": X, "y": Y},
    [X, Y],
    ([X], Y),
    ((X, X), Y),
    (X.tolist(), Y.tolist()),
    (X, Y[:-1]),
    (X, Y.astype("uint8")),
    (X, Y - 1),
    (X, Y * 0),
    (X * np.nan, Y),
    (X.astype("float64") * 1e300, Y),
    (np.ma.masked_array(X, X > 0), Y),
    (tf.constant(X), tf.constant(Y)),
    (tf.Variable(X), Y),
    (tf.RaggedTensor.from_tensor(X), Y),
    (tf.sparse.from_dense(X), Y),
    (keras.KerasTensor((None, NUM_FEATURES)), Y),
    (pd.DataFrame(X), pd.Series(Y)),
    pd.DataFrame(X),
    (example for example in X),
    ((X, Y) for _ in range(2)),
    map(len, "ab"),
    lambda: (X, Y),
]
ARRAYS = st.builds(lambda dtype, shape: np.zeros(shape, dtype), st.sampled_from(DTYPES), st.sampled_from(SHAPES))
TENSORS = st.builds(
    lambda dtype, shape: tf.zeros(shape, dtype),
    st.sampled_from(["bool", "float16", "bfloat16", "float64", "complex64", "string", "uint64", "int8"]),
    st.sampled_from(SHAPES),
)
LEAVES = st.one_of(ARRAYS, TENSORS, st.sampled_from([X, Y, POOL]))
DICTS = st.dictionaries(st.sampled_from(["a", "b", "", 1, None, ("a",)]), LEAVES, max_size=2)
DATA = st.one_of(
    st.sampled_from(list(DATASETS.values())),
    st.sampled_from(STRUCTURES),
    LEAVES,
    st.tuples(LEAVES, LEAVES),
    DICTS,
    st.sampled_from(ALL),
)
FUNCTIONS_OF_THE_ROUND = ODD_VALUES.map(lambda value: lambda round_index: value)
BY_ROUND = st.one_of(ODD_VALUES, FUNCTIONS_OF_THE_ROUND)
SETTINGS = {"num_rounds": ODD_VALUES} | dict.fromkeys(["batch_size", "epochs", "steps_per_epoch"], BY_ROUND)
OF_THE_TRAINER = {
    "unlabeled_ratio": BY_ROUND,
    "noise": BY_ROUND,
    "pseudo_labeling": BY_ROUND,
    "fine_tuning": BY_ROUND,
}
OF_COMPILE = [
    "loss_reduction",
    "metrics",
    "promotion",
    "on_non_finite",
    "jit_compile",
    "steps_per_execution",
    "run_eagerly",
]
ONE_BY_ONE = st.fixed_dictionaries({}, optional=dict.fromkeys(["labeled", "unlabeled", "validation_data"], DATA))
ALIKE = st.builds(lambda x: {"labeled": (x, Y), "unlabeled": x}, st.one_of(LEAVES, DICTS))


def fit_rounds(**arguments):
    """Checks data and settings, also those that belong to the constructor and to `compile`."""
    of_compile = {"optimizer": "sgd"} | {name: arguments.pop(name) for name in OF_COMPILE if name in arguments}
    of_trainer = {name: arguments.pop(name) for name in OF_THE_TRAINER if name in arguments}
    with tempfile.TemporaryDirectory() as directory:
        trainer = CheckingTrainer(
            lambda index: network(), kns.Classification(NUM_CLASSES), directory=directory, **of_trainer
        )
        trainer.compile(**of_compile)
        arguments = {"labeled": (X, Y), "unlabeled": POOL, "verbose": 0, "num_rounds": 1, "batch_size": 2} | arguments
        with pytest.raises(Accepted):
            trainer.fit_rounds(**arguments)


# Keras warns where it then fails, or takes the only array of a dict.
@pytest.mark.filterwarnings("ignore:The structure of `inputs`:UserWarning")
@fuzz_settings(max_examples=200)
@given(st.one_of(ONE_BY_ONE, ALIKE))
def test_odd_data_is_accepted_or_explained(data):
    check_accepts_or_explains(fit_rounds, data, about=ABOUT_DATA)


@pytest.mark.parametrize("argument", ["labeled", "unlabeled", "validation_data"])
@pytest.mark.parametrize("kind", DATASETS)
def test_each_odd_data_set_is_accepted_or_explained(kind, argument):
    check_accepts_or_explains(fit_rounds, {argument: DATASETS[kind]}, about=ABOUT_DATA)


@pytest.mark.filterwarnings("ignore:The structure of `inputs`:UserWarning")
@pytest.mark.parametrize("argument", ["labeled", "unlabeled", "validation_data"])
def test_each_odd_structure_is_accepted_or_explained(argument):
    for data in STRUCTURES:
        check_accepts_or_explains(fit_rounds, {argument: data}, about=ABOUT_DATA)


@fuzz_settings(max_examples=150)
@given(DATA, DATA)
def test_odd_data_of_a_joint_dataset_is_accepted_or_explained(labeled, pseudo_labeled):
    arguments = {"labeled": labeled, "pseudo_labeled": pseudo_labeled, "batch_size": 2}
    check_accepts_or_explains(kns.joint_dataset, arguments)


@pytest.mark.parametrize("setting", ["num_rounds", "batch_size", "callbacks", "verbose", *OF_COMPILE])
def test_each_odd_setting_alone_is_accepted_or_explained(setting):
    # What `compile` is given is the same in every round: one network is enough.
    rounds = {"num_rounds": 0} if setting in OF_COMPILE else {}
    for value in ALL:
        check_accepts_or_explains(fit_rounds, rounds | {setting: value}, about=[setting])


@fuzz_settings(max_examples=100)
@given(st.fixed_dictionaries({}, optional=SETTINGS | OF_THE_TRAINER))
def test_odd_settings_of_rounds_are_accepted_or_explained(settings):
    check_accepts_or_explains(fit_rounds, settings)
