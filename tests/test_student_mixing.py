"""`NoisyStudent` with `Noise(mixing=...)`: the loss, the logs, the seeds, and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from tests.noise.test_mixing import LAYERS, mixed_row, recording
from tests.toy_data import distributions

NUM_CLASSES = 3
NUM_LABELED, NUM_PSEUDO_LABELED = 4, 8
TASK = kns.Classification(NUM_CLASSES, label_smoothing=0.1)


def make_network():
    """Linear, so that one step shows the gradient, and with the same weights at every call."""
    initializer = keras.initializers.RandomNormal(0.0, 0.1, seed=0)
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(NUM_CLASSES, "softmax", kernel_initializer=initializer, dtype="float32"),
        ]
    )


def make_images(num, seed):
    return np.random.default_rng(seed).integers(0, 256, (num, 4, 4, 1)).astype("uint8")


def make_parts(*, weights=False, hard=False):
    labeled = (make_images(NUM_LABELED, 0), np.array([0, 1, 2, 1], "int32"))
    pseudo_labels = distributions(NUM_PSEUDO_LABELED)
    pseudo_labels = pseudo_labels.argmax(-1).astype("int32") if hard else pseudo_labels
    pseudo_labeled = (make_images(NUM_PSEUDO_LABELED, 1), pseudo_labels)
    if not weights:
        return labeled, pseudo_labeled
    random = np.random.default_rng(2)
    return (
        (*labeled, random.uniform(0, 2, NUM_LABELED).astype("float32")),
        (*pseudo_labeled, np.array([0, 1, 0.5, 2, 0, 0, 1, 1], "float32")),
    )


def fit_student(*parts, noise, steps=1, task=TASK, network=None, seed=0, run_eagerly=True, **compile_arguments):
    """Eager by default, which is quicker here than to trace; other forms of the step have a test of their own."""
    student = kns.NoisyStudent(network or make_network(), task=task, noise=noise, seed=seed)
    student.compile(keras.optimizers.SGD(0.1), run_eagerly=run_eagerly, **compile_arguments)
    history = student.fit(tf.data.Dataset.from_tensors(parts).repeat(), steps_per_epoch=steps, verbose=0)
    return student, history.history


def assert_weights_equal(student, other):
    for one, two in zip(student.network.get_weights(), other.network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def as_distributions(y):
    return y if y.ndim == 2 else 0.9 * np.eye(NUM_CLASSES, dtype="float32")[y] + 0.1 / NUM_CLASSES


class MixedSlowly:
    """Every row of a joint batch, mixed by what the layer drew, its loss a sum of the two of its examples."""

    def __init__(self, parts, transformation):
        x = np.concatenate([part[0] for part in parts]).astype("float32")
        y = np.concatenate([as_distributions(part[1]) for part in parts])
        w = np.concatenate([part[2] if len(part) == 3 else np.ones(len(part[0])) for part in parts])
        self.images, self.terms = [], []
        for row in range(len(x)):
            partner, share = mixed_row(transformation, row)
            if "batch_masks" in transformation:
                self.images.append(np.where(transformation["batch_masks"][row], x[partner], x[row]))
            else:
                self.images.append(share * x[row] + (1 - share) * x[partner])
            self.terms.append([(share * w[row], y[row]), ((1 - share) * w[partner], y[partner])])

    def losses(self, network):
        """One loss, already weighted, per row."""
        log_outputs = tf.unstack(tf.math.log(network(np.stack(self.images).astype("float32"))))
        return [
            -sum(weight * tf.reduce_sum(y * log_output) for weight, y in terms)
            for terms, log_output in zip(self.terms, log_outputs, strict=True)
        ]

    def weights(self):
        return np.array([sum(weight for weight, _ in terms) for terms in self.terms])

    def most_probable_classes(self):
        return np.array([np.argmax(sum(weight * y for weight, y in terms)) for terms in self.terms])


@pytest.mark.parametrize("reduction", ["mean", "sum_of_means"])
@pytest.mark.parametrize(
    "arguments", [{}, {"weights": True}, {"weights": True, "hard": True}], ids=["soft", "weights", "hard weights"]
)
@pytest.mark.parametrize("layer_class", LAYERS)
def test_a_step_descends_the_loss_of_both_examples_of_each_row(layer_class, arguments, reduction):
    parts, (layer, transformations) = make_parts(**arguments), recording(layer_class)
    student, logs = fit_student(*parts, noise=kns.Noise(mixing=layer), metrics=["accuracy"], loss_reduction=reduction)
    reference, mixed = make_network(), MixedSlowly(parts, transformations[0])
    outputs = reference(np.stack(mixed.images).astype("float32")).numpy()
    with tf.GradientTape() as tape:
        losses = mixed.losses(reference)
        loss = sum(losses) / (NUM_LABELED + NUM_PSEUDO_LABELED if reduction == "mean" else NUM_LABELED)
    for weight, gradient in zip(
        reference.trainable_weights, tape.gradient(loss, reference.trainable_weights), strict=True
    ):
        weight.assign_sub(0.1 * gradient)

    for one, other in zip(student.network.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert logs["loss"][0] == pytest.approx(float(loss), rel=1e-5)
    agrees = mixed.most_probable_classes() == outputs.argmax(-1)
    for part, rows in (("labeled", slice(NUM_LABELED)), ("pseudo_labeled", slice(NUM_LABELED, None))):
        weights = mixed.weights()[rows]
        assert logs[f"{part}_loss"][0] == pytest.approx(sum(map(float, losses[rows])) / weights.sum(), rel=1e-5)
        assert logs[f"{part}_accuracy"][0] == pytest.approx((agrees[rows] * weights).sum() / weights.sum(), abs=1e-6)
    hits = outputs[:NUM_LABELED].argmax(-1) == parts[0][1]
    assert logs["accuracy"][0] == pytest.approx(np.mean(hits))


def test_the_whole_joint_batch_is_mixed_at_once_after_the_augmentation():
    class Spy(keras.layers.Layer):
        def call(self, batch):
            seen.append({name: tensor.numpy() for name, tensor in batch.items()})
            return batch

    seen = []
    (x, y), (pool, p) = make_parts()
    noise = kns.Noise(lambda images: tf.cast(images, tf.float32) + 1000, mixing=Spy())
    fit_student((x, y), (pool, p), noise=noise)
    (batch,) = seen
    np.testing.assert_array_equal(batch["images"], np.concatenate([x, pool]).astype("float32") + 1000)
    expected = np.concatenate([as_distributions(y), p])
    np.testing.assert_allclose(batch["labels"], np.column_stack([expected, np.ones(12)]), rtol=1e-6)


@pytest.mark.parametrize("layer_class", LAYERS)
def test_metrics_given_to_compile_see_the_labels_of_the_first_images(layer_class):
    def spy(y_true, y_pred):
        seen.append(np.array(y_true))
        return tf.zeros(len(y_true))

    seen = []
    labeled, pseudo_labeled = make_parts()
    fit_student(labeled, pseudo_labeled, noise=kns.Noise(mixing=layer_class()), steps=2, metrics=[spy])
    np.testing.assert_array_equal(np.ravel(seen[-2:]), [*labeled[1], *labeled[1]])


@pytest.mark.parametrize("layer_class", LAYERS)
def test_labelled_and_pseudo_labelled_examples_mix_with_each_other(layer_class):
    layer, transformations = recording(layer_class)
    fit_student(*make_parts(), noise=kns.Noise(mixing=layer), steps=3)
    orders = np.stack([transformation["permutation_order"] for transformation in transformations])
    assert np.any(orders[:, :NUM_LABELED] >= NUM_LABELED)
    assert np.any(orders[:, NUM_LABELED:] < NUM_LABELED)


@pytest.mark.parametrize("layer_class", LAYERS)
def test_what_is_mixed_is_a_function_of_the_seed(layer_class):
    def train(seed, layer_seed):
        noise = kns.Noise(mixing=layer_class(seed=layer_seed))
        return fit_student(*make_parts(), noise=noise, steps=3, seed=seed)[0]

    first = train(1, layer_seed=None)
    assert_weights_equal(train(1, layer_seed=5), first)
    assert not np.allclose(train(2, layer_seed=None).network.get_weights()[0], first.network.get_weights()[0])


@pytest.mark.parametrize("layer_class", LAYERS)
def test_every_step_draws_anew_and_a_layer_may_serve_several_students(layer_class):
    layer, transformations = recording(layer_class)
    for _ in range(2):
        fit_student(*make_parts(), noise=kns.Noise(mixing=layer), steps=3)
    shares = np.stack([transformation["mix_weight"].ravel() for transformation in transformations])
    np.testing.assert_array_equal(shares[:3], shares[3:])
    assert len(np.unique(shares[:3])) == 3 * (NUM_LABELED + NUM_PSEUDO_LABELED)


@pytest.mark.parametrize("layer_class", LAYERS)
def test_mixing_stays_in_the_step_when_the_augmentation_is_in_the_pipeline(layer_class):
    students = [
        fit_student(*make_parts(), noise=kns.Noise(mixing=layer_class(), placement=placement))[0]
        for placement in ("step", "pipeline")
    ]
    assert_weights_equal(*students)
    unmixed = fit_student(*make_parts(), noise=kns.Noise())[0]
    assert not np.allclose(unmixed.network.get_weights()[0], students[0].network.get_weights()[0])


@pytest.mark.parametrize("layer_class", LAYERS)
def test_a_graph_and_several_steps_in_one_call_agree_with_eager_mode(layer_class):
    noise = kns.Noise(mixing=layer_class())
    expected = fit_student(*make_parts(weights=True), noise=noise, steps=4)[0]
    for compile_arguments in ({}, {"steps_per_execution": 2}):
        received = fit_student(*make_parts(weights=True), noise=noise, steps=4, run_eagerly=False, **compile_arguments)[
            0
        ]
        for one, other in zip(received.network.get_weights(), expected.network.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("layer_class", LAYERS)
def test_a_network_of_mixed_precision_takes_mixed_images(layer_class, policy):
    noise = kns.Noise(mixing=layer_class())
    expected = fit_student(*make_parts(), noise=noise, steps=3)[1]["loss"]
    keras.config.set_dtype_policy(policy)
    try:
        network = make_network()
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.layers[0].compute_dtype == policy.removeprefix("mixed_")
    assert fit_student(*make_parts(), noise=noise, steps=3, network=network)[1]["loss"] == pytest.approx(
        expected, rel=0.02
    )


def test_a_mixing_layer_that_xla_compiles_gives_the_same_step_under_xla():
    class MixWithTheOtherEnd(keras.layers.Layer):
        def call(self, batch):
            return {name: 0.75 * tensor + 0.25 * tf.reverse(tensor, axis=[0]) for name, tensor in batch.items()}

    noise = kns.Noise(mixing=MixWithTheOtherEnd())
    expected = fit_student(*make_parts(), noise=noise, steps=2)[0]
    received = fit_student(*make_parts(), noise=noise, steps=2, run_eagerly=False, jit_compile=True)[0]
    assert received.jit_compile is True
    np.testing.assert_allclose(received.network.get_weights()[0], expected.network.get_weights()[0], rtol=1e-4)


@pytest.mark.parametrize("layer_class", LAYERS)
def test_auto_does_not_compile_what_xla_cannot_and_true_is_refused(layer_class, monkeypatch):
    monkeypatch.setattr(kns.NoisyStudent, "_resolve_auto_jit_compile", lambda student: True)
    noise = kns.Noise(mixing=layer_class())
    student, logs = fit_student(*make_parts(), noise=noise, run_eagerly=False, jit_compile="auto")
    assert student.jit_compile is False
    assert np.isfinite(logs["loss"][0])
    with pytest.raises(ValueError, match=r"XLA cannot compile `mixing`\. Received: jit_compile=True"):
        fit_student(*make_parts(), noise=noise, run_eagerly=False, jit_compile=True)


def test_labelled_examples_alone_mix_too():
    labeled, _ = make_parts()
    _, logs = fit_student(labeled, noise=kns.Noise(mixing=keras.layers.MixUp()))
    assert sorted(logs) == ["labeled_accuracy", "labeled_loss", "loss"]
    assert np.isfinite(logs["loss"][0])


class WithoutSoftTargets(kns.Classification):
    """A task that a user wrote: it stands for its loss alone."""

    soft_targets = kns.Task.soft_targets

    def loss(self, targets, outputs):
        return TASK.loss(targets, outputs)


def test_a_task_without_soft_targets_trains_unmixed_only():
    task = WithoutSoftTargets(NUM_CLASSES)
    assert np.isfinite(fit_student(*make_parts(), noise=kns.Noise(), task=task)[1]["loss"][0])
    message = (
        r"`mixing` needs a task whose targets can be written as distributions\. Received: a WithoutSoftTargets without "
        r"`soft_targets`\. Define `soft_targets\(targets\)`.*or pass mixing=None"
    )
    with pytest.raises(ValueError, match=message):
        kns.NoisyStudent(make_network(), task=task, noise=kns.Noise(mixing=keras.layers.MixUp()))
    with pytest.raises(NotImplementedError, match="WithoutSoftTargets does not define `soft_targets`"):
        task.soft_targets(tf.constant([0]))


@pytest.mark.parametrize("x", [np.zeros((4, 6, 6), "float32"), {"a": np.zeros((4, 6, 6, 1), "float32")}])
def test_examples_that_are_not_images_are_refused_in_the_first_step(x):
    inputs = {"a": keras.Input((6, 6, 1), name="a")} if isinstance(x, dict) else keras.Input((6, 6))
    features = keras.layers.Flatten()(inputs["a"] if isinstance(x, dict) else inputs)
    network = keras.Model(inputs, keras.layers.Dense(NUM_CLASSES, "softmax")(features))
    with pytest.raises(
        ValueError, match=r"`mixing` takes images, one tensor of shape \(batch, height, width, channels\)"
    ):
        fit_student((x, np.zeros(4, "int32")), noise=kns.Noise(mixing=keras.layers.MixUp()), network=network)
