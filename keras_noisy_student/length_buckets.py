"""`LengthBuckets`: joint batches of utterances of about the same length, cut to it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from keras_noisy_student.argument_checks import check_count
from keras_noisy_student.joint_batch import Examples
from keras_noisy_student.noise import seeds


@dataclasses.dataclass(frozen=True)
class LengthBuckets:
    """Sorts utterances into batches by their length, and cuts the padding off that a batch does not need.

    The stream of examples is taken `num_batches` batches at a time. These examples are sorted by length and divided
    into as many batches, which are shuffled, for both parts of a joint batch alike. So each example comes as often as
    without, in the same stretch of the stream, and a run that goes on finds the same batches. It takes `num_batches`
    batches of memory.

    A step is traced once; under XLA it is compiled for each length that occurs, so let `frames` be large there.

    Args:
        frames: batches are cut to a multiple of so many frames.
        num_batches: how many batches are sorted together.

    Raises:
        ValueError: for a value that is no positive integer.

    Example:
        >>> class SortedTrainer(kns.NoisyStudentTrainer):
        ...     length_buckets = kns.LengthBuckets(frames=100)
    """

    frames: int
    num_batches: int = 16

    def __post_init__(self) -> None:
        check_count("frames", self.frames)
        check_count("num_batches", self.num_batches)

    def check_examples(self, element_spec: Any) -> None:
        """Raises a `ValueError` when examples of a spec have no length to sort by."""
        if not isinstance(element_spec, Mapping) or not {"features", "length"} <= element_spec.keys():
            raise ValueError(
                '`length_buckets` sorts examples that are dicts of "features" and their "length". Received: examples '
                f"of the structure {element_spec}. Set `length_buckets = None`, or pass such a dict, as "
                "`kns.speech.LogMel` makes it."
            )

    def sorted_batches(
        self, stretches: tf.data.Dataset, batch_size: int, *, order_key: int, first_batch: int
    ) -> tf.data.Dataset:
        """Batches of about the same length.

        Args:
            stretches: `Examples` of `num_batches` batches each, from the one on in which `first_batch` is.
            batch_size: examples in a batch.
            order_key: of the order of the batches: the same for both parts of a joint batch.
            first_batch: where to begin.
        """
        first_stretch, num_skipped = divmod(first_batch, self.num_batches)

        def divided(index: tf.Tensor, examples: Examples) -> Examples:
            by_length = tf.argsort(examples.x["length"], stable=True)
            keys = seeds.fold(seeds.fold(order_key, index), tf.range(self.num_batches, dtype=tf.int64))
            batches = tf.gather(tf.reshape(by_length, [self.num_batches, batch_size]), tf.argsort(keys))
            stretch: Examples = tf.nest.map_structure(lambda tensor: tf.gather(tensor, batches), examples)
            return stretch

        indices = tf.data.Dataset.counter(first_stretch)
        return tf.data.Dataset.zip((indices, stretches)).map(divided).unbatch().skip(num_skipped)

    def cut(self, *parts: Examples) -> tuple[Examples, ...]:
        """The parts of a joint batch, without the frames that are padding in all of them."""
        longest = tf.reduce_max([tf.reduce_max(part.x["length"]) for part in parts])
        num_frames = tf.maximum(-(-longest // self.frames), 1) * self.frames

        def cut(x: Any) -> Any:
            return {**x, "features": x["features"][:, :num_frames]}

        return tuple(part._replace(x=cut(part.x)) for part in parts)
