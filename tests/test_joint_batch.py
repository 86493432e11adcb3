import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.joint_batch import Examples, as_parts, joint_loss, num_rows

X, Y, WEIGHT, NOISE_SEED = np.zeros((2, 4)), np.zeros(2), np.ones(2), np.arange(2)


def _joint_loss_slowly(losses, weights, reduction):
    weighted_sums = [
        sum(loss * weight for loss, weight in zip(*part, strict=True)) for part in zip(losses, weights, strict=True)
    ]
    means = [weighted_sum / len(part) for weighted_sum, part in zip(weighted_sums, losses, strict=True)]
    ratios = [len(part) / len(losses[0]) for part in losses]
    total = sum(mean * ratio for mean, ratio in zip(means, ratios, strict=True))
    return total / sum(ratios) if reduction == "mean" else total


@pytest.mark.parametrize("reduction", ["mean", "sum_of_means"])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_loss_equals_a_slow_statement_over_a_grid(reduction, is_weighted):
    random = np.random.default_rng(0)
    for sizes in [(1,), (5,), *itertools.product((1, 3, 8), (1, 2, 24))]:
        losses = [random.uniform(0, 5, size).astype("float32") for size in sizes]
        weights = [random.uniform(0, 2, size).astype("float32") if is_weighted else np.ones(size) for size in sizes]
        loss = joint_loss(
            [tf.constant(part) for part in losses],
            [tf.constant(part, tf.float32) for part in weights],
            reduction=reduction,
        )
        assert loss.shape == ()
        assert float(loss) == pytest.approx(_joint_loss_slowly(losses, weights, reduction), rel=1e-5)


def test_a_weight_of_0_leaves_the_number_of_rows_as_it_is():
    losses, weights = [tf.constant([2.0]), tf.constant([4.0, 8.0, 8.0])], [tf.ones(1), tf.constant([1.0, 0.0, 0.0])]
    assert float(joint_loss(losses, weights, reduction="mean")) == 6 / 4
    assert float(joint_loss(losses, weights, reduction="sum_of_means")) == 6


def test_weights_of_one_over_the_ratio_give_the_plain_sum_of_algorithm_1():
    losses = [tf.constant([1.0, 5.0]), tf.constant([2.0, 4.0, 9.0])]
    weights = [tf.ones(2), tf.fill([3], 2 / 3)]
    assert float(joint_loss(losses, weights, reduction="sum_of_means")) == pytest.approx(3 + 5)


@pytest.mark.parametrize(
    "data",
    [
        ((X, Y),),
        ((X, Y), (X, Y)),
        ((X, Y, WEIGHT), (X, Y, WEIGHT, NOISE_SEED)),
        ((X, Y), (X,)),
        (({"a": X}, Y), ({"a": X}, Y)),
        (Examples(X, Y), Examples(X, noise_seed=NOISE_SEED)),
    ],
)
def test_reads_one_or_two_parts(data):
    parts = as_parts(data)
    assert [type(part) for part in parts] == [Examples] * len(data)
    for part, given in zip(parts, data, strict=True):
        assert all(field is item for field, item in zip(part, given, strict=False))


def test_a_part_knows_which_of_its_fields_were_given():
    names = ("y", "sample_weight", "noise_seed")
    parts = as_parts(((X, Y), Examples(X, noise_seed=NOISE_SEED)))
    assert [[part.has(name) for name in names] for part in parts] == [[True, False, False], [False, False, True]]


def test_absent_fields_stay_absent_in_a_data_set():
    (part,) = tf.data.Dataset.from_tensors(Examples(X, Y))
    assert not part.has("sample_weight")
    assert part.has("y")


@pytest.mark.parametrize("data", [(X, Y), [(X, Y)], ((X, Y),) * 3, (), X, {"x": X}, ((X, Y), ()), ((X,) * 6,)])
def test_refuses_what_is_not_a_joint_batch(data):
    message = (
        r"`NoisyStudent` trains on joint batches \(\(x, y\), \(x, pseudo_label\)\), where each part may have a third "
        r"item, sample_weight\. Received: .*\. Make them with `kns\.joint_dataset\(labeled, pseudo_labeled, \.\.\.\)`, "
        r"or with `tf\.data\.Dataset\.zip`; for labelled data only, pass \(\(x, y\),\)\."
    )
    with pytest.raises(ValueError, match=message):
        as_parts(data)


def test_that_error_shows_the_shapes_received():
    with pytest.raises(ValueError, match=r"Received: \(\(2, 4\), \{'a': \(2,\)\}, 'int'\)\."):
        as_parts((X, {"a": Y}, 3))


def test_the_number_of_rows_is_static_where_it_is_known():
    assert num_rows(Examples(tf.zeros((3, 2)))) == 3
    assert num_rows(Examples({"a": tf.zeros((5, 2)), "b": tf.zeros((5, 1, 1))})) == 5


def test_the_number_of_rows_is_a_tensor_where_it_is_not():
    count = tf.function(lambda x: num_rows(Examples(x)), input_signature=[tf.TensorSpec((None, 2))])
    assert int(count(tf.zeros((3, 2)))) == 3
