import functools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_noisy_student.noise.noise import Noise
from keras_noisy_student.pipeline import (
    POOL_CHANGED,
    join,
    joint_dataset,
    num_pseudo_labeled,
    pool_errors_explained,
    pseudo_labeled_examples,
    shuffled_examples,
    unlabeled_examples,
)
from keras_noisy_student.pseudo_labels.corrected_labels import stored_annotation
from keras_noisy_student.pseudo_labels.fingerprint import fingerprint
from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.sources.given_source import as_source
from keras_noisy_student.student import NoisyStudent
from keras_noisy_student.tasks.classification import Classification
from keras_noisy_student.tasks.stored_probabilities import encode
from tests.toy_data import NUM_CLASSES, NUM_FEATURES, distributions, features, labels, network

KINDS = ["arrays", "stream"]


def _source(kind, data):
    return as_source(data if kind == "arrays" else tf.data.Dataset.from_tensor_slices(data), name="unlabeled")


def _as(kind, data):
    return data if kind == "arrays" else tf.data.Dataset.from_tensor_slices(data)


def _joint(kind="arrays", **arguments):
    labeled, pseudo_labeled = (features(8), labels(8)), (features(6, seed=1), distributions(6))
    return joint_dataset(_as(kind, labeled), _as(kind, pseudo_labeled), **arguments)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("batch_size", "unlabeled_ratio", "num_pseudo"), [(2, 1, 2), (4, 3, 12), (4, 1.5, 6), (4, 0.5, 2), (3, 7 / 3, 7)]
)
def test_a_joint_batch_has_the_ratio_asked_for(kind, batch_size, unlabeled_ratio, num_pseudo):
    labeled, pseudo_labeled = _joint(kind, batch_size=batch_size, unlabeled_ratio=unlabeled_ratio).element_spec
    assert labeled.x == tf.TensorSpec((batch_size, NUM_FEATURES))
    assert labeled.y == tf.TensorSpec(batch_size, tf.int32)
    assert pseudo_labeled.x == tf.TensorSpec((num_pseudo, NUM_FEATURES))
    assert pseudo_labeled.y == tf.TensorSpec((num_pseudo, NUM_CLASSES))
    assert pseudo_labeled.noise_seed == tf.TensorSpec(num_pseudo, tf.int64)
    assert not labeled.has("sample_weight")


@pytest.mark.parametrize("kind", KINDS)
def test_examples_keep_their_labels_and_weights(kind):
    x, y = features(5), np.arange(5)
    weight = y.astype("float32") / 10
    batches = joint_dataset(_as(kind, (x, y)), _as(kind, (x, y, weight)), batch_size=5, unlabeled_ratio=2)
    labeled, pseudo_labeled = next(iter(batches))
    np.testing.assert_array_equal(np.sort(labeled.y), y)
    np.testing.assert_array_equal(labeled.x, x[labeled.y])
    np.testing.assert_array_equal(pseudo_labeled.x, x[pseudo_labeled.y])
    np.testing.assert_array_equal(pseudo_labeled.sample_weight, weight[pseudo_labeled.y])
    assert not labeled.has("sample_weight")


def test_the_same_seed_joins_the_same_batches_and_another_seed_others():
    first, again, other = (next(iter(_joint(batch_size=4, seed=seed))) for seed in (3, 3, 4))
    for part, part_again, other_part in zip(first, again, other, strict=True):
        for field, field_again, other_field in zip(part, part_again, other_part, strict=True):
            np.testing.assert_array_equal(field, field_again)
            assert field == () or (np.asarray(field) != np.asarray(other_field)).any()


def test_labelled_and_pseudo_labelled_examples_have_orders_of_their_own():
    x = np.arange(20, dtype="float32")[:, None]
    labeled, pseudo_labeled = next(iter(joint_dataset((x, labels(20)), (x, labels(20)), batch_size=20)))
    assert (labeled.x.numpy() != pseudo_labeled.x.numpy()).any()
    assert not set(labeled.noise_seed.numpy()) & set(pseudo_labeled.noise_seed.numpy())


@pytest.mark.parametrize(
    ("batch_size", "unlabeled_ratio", "num_pseudo"), [(2, 1.25, 3), (2, 1.75, 4), (5, 1.3, 7), (3, 1.4, 4), (3, 0.2, 1)]
)
def test_a_ratio_that_gives_no_whole_number_gives_the_nearest_one(batch_size, unlabeled_ratio, num_pseudo):
    assert num_pseudo_labeled(batch_size, unlabeled_ratio) == num_pseudo


@pytest.mark.parametrize(("batch_size", "unlabeled_ratio"), [(32, 0), (32, -1.0), (32, 0.01), (1, 0.25), (1, 1e300)])
def test_refuses_a_ratio_that_gives_no_example_or_too_many(batch_size, unlabeled_ratio):
    message = (
        r"`unlabeled_ratio` must give at least one unlabelled example for a batch, and 2147483647 at most\. Received: "
        rf"unlabeled_ratio={re.escape(str(unlabeled_ratio))}, batch_size={batch_size}\. Change either\."
    )
    with pytest.raises(ValueError, match=message):
        num_pseudo_labeled(batch_size, unlabeled_ratio)


@pytest.mark.parametrize("unlabeled_ratio", [float("nan"), float("inf"), float("-inf")])
def test_refuses_a_ratio_that_is_not_finite(unlabeled_ratio):
    with pytest.raises(ValueError, match=rf"Received: unlabeled_ratio={unlabeled_ratio}, batch_size=32\."):
        num_pseudo_labeled(32, unlabeled_ratio)


LABELED, PSEUDO_LABELED = (features(8), labels(8)), (features(6), distributions(6))


@pytest.mark.parametrize(
    ("labeled", "pseudo_labeled", "message"),
    [
        (LABELED[0], PSEUDO_LABELED, r"`labeled` must hold examples \(x, y\).* Received: .*TensorSpec\(shape=\(4,\)"),
        (LABELED, PSEUDO_LABELED[0], r"`pseudo_labeled` must hold examples \(x, y\).* Received: .*TensorSpec"),
        (tf.data.Dataset.from_tensor_slices(LABELED).batch(2), PSEUDO_LABELED, r"`labeled`.*call `\.unbatch\(\)`"),
        (LABELED, (features(6).astype("float16"), labels(6)), r"`pseudo_labeled`.*float32.*Received: .*float16"),
    ],
    ids=["no labels", "no pseudo-labels", "batches", "dtype"],
)
def test_refuses_parts_that_cannot_be_joined(labeled, pseudo_labeled, message):
    with pytest.raises(ValueError, match=message):
        joint_dataset(labeled, pseudo_labeled, batch_size=2)


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("batch_size", 0, r"`batch_size` must be a positive integer, 2147483647 at most\. Received: batch_size=0\."),
        ("batch_size", 2.0, r"`batch_size` must be a positive integer, .* Received: batch_size=2\.0\."),
        ("batch_size", 2**31, r"`batch_size` must be a positive integer, .* Received: batch_size=2147483648\."),
        ("seed", -1, r"`seed` must be an integer of at least 0\. Received: seed=-1\."),
        ("seed", None, r"`seed` must be an integer of at least 0\. Received: seed=None\."),
        ("noise", "strong", r"`noise` must be a `Noise`, or None\. Received: noise='strong'\."),
        ("noise", 0, r"`noise` must be a `Noise`, or None\. Received: noise=0\."),
    ],
)
def test_refuses_other_settings_of_a_joint_dataset(argument, value, message):
    with pytest.raises(ValueError, match=message):
        joint_dataset(LABELED, PSEUDO_LABELED, **{"batch_size": 2, argument: value})


def test_numpy_integers_count_as_those_of_python():
    expected = next(iter(joint_dataset(LABELED, PSEUDO_LABELED, batch_size=2, seed=3)))
    received = next(iter(joint_dataset(LABELED, PSEUDO_LABELED, batch_size=np.uint8(2), seed=np.int64(3))))
    tf.nest.map_structure(np.testing.assert_array_equal, received, expected)


def _noise_seeds_by_row(kind, batch_size):
    source = _source(kind, (np.arange(4), labels(4)))
    batches = list(shuffled_examples(source, batch_size, key=7).take(24 // batch_size))
    return np.stack([np.concatenate([batch.x for batch in batches]), np.concatenate([b.noise_seed for b in batches])])


@pytest.mark.parametrize("kind", KINDS)
def test_every_copy_of_an_example_has_a_noise_seed_of_its_own(kind):
    rows, noise_seeds = _noise_seeds_by_row(kind, batch_size=8)
    assert np.bincount(rows).tolist() == [6] * 4
    assert len(set(noise_seeds)) == 24


@pytest.mark.parametrize("kind", KINDS)
def test_order_and_noise_seeds_do_not_depend_on_the_batch_size(kind):
    expected = _noise_seeds_by_row(kind, batch_size=24)
    for batch_size in (1, 3, 8):
        np.testing.assert_array_equal(_noise_seeds_by_row(kind, batch_size), expected)


def _augmentation(x):
    return x + 100


def _seeded_augmentation(x, noise_seed):
    return x + tf.cast(noise_seed % 1000, x.dtype)[:, None]


@pytest.mark.parametrize(("placement", "added"), [("pipeline", 100), ("step", 0)])
def test_noise_placed_in_the_pipeline_is_applied_to_both_parts_and_that_of_the_step_is_not(placement, added):
    clean, noised = (
        next(iter(_joint(batch_size=4, noise=noise)))
        for noise in (None, Noise(augmentation=_augmentation, placement=placement))
    )
    for clean_part, noised_part in zip(clean, noised, strict=True):
        np.testing.assert_array_equal(noised_part.x, clean_part.x + added)
        np.testing.assert_array_equal(noised_part.y, clean_part.y)


def test_noise_in_the_pipeline_is_that_of_the_noise_seed_of_each_example():
    noise = Noise(augmentation=_seeded_augmentation, placement="pipeline")
    for clean, noised in zip(*(next(iter(_joint(batch_size=4, noise=n))) for n in (None, noise)), strict=True):
        np.testing.assert_array_equal(noised.x, _seeded_augmentation(clean.x, clean.noise_seed))


def test_a_keras_layer_augments_in_the_pipeline():
    noise = Noise(augmentation=keras.layers.GaussianNoise(1.0, seed=0), placement="pipeline")
    labeled, _ = next(iter(_joint(batch_size=4, noise=noise)))
    clean, _ = next(iter(_joint(batch_size=4)))
    assert (labeled.x.numpy() != clean.x.numpy()).all()


def test_join_takes_the_labelled_part_alone():
    part = shuffled_examples(_source("arrays", (features(4), labels(4))), 2, key=0)
    assert join(part, noise=Noise()).element_spec == (part.element_spec,)


@pytest.mark.parametrize("kind", KINDS)
def test_unlabelled_examples_have_no_labels(kind):
    (examples,) = unlabeled_examples(_source(kind, {"a": features(6)}), 6, key=0).take(1)
    np.testing.assert_array_equal(np.sort(examples.x["a"], axis=0), np.sort(features(6), axis=0))
    assert not examples.has("y")
    assert not examples.has("sample_weight")
    assert examples.noise_seed.shape == (6,)


def _rows_of_store(pool):
    """What a store holds of a pool: row i has class i and all of its probability there."""
    num_rows = len(pool)
    rows = {
        "fingerprint": np.asarray(fingerprint(pool))[:, None],
        "score": np.ones((num_rows, 1), "float32"),
        "class_id": np.arange(num_rows, dtype="int32")[:, None],
        **encode(tf.eye(num_rows)),
    }
    return tf.data.Dataset.from_tensor_slices(rows).batch(4)


def _pseudo_labeled(kind, *, annotated, received, repeats=None, labels="hard", batch_size=12):
    """One batch of pseudo-labelled examples of a pool that may differ from the annotated one."""
    repeats = np.ones(len(annotated), "int32") if repeats is None else np.int32(repeats)
    selected = _source(kind, received).selected(repeats, _rows_of_store(annotated), part_rows=(len(annotated),))
    rules = PseudoLabeling(labels=labels)
    annotation_of = functools.partial(stored_annotation, task=Classification(len(annotated)))
    return pseudo_labeled_examples(selected, rules, annotation_of=annotation_of, batch_size=batch_size, key=0)


@pytest.mark.parametrize("kind", KINDS)
def test_every_selected_example_gets_the_pseudo_label_of_its_row(kind):
    pool, repeats = features(6), [2, 0, 1, 0, 5, 4]
    (examples,) = _pseudo_labeled(kind, annotated=pool, received=pool, repeats=repeats).take(1)
    np.testing.assert_array_equal(examples.x, pool[examples.y])
    assert np.bincount(examples.y, minlength=6).tolist() == repeats
    assert len(set(examples.noise_seed.numpy())) == 12


@pytest.mark.parametrize("kind", KINDS)
def test_soft_pseudo_labels_are_distributions_of_a_static_shape(kind):
    pool = features(6)
    batches = _pseudo_labeled(kind, annotated=pool, received=pool, labels="soft")
    assert batches.element_spec.y == tf.TensorSpec((12, 6))
    (examples,) = batches.take(1)
    np.testing.assert_array_equal(examples.x, pool[np.argmax(examples.y, axis=-1)])
    np.testing.assert_array_equal(np.sort(examples.y, axis=-1)[:, -1], np.ones(12))


def _swap_two(pool):
    return pool[[0, 2, 1, 3, 4, 5]]


def _change_one_value(pool):
    changed = pool.copy()
    changed[4, 1] += 1e-3
    return changed


def _drop_the_last(pool):
    return pool[:-1]


def _append_one(pool):
    return np.concatenate([pool, pool[:1]])


@pytest.mark.parametrize("change", [_swap_two, _change_one_value, _drop_the_last, _append_one])
@pytest.mark.parametrize("kind", KINDS)
def test_a_pool_that_has_changed_is_an_error_in_the_users_words(kind, change):
    pool = features(6)
    with pytest.raises(ValueError, match="The unlabelled pool has changed since it was annotated"):
        _read_explained(functools.partial(_pseudo_labeled, kind, annotated=pool, received=change(pool)))


@pytest.mark.parametrize("change", [_swap_two, _append_one])
def test_that_error_says_what_to_do(change):
    pool = features(6)
    with pytest.raises(ValueError, match=r"remove any `\.shuffle\(\)` and read files in a fixed order") as caught:
        _read_explained(functools.partial(_pseudo_labeled, "stream", annotated=pool, received=change(pool)))
    assert str(caught.value) == POOL_CHANGED


def _read_explained(make_batches):
    with pool_errors_explained():
        list(make_batches().take(1))


def test_a_change_of_an_example_that_was_dropped_does_no_harm():
    pool = features(6)
    repeats = [2, 2, 2, 2, 0, 4]
    batches = _pseudo_labeled("stream", annotated=pool, received=_change_one_value(pool), repeats=repeats)
    assert len(list(batches.take(1))) == 1


@pytest.mark.parametrize("change", [_swap_two, _append_one])
def test_the_error_is_explained_when_it_happens_in_training(change):
    pool = features(6)
    labeled = shuffled_examples(_source("arrays", (features(6), labels(6))), 2, key=0)
    batches = join(labeled, _pseudo_labeled("stream", annotated=pool, received=change(pool)), noise=Noise())
    student = NoisyStudent(network(), task=Classification(NUM_CLASSES))
    student.compile("sgd", jit_compile=False)
    with pytest.raises(ValueError, match="The unlabelled pool has changed"), pool_errors_explained():
        student.fit(batches, steps_per_epoch=2, verbose=0)


@pytest.mark.parametrize("error", [tf.errors.InvalidArgumentError, tf.errors.FailedPreconditionError])
def test_other_errors_pass_through_unchanged(error):
    with pytest.raises(error, match="something else"), pool_errors_explained():
        raise error(None, None, "something else")
