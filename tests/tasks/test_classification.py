import re

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.tasks.classification import Classification
from keras_noisy_student.tasks.task import Task
from tests.toy_data import distributions

LOGITS = np.random.default_rng(0).normal(scale=2, size=(6, 3)).astype("float32")
CLASS_IDS = np.array([0, 1, 2, 2, 1, 0], "int32")


def _softmax(logits):
    exponentials = np.exp(logits.astype("float64"))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _outputs(from_logits, dtype="float32"):
    return tf.constant((LOGITS if from_logits else _softmax(LOGITS)).astype(dtype))


def _cross_entropy_slowly(target_rows):
    return [
        -sum(target * np.log(probability) for target, probability in zip(*rows, strict=True))
        for rows in zip(target_rows, _softmax(LOGITS), strict=True)
    ]


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("from_logits", [False, True])
def test_the_loss_of_class_ids_is_the_smoothed_cross_entropy(from_logits, smoothing):
    task = Classification(3, from_logits=from_logits, label_smoothing=smoothing)
    targets = [[(1 - smoothing) * (c == class_id) + smoothing / 3 for c in range(3)] for class_id in CLASS_IDS]
    losses = task.loss(tf.constant(CLASS_IDS), _outputs(from_logits))
    assert losses.shape == (6,)
    np.testing.assert_allclose(losses, _cross_entropy_slowly(targets), rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.6])
@pytest.mark.parametrize("from_logits", [False, True])
def test_the_loss_of_distributions_is_the_cross_entropy_without_smoothing(from_logits, smoothing):
    task = Classification(3, from_logits=from_logits, label_smoothing=smoothing)
    targets = distributions(6)
    losses = task.loss(tf.constant(targets), _outputs(from_logits))
    np.testing.assert_allclose(losses, _cross_entropy_slowly(targets), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64"])
def test_labels_of_every_integer_dtype_have_the_same_loss_and_agreement(dtype):
    task, labels = Classification(3), tf.constant(CLASS_IDS.astype(dtype))
    np.testing.assert_array_equal(
        task.loss(labels, _outputs(False)), task.loss(tf.constant(CLASS_IDS), _outputs(False))
    )
    np.testing.assert_array_equal(
        task.agreement(labels, _outputs(False)), task.agreement(tf.constant(CLASS_IDS), _outputs(False))
    )


@pytest.mark.parametrize("from_logits", [False, True])
def test_the_loss_is_float32_and_finite_for_outputs_of_half_precision(from_logits):
    task = Classification(3, from_logits=from_logits)
    for outputs in (_outputs(from_logits, "float16"), tf.constant([[1, 0, 0]] * 6, tf.float16)):
        losses = task.loss(tf.constant(CLASS_IDS), outputs)
        assert losses.dtype == tf.float32
        assert np.isfinite(losses).all()
    np.testing.assert_allclose(
        task.loss(tf.constant(CLASS_IDS), _outputs(from_logits, "float16")),
        _cross_entropy_slowly(np.eye(3)[CLASS_IDS]),
        atol=0.02,
    )


@pytest.mark.parametrize("from_logits", [False, True])
def test_agreement_is_1_where_the_most_likely_class_is_that_of_the_target(from_logits):
    expected = [float(np.argmax(row) == class_id) for row, class_id in zip(LOGITS, CLASS_IDS, strict=True)]
    assert 0 < sum(expected) < 6
    soft = 0.5 * np.eye(3, dtype="float32")[CLASS_IDS] + 1 / 6
    for targets in (CLASS_IDS, soft):
        agreement = Classification(3, from_logits=from_logits).agreement(tf.constant(targets), _outputs(from_logits))
        assert agreement.dtype == tf.float32
        assert agreement.numpy().tolist() == expected


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("from_logits", [False, True])
def test_annotates_with_probabilities_the_largest_of_them_and_its_class(from_logits, dtype):
    annotation = Classification(3, from_logits=from_logits).annotate(_outputs(from_logits, dtype))
    tolerance = {"rtol": 1e-5} if dtype == "float32" else {"atol": 2e-3}
    np.testing.assert_allclose(annotation.pseudo_label, _softmax(LOGITS), **tolerance)
    np.testing.assert_array_equal(annotation.score, annotation.pseudo_label.numpy().max(axis=-1))
    np.testing.assert_array_equal(annotation.class_id, LOGITS.argmax(axis=-1))
    assert [tensor.dtype for tensor in annotation] == [tf.float32, tf.float32, tf.int32]


@pytest.mark.parametrize("from_logits", [False, True])
def test_serves_probabilities_and_class_ids(from_logits):
    served = Classification(3, from_logits=from_logits).serve(_outputs(from_logits))
    assert set(served) == {"probabilities", "class_ids"}
    np.testing.assert_allclose(served["probabilities"], _softmax(LOGITS), rtol=1e-5)
    np.testing.assert_array_equal(served["class_ids"], LOGITS.argmax(axis=-1))


@pytest.mark.parametrize("class_names", [["cat", "dog", "owl"], np.array(["cat", "dog", "owl"])])
def test_serves_the_names_of_classes_that_have_some(class_names):
    served = Classification(3, class_names=class_names).serve(tf.one_hot([2, 0], 3))
    assert served["class_names"].numpy().tolist() == [b"owl", b"cat"]


@pytest.mark.parametrize(
    "class_names",
    ["cat", ["cat", "dog"], ["cat", "dog", "dog"], [0, 1, 2], [[1, [2]], "a"], 3, {"cat": 0}],
)
def test_refuses_names_that_do_not_fit_the_classes(class_names):
    message = "`class_names` must be 3 different strings, one for each class of num_classes=3. Received: class_names="
    with pytest.raises(ValueError, match=re.escape(f"{message}{class_names!r}")):
        Classification(3, class_names=class_names)


def test_is_a_task_whose_metric_is_the_accuracy():
    task = Classification(3)
    assert isinstance(task, Task)
    assert task.metrics() == ["accuracy"]
    assert task == Classification(num_classes=3, from_logits=False, label_smoothing=0.0)


@pytest.mark.parametrize("num_classes", [1, 0, -2, 3.0, True, "3", None])
def test_refuses_fewer_than_2_classes(num_classes):
    message = re.escape(f"`num_classes` must be an integer of at least 2. Received: num_classes={num_classes!r}.")
    with pytest.raises(ValueError, match=message):
        Classification(num_classes)


@pytest.mark.parametrize("smoothing", [-0.1, 1, 1.5, float("nan")])
def test_refuses_a_smoothing_out_of_range(smoothing):
    message = rf"`label_smoothing` must be in \[0, 1\)\. Received: label_smoothing={smoothing}\."
    with pytest.raises(ValueError, match=message):
        Classification(3, label_smoothing=smoothing)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_takes_integer_labels_in_range(dtype):
    Classification(3).check_labels(CLASS_IDS.astype(dtype))


@pytest.mark.parametrize("labels", [np.zeros(3, "float32"), np.zeros(3, bool), np.array(["cat", "dog"])])
def test_refuses_labels_that_are_not_integers(labels):
    message = (
        rf"Labels must be integer class ids\. Received: dtype {labels.dtype}\. Cast them, for instance with "
        r'`y\.astype\("int32"\)`\.'
    )
    with pytest.raises(ValueError, match=message):
        Classification(3).check_labels(labels)


def test_refuses_labels_out_of_range():
    message = (
        r"Labels must be in \[0, 3\) for num_classes=3\. Received: \[-1, 3, 7\] in 4 of 6 examples\. Correct the "
        r"labels or `num_classes`\."
    )
    with pytest.raises(ValueError, match=message):
        Classification(3).check_labels(np.array([7, 0, 3, 2, -1, 7]))


def test_refuses_labels_that_miss_a_class():
    message = (
        r"Every class needs a labelled example: a teacher that never saw a class cannot label it\. Missing: \[1, 4\]\. "
        r"Add examples of them, or number the classes without gaps and lower num_classes=5\."
    )
    with pytest.raises(ValueError, match=message):
        Classification(5).check_coverage(np.array([0, 2, 2, 3]))
    Classification(4).check_coverage(np.array([3, 1, 0, 2, 0]))


@pytest.mark.parametrize("from_logits", [False, True])
def test_takes_outputs_as_declared(from_logits):
    for dtype in ("float32", "float16"):
        Classification(3, from_logits=from_logits).check_outputs(_outputs(from_logits, dtype))


@pytest.mark.parametrize(
    ("outputs", "received"),
    [
        (np.zeros((6, 4)), r"shape \(6, 4\)"),
        (np.zeros((6, 3, 1)), r"shape \(6, 3, 1\)"),
        (np.zeros(3), r"shape \(3,\)"),
        ([np.zeros((6, 3))] * 2, "list of 2 tensors"),
        ({"a": np.zeros((6, 3))}, "dict of 1 tensors"),
        (None, "None"),
    ],
)
def test_refuses_outputs_of_another_shape(outputs, received):
    message = (
        rf"The network must return one tensor of shape \(batch, 3\) for num_classes=3\. Received: {received}\. Change "
        r"its last layer or `num_classes`\."
    )
    with pytest.raises(ValueError, match=message):
        Classification(3).check_outputs(outputs)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("from_logits", [False, True])
def test_refuses_outputs_that_are_not_finite(from_logits, value):
    outputs = _outputs(from_logits).numpy()
    outputs[3, 1] = value
    message = (
        r"The network must return finite numbers\. Received: NaN or infinity for a batch of labelled examples\. Look "
        r"for unscaled inputs or a division by zero in the network\."
    )
    with pytest.raises(ValueError, match=message):
        Classification(3, from_logits=from_logits).check_outputs(outputs)


def test_refuses_probabilities_that_were_declared_logits():
    message = (
        r"The network was declared to return logits, but its outputs are probabilities: rows of numbers from 0 to 1 "
        r"that sum to 1\. Remove the softmax, or use Classification\(\.\.\., from_logits=False\)\."
    )
    with pytest.raises(ValueError, match=message):
        Classification(3, from_logits=True).check_outputs(_outputs(from_logits=False))


@pytest.mark.parametrize(
    ("rows", "received"),
    [
        ([[1.0, 2.0, 0.5]], r"a row that sums to 3\.5, smallest number 0\.5"),
        ([[2.0, -1.5, 0.5]], r"a row that sums to 1, smallest number -1\.5"),
    ],
)
def test_refuses_logits_that_were_declared_probabilities(rows, received):
    message = (
        rf"The network was declared to return probabilities, but its rows .* sum to 1\. Received: {received}\. End the "
        r"network in a softmax, or use Classification\(\.\.\., from_logits=True\)\."
    )
    with pytest.raises(ValueError, match=message):
        Classification(3).check_outputs(np.array(rows))


def test_that_error_shows_the_row_that_is_farthest_off():
    rows = np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 1.25], [0.5, 0.25, 0.5]])
    with pytest.raises(ValueError, match=r"a row that sums to 2, "):
        Classification(3).check_outputs(rows)


def test_takes_a_teacher_that_is_better_than_chance():
    Classification(3).check_teacher(np.array([0, 0, 1, 2]), np.array([0, 0, 1, 0]))


def test_a_teacher_is_judged_by_the_mean_recall_and_not_by_the_largest_class():
    labels = np.array([0] * 98 + [1, 2])
    message = (
        r"The teacher is no better than chance on the labelled examples: mean recall 0\.333 over the classes, chance "
        r"0\.333; 100% of its answers are class 0\. Its pseudo-labels would be noise\. Train it longer"
    )
    with pytest.raises(ValueError, match=message):
        Classification(3).check_teacher(labels, np.zeros(100, int))
    Classification(3).check_teacher(labels, np.array([0] * 99 + [2]))


@pytest.mark.parametrize("num_classes", [2, 3, 7, 10, 1000])
def test_refuses_every_constant_teacher(num_classes):
    labels = np.arange(num_classes).repeat(2)
    for class_id in (0, num_classes - 1):
        with pytest.raises(ValueError, match=rf"100% of its answers are class {class_id}\."):
            Classification(num_classes).check_teacher(labels, np.full(2 * num_classes, class_id))


def test_a_confidently_wrong_example_keeps_its_gradient():
    logits = tf.constant([[40.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = Classification(3).loss(tf.constant([1]), tf.nn.softmax(logits))
    assert float(loss[0]) == pytest.approx(40, rel=1e-5)
    np.testing.assert_allclose(tape.gradient(loss, logits), [[1, -1, 0]], atol=1e-5)


@pytest.mark.parametrize("class_id", [-1, 3])
def test_the_loss_of_a_class_id_out_of_range_is_nan(class_id):
    loss = Classification(3, label_smoothing=0.1).loss(tf.constant([class_id, 0]), tf.fill([2, 3], 1 / 3))
    assert np.isnan(loss[0])
    assert np.isfinite(loss[1])


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_soft_targets_of_class_ids_are_smoothed(dtype):
    targets = Classification(3, label_smoothing=0.3).soft_targets(tf.constant(CLASS_IDS.astype(dtype)))
    assert targets.dtype == tf.float32
    np.testing.assert_allclose(targets, 0.7 * np.eye(3)[CLASS_IDS] + 0.1, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_soft_targets_of_distributions_are_the_distributions(dtype):
    probabilities = distributions(6).astype(dtype)
    targets = Classification(3, label_smoothing=0.3).soft_targets(tf.constant(probabilities))
    assert targets.dtype == tf.float32
    np.testing.assert_array_equal(targets, probabilities.astype("float32"))
