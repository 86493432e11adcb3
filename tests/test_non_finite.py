"""Steps whose loss or gradients are NaN or infinite."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.non_finite import NonFiniteError, all_finite
from tests.test_student import assert_weights_close, make_network, make_parts, make_student


class NoGradientAtZero(keras.layers.Layer):
    """Zero for every input; its gradient is NaN."""

    def call(self, x):
        return tf.sqrt(0 * x)


class HugeLoss(kns.Classification):
    """A finite loss, whose sum over 32 steps is not."""

    def loss(self, targets, outputs):
        return 1e37 + 0 * outputs[:, 0]


def batches_with(bad_steps, *, num_steps=8):
    """Joint batches, of which those at `bad_steps` hold NaN."""
    elements = []
    for step in range(num_steps):
        (x, y), pseudo_labeled = make_parts(seed=step)
        elements.append(((x * (np.nan if step in bad_steps else 1), y), pseudo_labeled))
    return tf.data.Dataset.from_tensor_slices(tf.nest.map_structure(lambda *parts: np.stack(parts), *elements))


def test_a_loss_that_is_not_finite_stops_at_its_step():
    message = (
        r"The loss and its gradients must be finite\. Received: loss=nan at epoch 2, step 3\. Look for NaN in the "
        r'examples .* clip the gradients .* skip such steps with `compile\(on_non_finite="skip"\)`\. Finished epochs'
    )
    with pytest.raises(NonFiniteError, match=message) as caught:
        make_student().fit(batches_with([6]), epochs=2, steps_per_epoch=4, verbose=0)
    assert caught.value.steps == range(6, 7)


def test_with_several_steps_in_one_execution_the_error_names_them_all():
    with pytest.raises(NonFiniteError, match=r"at epoch 1, one of the steps 5 to 8\.") as caught:
        make_student(steps_per_execution=4).fit(batches_with([6]), steps_per_epoch=8, verbose=0)
    assert caught.value.steps == range(4, 8)


@pytest.mark.parametrize("jit_compile", [True, False])
def test_a_gradient_that_is_not_finite_stops_although_the_loss_is(jit_compile):
    network = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), NoGradientAtZero(), keras.layers.Activation("softmax")]
    )
    student = make_student(network, jit_compile=jit_compile)
    with pytest.raises(ValueError, match=r"Received: a gradient that is not at epoch 1, step 1\."):
        student.fit(batches_with([]), verbose=0)


def test_finite_losses_whose_sum_overflows_do_not_stop():
    student = kns.NoisyStudent(make_network(), task=HugeLoss(num_classes=3))
    student.compile(keras.optimizers.SGD(0.1))
    history = student.fit(batches_with([], num_steps=32), verbose=0).history
    assert history["loss"] == [np.inf]


def test_a_finite_step_after_one_that_is_not_does_not_hide_it():
    student = make_student(steps_per_execution=4)
    with pytest.raises(NonFiniteError, match=r"one of the steps 1 to 4\."):
        student.fit(batches_with([0]), steps_per_epoch=4, verbose=0)


def test_a_step_that_loss_scaling_skips_does_not_stop():
    network = make_network()
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=1e38)
    student = make_student(network, optimizer=optimizer)
    student.fit(batches_with([]), verbose=0)
    assert float(student.optimizer.dynamic_scale) < 1e38


def test_a_gradient_that_loss_scaling_is_not_to_blame_for_stops():
    network = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), NoGradientAtZero(), keras.layers.Activation("softmax")]
    )
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=8.0)
    with pytest.raises(NonFiniteError, match=r"Received: a gradient that is not at epoch 1, step 3\."):
        make_student(network, optimizer=optimizer).fit(batches_with([]), verbose=0)


@pytest.mark.parametrize("jit_compile", [True, False])
def test_a_skipped_step_leaves_everything_as_it_was(jit_compile):
    def trained(batches, **arguments):
        student = make_student(
            make_network(batch_norm=True),
            optimizer=keras.optimizers.AdamW(0.1, use_ema=True, ema_momentum=0.5),
            metrics=["accuracy", "sparse_categorical_crossentropy"],
            jit_compile=jit_compile,
            **arguments,
        )
        history = student.fit(batches, verbose=0).history
        return student.get_training_state(), history

    good = batches_with([2, 5]).enumerate().filter(lambda step, batch: step != 2 and step != 5)
    good = good.map(lambda step, batch: batch).apply(tf.data.experimental.assert_cardinality(6))
    state, history = trained(batches_with([2, 5]), on_non_finite="skip")
    expected_state, expected_history = trained(good)
    assert_weights_close(state, expected_state, rtol=1e-5, atol=1e-7)
    assert history.pop("skipped_steps") == [2.0]
    assert history.keys() == expected_history.keys()
    assert [values[0] for values in history.values()] == pytest.approx([v[0] for v in expected_history.values()])


def test_an_epoch_of_which_every_step_is_skipped_stops():
    student = make_student(on_non_finite="skip")
    message = r"Some step of an epoch must have a finite loss.* Received: all 2 steps of epoch 1 were skipped\. Lower"
    with pytest.raises(ValueError, match=message):
        student.fit(batches_with(range(8)), steps_per_epoch=2, verbose=0)


def test_evaluation_counts_no_steps():
    student = make_student(on_non_finite="skip")
    (x, y), _ = make_parts()
    assert set(student.evaluate(x, y, return_dict=True, verbose=0)) == {"loss"}


def test_what_to_do_must_be_known():
    with pytest.raises(ValueError, match=r'`on_non_finite` must be "stop" or "skip"\. Received: on_non_finite=\'go\''):
        make_student(on_non_finite="go")


def test_skipping_is_refused_on_several_replicas(monkeypatch):
    two_replicas = types.SimpleNamespace(num_replicas_in_sync=2)
    student = make_student()
    monkeypatch.setattr(kns.NoisyStudent, "distribute_strategy", property(lambda self: two_replicas))
    with pytest.raises(ValueError, match=r'"skip"` works on one replica\. Received: a strategy with 2\. Use "stop"'):
        student.compile(on_non_finite="skip")


def test_all_finite_looks_at_the_loss_and_at_every_gradient():
    one, nan, infinity = tf.ones(2), tf.constant([1.0, np.nan]), tf.constant(np.inf)
    sparse = tf.IndexedSlices(nan, tf.constant([0, 1]))
    cases = [(1.0, [one, None], True), (infinity, [one], False), (1.0, [one, nan], False), (1.0, [sparse], False)]
    for loss, gradients, expected in cases:
        assert bool(all_finite(tf.constant(loss), gradients)) == expected
