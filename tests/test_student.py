"""`NoisyStudent`: the training step, its logs, and what it refuses."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.noise import seeds

TASK = kns.Classification(num_classes=3)


def make_network(*, dropout_rate=0.0, batch_norm=False, seed=0):
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(8, "relu", kernel_initializer=keras.initializers.GlorotUniform(seed)),
    ]
    if batch_norm:
        layers.append(keras.layers.BatchNormalization(momentum=0.9))
    if dropout_rate:
        layers.append(keras.layers.Dropout(dropout_rate))
    head = keras.layers.Dense(
        3, "softmax", kernel_initializer=keras.initializers.GlorotUniform(seed + 1), dtype="float32"
    )
    return keras.Sequential([*layers, head])


def make_parts(num_labeled=4, num_pseudo_labeled=8, seed=0):
    rng = np.random.default_rng(seed)
    labeled = (rng.normal(size=(num_labeled, 4)).astype("float32"), rng.integers(0, 3, num_labeled).astype("int32"))
    soft = rng.dirichlet(np.ones(3), num_pseudo_labeled).astype("float32")
    return labeled, (rng.normal(size=(num_pseudo_labeled, 4)).astype("float32"), soft)


def batches_of(*parts):
    return tf.data.Dataset.from_tensors(parts).repeat()


def make_student(
    network=None, *, optimizer=None, noise=None, student_class=kns.NoisyStudent, seed=0, **compile_arguments
):
    student = student_class(network or make_network(), task=TASK, noise=noise, seed=seed)
    student.compile(optimizer or keras.optimizers.SGD(0.1), **compile_arguments)
    return student


def weights_after(student, batches, steps=3):
    student.fit(batches, steps_per_epoch=steps, verbose=0)
    return student.network.get_weights()


def assert_weights_close(received, expected, **tolerance):
    for one, other in zip(received, expected, strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


@pytest.mark.parametrize("reduction", ["mean", "sum_of_means"])
def test_a_step_is_gradient_descent_on_the_joint_loss(reduction):
    labeled, pseudo_labeled = make_parts()
    reference = make_network()
    student = make_student(loss_reduction=reduction)
    student.network.set_weights(reference.get_weights())

    cross_entropy = keras.losses.CategoricalCrossentropy()
    with tf.GradientTape() as tape:
        labeled_loss = cross_entropy(tf.one_hot(labeled[1], 3), reference(labeled[0]))
        pseudo_loss = cross_entropy(pseudo_labeled[1], reference(pseudo_labeled[0]))
        loss = labeled_loss + 2 * pseudo_loss
        if reduction == "mean":
            loss /= 3
    for weight, gradient in zip(
        reference.trainable_weights, tape.gradient(loss, reference.trainable_weights), strict=True
    ):
        weight.assign_sub(0.1 * gradient)

    logs = student.fit(batches_of(labeled, pseudo_labeled), steps_per_epoch=1, verbose=0).history
    assert_weights_close(student.network.get_weights(), reference.get_weights(), rtol=1e-5, atol=1e-6)
    assert logs["loss"][0] == pytest.approx(float(loss), rel=1e-5)
    assert logs["labeled_loss"][0] == pytest.approx(float(labeled_loss), rel=1e-5)
    assert logs["pseudo_labeled_loss"][0] == pytest.approx(float(pseudo_loss), rel=1e-5)


def test_logs_hold_the_accuracy_of_each_part():
    labeled, pseudo_labeled = make_parts(32, 64)
    student = make_student(optimizer=keras.optimizers.SGD(0.0), metrics=["accuracy"])
    logs = student.fit(batches_of(labeled, pseudo_labeled), steps_per_epoch=1, verbose=0).history
    labeled_accuracy = np.mean(student.network(labeled[0]).numpy().argmax(-1) == labeled[1])
    pseudo_accuracy = np.mean(student.network(pseudo_labeled[0]).numpy().argmax(-1) == pseudo_labeled[1].argmax(-1))
    assert logs["accuracy"] == logs["labeled_accuracy"] == pytest.approx([labeled_accuracy])
    assert logs["pseudo_labeled_accuracy"] == pytest.approx([pseudo_accuracy])


def test_without_a_pseudo_labeled_part_its_logs_are_left_out():
    labeled, _ = make_parts()
    history = make_student().fit(batches_of(labeled), steps_per_epoch=1, verbose=0).history
    assert sorted(history) == ["labeled_accuracy", "labeled_loss", "loss"]


def test_a_sample_weight_of_zero_removes_an_example_from_the_gradient():
    labeled, (x, y) = make_parts()
    weight = np.array([1, 0] * 4, "float32")
    changed = np.where(weight[:, None] > 0, x, 100)
    received = weights_after(make_student(), batches_of(labeled, (x, y, weight)))
    assert_weights_close(received, weights_after(make_student(), batches_of(labeled, (changed, y, weight))))
    unweighted = weights_after(make_student(), batches_of(labeled, (x, y)))
    assert not np.allclose(received[0], unweighted[0])


def test_sample_weights_divide_by_the_rows_as_keras_does():
    labeled, (x, y) = make_parts()
    weights = np.full(8, 0.5, "float32")
    logs = make_student().fit(batches_of(labeled, (x, y, weights)), steps_per_epoch=1, verbose=0).history
    assert logs["loss"][0] == pytest.approx((logs["labeled_loss"][0] + 2 * 0.5 * logs["pseudo_labeled_loss"][0]) / 3)


def test_regularization_losses_are_part_of_the_loss():
    labeled, pseudo_labeled = make_parts()
    regularized = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, "softmax", kernel_regularizer=keras.regularizers.L2(0.5))]
    )
    penalty = 0.5 * float(tf.reduce_sum(regularized.layers[0].kernel ** 2))
    history = make_student(regularized).fit(batches_of(labeled, pseudo_labeled), steps_per_epoch=1, verbose=0).history
    parts = (history["labeled_loss"][0] + 2 * history["pseudo_labeled_loss"][0]) / 3
    assert history["loss"][0] == pytest.approx(parts + penalty, rel=1e-5)


@pytest.mark.parametrize(
    "compile_arguments",
    [
        {"jit_compile": True},
        {"steps_per_execution": 3},
        {"jit_compile": True, "steps_per_execution": 3},
        {"run_eagerly": True},
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_compiled_forms_of_the_step_agree_with_the_plain_graph(compile_arguments):
    batches = batches_of(*make_parts())
    noise = kns.Noise(augmentation=add_noise)
    expected = weights_after(make_student(make_network(batch_norm=True), noise=noise), batches)
    received = weights_after(make_student(make_network(batch_norm=True), noise=noise, **compile_arguments), batches)
    assert_weights_close(received, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_mixed_precision_learns(policy, jit_compile):
    (x, y), (pool, _) = make_parts(32, 32)
    y = (x[:, 0] > 0).astype("int32")
    hard = (pool[:, 0] > 0).astype("int32")
    keras.config.set_dtype_policy(policy)
    try:
        network = make_network(dropout_rate=0.1, batch_norm=True)
        student = kns.NoisyStudent(network, task=TASK)
        student.compile(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5), jit_compile=jit_compile)
    finally:
        keras.config.set_dtype_policy("float32")
    history = student.fit(batches_of((x, y), (pool, hard)), steps_per_epoch=20, epochs=3, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    assert network.layers[0].compute_dtype == policy.removeprefix("mixed_")


def add_noise(x, noise_seed):
    return x + 0.1 * seeds.uniform(noise_seed, 4)


def recording_augmentation(calls):
    def augmentation(x, noise_seed):
        calls.append((x.shape, noise_seed.shape))
        return x

    return augmentation


def test_input_noise_is_applied_once_to_the_whole_joint_batch():
    calls = []
    student = make_student(noise=kns.Noise(augmentation=recording_augmentation(calls)))
    student.fit(batches_of(*make_parts(4, 8)), steps_per_epoch=2, verbose=0)
    assert calls == [((12, 4), (12,))]


def test_noise_seeds_that_are_absent_differ_between_parts_rows_and_steps():
    drawn = []

    def augmentation(x, noise_seed):
        drawn.append(noise_seed.numpy())
        return x

    student = make_student(noise=kns.Noise(augmentation=augmentation), run_eagerly=True)
    student.fit(batches_of(*make_parts(4, 8)), steps_per_epoch=2, verbose=0)
    assert len(np.unique(np.concatenate(drawn))) == 24


def test_evaluation_and_prediction_are_not_noised():
    def augmentation(x):
        return x * 0

    labeled, _ = make_parts()
    student = make_student(
        make_network(dropout_rate=0.9), noise=kns.Noise(augmentation=augmentation), metrics=["accuracy"]
    )
    expected = student.network(labeled[0], training=False).numpy()
    np.testing.assert_allclose(student.predict(labeled[0], verbose=0), expected, rtol=1e-5)
    loss, accuracy = student.evaluate(*labeled, verbose=0)
    assert loss == pytest.approx(float(keras.losses.SparseCategoricalCrossentropy()(labeled[1], expected)), rel=1e-4)
    assert accuracy == pytest.approx(np.mean(expected.argmax(-1) == labeled[1]))


def test_a_metric_that_another_student_has_used_begins_anew():
    (x, y), _ = make_parts()
    metric = keras.metrics.SparseCategoricalAccuracy()
    first, second = (make_student(make_network(), metrics=[metric]) for _ in range(2))
    second.network.layers[-1].kernel.assign(-first.network.layers[-1].kernel)
    for student in (first, second):
        expected = np.mean(student.network(x, training=False).numpy().argmax(-1) == y)
        assert student.evaluate(x, y, return_dict=True, verbose=0)[metric.name] == pytest.approx(expected)


def test_evaluation_weighs_a_smaller_last_batch_by_its_rows():
    (x, y), _ = make_parts(10)
    student = make_student()
    assert student.evaluate(x, y, batch_size=4, verbose=0) == pytest.approx(
        student.evaluate(x, y, batch_size=10, verbose=0), rel=1e-5
    )


def test_model_noise_is_set_and_masks_are_a_function_of_seed_and_step():
    noise = kns.Noise(dropout_rate=0.5)
    batches = batches_of(*make_parts())
    first = make_student(make_network(dropout_rate=0.1), noise=noise, seed=1)
    assert [change.new_drop_rate for change in first.layer_noise] == [0.5]
    expected = weights_after(first, batches)
    assert_weights_close(
        weights_after(make_student(make_network(dropout_rate=0.1), noise=noise, seed=1), batches), expected
    )
    other_seed = weights_after(make_student(make_network(dropout_rate=0.1), noise=noise, seed=2), batches)
    assert not np.allclose(other_seed[0], expected[0])


def test_a_keras_layer_as_augmentation_is_reproducible_by_the_seed():
    noise = [kns.Noise(augmentation=keras.layers.GaussianNoise(0.5)) for _ in range(3)]
    batches = batches_of(*make_parts())
    expected = weights_after(make_student(noise=noise[0], seed=1), batches)
    assert_weights_close(weights_after(make_student(noise=noise[1], seed=1), batches), expected)
    assert not np.allclose(weights_after(make_student(noise=noise[2], seed=2), batches)[0], expected[0])


def test_a_subclass_may_override_the_step():
    class Doubling(kns.NoisyStudent):
        def train_step(self, data):
            self.train_step_was_overridden = True
            return super().train_step(data)

    student = make_student(student_class=Doubling)
    student.fit(batches_of(*make_parts()), steps_per_epoch=1, verbose=0)
    assert student.train_step_was_overridden


def test_weights_can_be_saved_and_loaded(tmp_path):
    student = make_student(make_network(batch_norm=True))
    student.fit(batches_of(*make_parts()), steps_per_epoch=1, verbose=0)
    student.save_weights(tmp_path / "student.weights.h5")
    other = make_student(make_network(batch_norm=True, seed=5))
    other.load_weights(tmp_path / "student.weights.h5")
    assert_weights_close(other.network.get_weights(), student.network.get_weights())
    network = make_network(batch_norm=True, seed=6)
    network.load_weights(tmp_path / "student.weights.h5")
    assert_weights_close(network.get_weights(), student.network.get_weights())


@pytest.mark.parametrize("use_ema", [True, False])
def test_training_goes_on_from_a_training_state_as_if_it_had_not_stopped(use_ema):
    def student_with_optimizer():
        optimizer = keras.optimizers.Adam(0.1, use_ema=use_ema, ema_momentum=0.5)
        return make_student(make_network(batch_norm=True, dropout_rate=0.5), optimizer=optimizer)

    batches = batches_of(*make_parts())
    whole, first, second = (student_with_optimizer() for _ in range(3))
    weights_after(whole, batches, steps=7)
    states = []
    take_state = keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: states.append(first.get_training_state()))
    first.fit(batches, steps_per_epoch=4, callbacks=[take_state], verbose=0)
    continued = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: second.set_training_state(states[0]))
    second.fit(batches, steps_per_epoch=3, callbacks=[continued], verbose=0)
    for one, other in zip(second.get_training_state(), whole.get_training_state(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_training_state_of_another_network_is_refused():
    student = make_student()
    with pytest.raises(
        ValueError, match=r"training state must be that of this network and optimizer: \d+ arrays .* 0 "
    ):
        student.set_training_state([])


@pytest.mark.parametrize("data", ["(x, y)", "x", "three parts"])
def test_data_that_is_no_joint_batch_is_refused(data):
    labeled, pseudo_labeled = make_parts()
    elements = {"(x, y)": labeled, "x": labeled[0], "three parts": (labeled, pseudo_labeled, pseudo_labeled)}
    with pytest.raises(
        ValueError, match=r"trains on joint batches \(\(x, y\), \(x, pseudo_label\)\).*kns\.joint_dataset"
    ):
        make_student().fit(tf.data.Dataset.from_tensors(elements[data]), verbose=0)


def test_a_part_without_labels_needs_an_online_teacher():
    labeled, (x, _) = make_parts()
    with pytest.raises(
        ValueError, match=r"has no `y`\. Received: \(x,\) alone\. Pass \(x, y\), or an `online_teacher`"
    ):
        make_student().fit(tf.data.Dataset.from_tensors((labeled, (x,))), verbose=0)


def test_other_errors():
    with pytest.raises(ValueError, match=r"`network` must be a keras\.Model\. Received: function"):
        kns.NoisyStudent(make_network, task=TASK)
    with pytest.raises(ValueError, match=r"must be built.*Give it an Input, or call it on a batch once"):
        kns.NoisyStudent(keras.Sequential([keras.layers.Dense(3)]), task=TASK)
    for reduction in ("sum", np.array(["mean", "mean"])):
        message = rf"`loss_reduction` must be one of .* Received: loss_reduction={re.escape(repr(reduction))}"
        with pytest.raises(ValueError, match=message):
            make_student(loss_reduction=reduction)
    with pytest.raises(ValueError, match="dropout"):
        make_student(noise=kns.Noise(dropout_rate=0.5))


def test_saving_saves_the_network_so_that_model_checkpoint_works(tmp_path):
    student = make_student()
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras")
    student.fit(batches_of(*make_parts()), steps_per_epoch=1, callbacks=[checkpoint], verbose=0)
    assert_weights_close(keras.models.load_model(tmp_path / "best.keras").get_weights(), student.network.get_weights())


def test_labels_that_are_not_class_ids_are_refused():
    (x, y), pseudo_labeled = make_parts()
    for labels in (np.eye(3, dtype="float32")[y], y[:, None], y.astype("float32")):
        with pytest.raises(ValueError, match=r"must be integers\. Received: .*tf\.argmax|one class id per example"):
            make_student().fit(batches_of((x, labels), pseudo_labeled), steps_per_epoch=1, verbose=0)


def test_parts_of_different_dtype_are_refused():
    labeled, (x, y) = make_parts()
    with pytest.raises(
        ValueError, match=r"Both parts .* same structure, shape and dtype\. Received: .*float32.*float64"
    ):
        make_student().fit(batches_of(labeled, (x.astype("float64"), y)), steps_per_epoch=1, verbose=0)


@pytest.mark.parametrize(
    ("augmentation", "expected"),
    [
        (None, True),
        (kns.RandAugment(), True),
        (keras.layers.RandomRotation(0.1), False),
        (keras.Sequential([keras.layers.RandomRotation(0.1)]), False),
        (add_noise, False),
    ],
)
def test_auto_jit_compile_leaves_alone_noise_that_xla_may_not_compile(augmentation, expected, monkeypatch):
    monkeypatch.setattr(kns.NoisyStudent, "_resolve_auto_jit_compile", lambda student: True)
    assert make_student(noise=kns.Noise(augmentation)).jit_compile is expected
