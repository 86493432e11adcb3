"""tf.data pipelines: labelled, pseudo-labelled and joint batches, each a pure function of (seed, round, position)."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from keras_noisy_student.argument_checks import is_integer
from keras_noisy_student.joint_batch import Examples, check_batch_size, num_pseudo_labeled
from keras_noisy_student.length_buckets import LengthBuckets
from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.noise import Noise, checked_noise
from keras_noisy_student.pseudo_labels.corrected_labels import Row
from keras_noisy_student.pseudo_labels.fingerprint import fingerprint
from keras_noisy_student.pseudo_labels.labeling import Labeling
from keras_noisy_student.sources.given_source import as_source
from keras_noisy_student.sources.source import Source
from keras_noisy_student.tasks.task import Annotation

POOL_CHANGED = (
    "The unlabelled pool has changed since it was annotated: other examples, or the same in another order. "
    "Pseudo-labels belong to the examples by their order, so it must be deterministic: remove any `.shuffle()` and "
    "read files in a fixed order (`deterministic=True`), or pass another `directory` to annotate the pool anew."
)


def joint_dataset(
    labeled: Any,
    pseudo_labeled: Any,
    *,
    batch_size: int,
    unlabeled_ratio: float = 1.0,
    noise: Noise | None = None,
    seed: int = 0,
) -> tf.data.Dataset:
    """Joins labelled data and pseudo-labels of your own into the batches that `NoisyStudent` trains on.

    Args:
        labeled: arrays `(x, y)`, or a `tf.data.Dataset` of unbatched `(x, y)`.
        pseudo_labeled: arrays or an unbatched data set of `(x, y)` or `(x, y, sample_weight)`, where `y` is a class id
            or a distribution over the classes.
        batch_size: labelled examples in a batch.
        unlabeled_ratio: pseudo-labelled examples for each labelled one.
        noise: that of the student; applied here if its placement is `"pipeline"`.
        seed: of the order and the input noise.

    Returns:
        An endless data set of `(labeled, pseudo_labeled)`: pass `steps_per_epoch` to `fit`.

    Raises:
        ValueError: for data that cannot be joined, or a value of the wrong type or out of range.

    Example:
        >>> x, y, p = np.zeros((8, 4), "float32"), np.zeros(8, "int32"), np.full((8, 2), 0.5, "float32")
        >>> labeled, pseudo_labeled = next(iter(joint_dataset((x, y), (x, p), batch_size=2, unlabeled_ratio=3)))
        >>> labeled.x.shape, pseudo_labeled.y.shape
        (TensorShape([2, 4]), TensorShape([6, 2]))
    """
    check_batch_size(batch_size)
    if not is_integer(seed, at_least=0):
        raise ValueError(f"`seed` must be an integer of at least 0. Received: seed={seed!r}.")
    noise = checked_noise(noise)
    labeled_source, pseudo_labeled_source = (
        as_source(labeled, name="labeled"),
        as_source(pseudo_labeled, name="pseudo_labeled"),
    )
    _check_parts(labeled_source.element_spec, pseudo_labeled_source.element_spec)
    num_pseudo = num_pseudo_labeled(batch_size, unlabeled_ratio)
    return join(
        shuffled_examples(labeled_source, batch_size, key=seeds.stream_key(int(seed), "labeled")),
        shuffled_examples(pseudo_labeled_source, num_pseudo, key=seeds.stream_key(int(seed), "pseudo_labeled")),
        noise=noise,
    )


def join(*parts: tf.data.Dataset, noise: Noise, buckets: LengthBuckets | None = None) -> tf.data.Dataset:
    """Zips the parts into joint batches; cuts them to their length, and augments them if that is done here."""

    def augment(*examples: Examples) -> tuple[Examples, ...]:
        return tuple(part._replace(x=noise.augment(part.x, part.noise_seed)) for part in examples)

    # Each part is read ahead by itself, or they would wait for each other.
    batches = tf.data.Dataset.zip(tuple(part.prefetch(tf.data.AUTOTUNE) for part in parts))
    if buckets is not None:
        batches = batches.map(buckets.cut, num_parallel_calls=tf.data.AUTOTUNE)
    if noise.placement == "pipeline":
        batches = batches.map(augment, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)


def in_buckets(
    make_batches: Callable[[int, int], tf.data.Dataset],
    batch_size: int,
    *,
    first_batch: int,
    buckets: LengthBuckets | None,
    order_key: int,
) -> tf.data.Dataset:
    """Batches as they are made, or sorted by length.

    Args:
        make_batches: from the size of batches and the first of them to a data set of `Examples`.
        batch_size: examples in a batch.
        first_batch: where to begin.
        buckets: how they are sorted; `None` if they are not.
        order_key: see `LengthBuckets.sorted_batches`.
    """
    if buckets is None:
        return make_batches(batch_size, first_batch)
    stretches = make_batches(batch_size * buckets.num_batches, first_batch // buckets.num_batches)
    return buckets.sorted_batches(stretches, batch_size, order_key=order_key, first_batch=first_batch)


def shuffled_examples(source: Source, batch_size: int, *, key: int, first_batch: int = 0) -> tf.data.Dataset:
    """Endless batches of a source of `(x, y)` or `(x, y, sample_weight)`."""

    def to_examples(positions: tf.Tensor, rows: tf.Tensor, example: tuple[Any, ...]) -> Examples:
        x, y, *weight = example
        return Examples(x, y, *weight)._replace(noise_seed=_noise_seed(key, positions), row=rows)

    return source.shuffled_batches(batch_size, key=key, first_batch=first_batch).map(to_examples)


def unlabeled_examples(pool: Source, batch_size: int, *, key: int, first_batch: int = 0) -> tf.data.Dataset:
    """Endless batches of the pool without labels, for online annotation."""
    return pool.shuffled_batches(batch_size, key=key, first_batch=first_batch).map(
        lambda positions, rows, x: Examples(x, noise_seed=_noise_seed(key, positions), row=rows)
    )


def pseudo_labeled_examples(
    selected: Source,
    labeling: Labeling,
    *,
    annotation_of: Callable[[Row], Annotation],
    batch_size: int,
    key: int,
    first_batch: int = 0,
) -> tf.data.Dataset:
    """Endless batches of a source of `(x, row of the store)`, with the row turned into a target.

    The fingerprint of every example is compared with that of the example the teacher saw; see `pool_errors_explained`.
    """

    def to_examples(positions: tf.Tensor, rows: tf.Tensor, example: tuple[Any, Mapping[str, tf.Tensor]]) -> Examples:
        x, stored = example
        seen = tf.squeeze(stored["fingerprint"], axis=-1)
        with tf.control_dependencies([tf.debugging.assert_equal(fingerprint(x), seen, message=POOL_CHANGED)]):
            y = labeling.target(annotation_of(stored))
        return Examples(x, y, noise_seed=_noise_seed(key, positions), row=rows)

    batches = selected.shuffled_batches(batch_size, key=key, first_batch=first_batch)
    return batches.map(to_examples, num_parallel_calls=tf.data.AUTOTUNE)


@contextlib.contextmanager
def pool_errors_explained() -> Iterator[None]:
    """Turns TensorFlow's error of a failed fingerprint or row count into a `ValueError` in the user's words."""
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.FailedPreconditionError) as error:
        if POOL_CHANGED in error.message or "Input dataset was expected to contain" in error.message:
            raise ValueError(POOL_CHANGED) from error
        raise


def _noise_seed(key: int, positions: tf.Tensor) -> tf.Tensor:
    return seeds.fold(key, positions)


def _check_parts(labeled: Any, pseudo_labeled: Any) -> None:
    """Raises a `ValueError` when examples of these specs cannot stand in one joint batch."""
    for name, spec in (("labeled", labeled), ("pseudo_labeled", pseudo_labeled)):
        if not isinstance(spec, tuple) or len(spec) not in (2, 3):
            raise ValueError(
                f"`{name}` must hold examples (x, y) or (x, y, sample_weight). Received: examples of the structure "
                f"{spec}."
            )
        if not all(part.shape.is_fully_defined() for part in tf.nest.flatten(spec)):
            raise ValueError(
                f"The examples of `{name}` must have a static shape. Received: {spec}. If the data set is batched, "
                "call `.unbatch()` on it."
            )
    if labeled[0] != pseudo_labeled[0]:
        raise ValueError(
            "`pseudo_labeled` must hold examples of the same structure, shape and dtype as `labeled`: "
            f"{labeled[0]}. Received: {pseudo_labeled[0]}."
        )
