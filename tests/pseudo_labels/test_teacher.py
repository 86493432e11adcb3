import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.pseudo_labels.teacher import Teacher
from keras_noisy_student.tasks.classification import Classification
from tests.toy_data import NUM_CLASSES, NUM_FEATURES, features, network


def test_one_network_says_what_its_task_reads_from_it():
    alone, x = network(dropout_rate=0.9), features(5)
    annotation = Teacher([alone], Classification(NUM_CLASSES)).annotate(x)
    np.testing.assert_array_equal(annotation.pseudo_label, alone(x, training=False))


@pytest.mark.parametrize("from_logits", [False, True])
def test_probabilities_are_the_mean_over_networks_and_views(from_logits):
    activation = None if from_logits else "softmax"
    networks = [network(dropout_rate=0.9, activation=activation, seed=seed) for seed in (0, 1)]
    views = [tf.identity, lambda x: 2 * x, lambda x: -x]
    x = features(5)
    expected = np.zeros((5, NUM_CLASSES))
    for each in networks:
        for scale in (1, 2, -1):
            outputs = each(scale * x, training=False)
            expected += (tf.nn.softmax(outputs) if from_logits else outputs).numpy() / 6
    annotation = Teacher(networks, Classification(NUM_CLASSES, from_logits=from_logits), views=views).annotate(x)
    np.testing.assert_allclose(annotation.pseudo_label, expected, rtol=1e-5)
    np.testing.assert_allclose(annotation.score, expected.max(axis=-1), rtol=1e-5)
    np.testing.assert_array_equal(annotation.class_id, expected.argmax(axis=-1))


def test_views_may_have_branches_and_take_dicts_where_graphs_are_made_without_autograph():
    def brighter(x):
        if tf.reduce_mean(x["left"]) < 0:
            return x
        return {"left": x["left"] + 1.0, "right": x["right"]}

    inputs = {name: keras.Input((NUM_FEATURES,), name=name) for name in ("left", "right")}
    sums = keras.Model(inputs, network()(keras.layers.Add()(list(inputs.values()))))
    teacher = Teacher([sums], Classification(NUM_CLASSES), views=[brighter])
    x = {"left": tf.abs(features(5)), "right": tf.constant(features(5, seed=1))}
    annotate = tf.function(teacher.annotate, autograph=False)
    np.testing.assert_allclose(annotate(x).pseudo_label, sums({"left": x["left"] + 1, "right": x["right"]}), rtol=1e-5)


def test_a_view_that_loses_examples_is_found_in_the_graph():
    teacher = Teacher([network()], Classification(NUM_CLASSES), views=[lambda x: x[: tf.shape(x)[0] // 2]])
    annotate = tf.function(teacher.annotate).get_concrete_function(tf.TensorSpec([None, NUM_FEATURES]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="`views` must keep the batch size"):
        annotate(tf.constant(features(6)))


def test_a_task_may_judge_in_its_own_way():
    class ByMargin(Classification):
        def judge(self, probabilities):
            top = tf.math.top_k(probabilities, 2).values
            return super().judge(probabilities)._replace(score=top[:, 0] - top[:, 1])

    x, networks = features(5), [network(seed=0), network(seed=1)]
    annotation = Teacher(networks, ByMargin(NUM_CLASSES)).annotate(x)
    mean = np.sort((networks[0](x) + networks[1](x)) / 2, axis=-1)
    np.testing.assert_allclose(annotation.score, mean[:, -1] - mean[:, -2], rtol=1e-4)
