"""`LengthBuckets`: batches of one length, of the same examples as without."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.joint_batch import Examples
from keras_noisy_student.length_buckets import LengthBuckets
from keras_noisy_student.noise.noise import Noise
from keras_noisy_student.pipeline import in_buckets, join, shuffled_examples
from keras_noisy_student.sources.given_source import as_source
from tests.speech.toy_utterances import LONGEST, VOCABULARY, network, utterances

BATCH_SIZE, NUM_BATCHES = 4, 5
BUCKETS = LengthBuckets(frames=4, num_batches=NUM_BATCHES)
DATA = utterances(37, seed=0)


def source(kind):
    data = DATA if kind == "arrays" else tf.data.Dataset.from_tensor_slices(DATA)
    return as_source(data, name="labeled")


def batches(kind, *, buckets=BUCKETS, key=1, first_batch=0, count=4 * NUM_BATCHES, order_key=7):
    made = in_buckets(
        lambda size, first: shuffled_examples(source(kind), size, key=key, first_batch=first),
        BATCH_SIZE,
        first_batch=first_batch,
        buckets=buckets,
        order_key=order_key,
    )
    return list(itertools.islice(made, count))


def rows(made):
    return [batch.row.numpy().tolist() for batch in made]


@pytest.mark.parametrize("kind", ["arrays", "stream"])
def test_each_stretch_has_the_examples_that_it_had_each_with_its_own_noise(kind):
    bucketed, plain = batches(kind), batches(kind, buckets=None)
    for first in range(0, len(plain), NUM_BATCHES):
        found, expected = (
            sorted(
                (int(row), int(seed))
                for batch in made[first : first + NUM_BATCHES]
                for row, seed in zip(batch.row, batch.noise_seed, strict=True)
            )
            for made in (bucketed, plain)
        )
        assert found == expected
    for batch in bucketed:
        assert isinstance(batch, Examples)
        np.testing.assert_array_equal(batch.y, DATA[1][batch.row.numpy()])
        np.testing.assert_array_equal(batch.x["features"], DATA[0]["features"][batch.row.numpy()])


def test_batches_of_a_stretch_are_those_of_the_sorted_lengths_in_another_order():
    for stretch in np.split(np.arange(4 * NUM_BATCHES), 4):
        made = batches("arrays")
        lengths = [sorted(made[index].x["length"].numpy().tolist()) for index in stretch]
        ordered = sorted(lengths)
        assert all(one[-1] <= other[0] for one, other in itertools.pairwise(ordered))
    assert [min(batch.x["length"].numpy()) for batch in made] != sorted(
        min(batch.x["length"].numpy()) for batch in made
    )


@pytest.mark.parametrize("kind", ["arrays", "stream"])
@pytest.mark.parametrize("first_batch", [1, NUM_BATCHES, 2 * NUM_BATCHES + 3])
def test_a_run_that_goes_on_finds_the_same_batches(kind, first_batch):
    whole, rest = batches(kind), batches(kind, first_batch=first_batch, count=5)
    assert rows(rest) == rows(whole[first_batch : first_batch + 5])


def test_both_parts_of_a_joint_batch_are_short_or_long_together():
    one, other = batches("arrays", key=1), batches("arrays", key=2)
    means = [[float(tf.reduce_mean(tf.cast(batch.x["length"], tf.float32))) for batch in made] for made in (one, other)]
    assert np.corrcoef(means)[0, 1] > 0.9


def test_a_joint_batch_is_cut_to_a_multiple_that_holds_its_longest_example():
    parts = [
        in_buckets(
            lambda size, first, key=key: shuffled_examples(source("arrays"), size, key=key, first_batch=first),
            BATCH_SIZE,
            first_batch=0,
            buckets=BUCKETS,
            order_key=7,
        )
        for key in (1, 2)
    ]
    widths = set()
    for one, other in itertools.islice(join(*parts, noise=Noise(), buckets=BUCKETS), 12):
        longest = max(one.x["length"].numpy().max(), other.x["length"].numpy().max())
        width = one.x["features"].shape[1]
        assert width == other.x["features"].shape[1] == min(-(-longest // 4) * 4, 24)
        np.testing.assert_array_equal(one.x["features"], DATA[0]["features"][one.row.numpy(), :width])
        widths.add(width)
    assert len(widths) > 1


class SortedTrainer(kns.NoisyStudentTrainer):
    length_buckets = LengthBuckets(frames=8, num_batches=4)


def test_a_student_trains_on_batches_of_different_length(tmp_path):
    trainer = SortedTrainer(
        kns.students.FromTeacher(lambda round_index: network()),
        kns.Transcription(VOCABULARY, max_tokens=LONGEST),
        directory=str(tmp_path),
        seed=0,
    )
    trainer.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    trainer.fit_rounds(DATA, utterances(30, seed=1)[0], num_rounds=1, batch_size=8, steps_per_epoch=60, verbose=0)
    assert trainer.evaluate(utterances(30, seed=2), return_dict=True, verbose=0)["wer"] < 0.6


def test_examples_without_a_length_are_refused(tmp_path):
    trainer = SortedTrainer(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), kns.Classification(2))
    trainer.compile("adam")
    with pytest.raises(
        ValueError, match=r'`length_buckets` sorts examples that are dicts of "features" and their "leng'
    ):
        trainer.fit_rounds((np.zeros((8, 3), "float32"), np.arange(8) % 2), num_rounds=0, batch_size=4)


@pytest.mark.parametrize("name", ["frames", "num_batches"])
def test_values_out_of_range(name):
    with pytest.raises(ValueError, match=f"`{name}` must be a positive integer"):
        LengthBuckets(**{"frames": 1, name: 0})
