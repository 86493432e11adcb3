"""`TranscriptLabeling`: filter and balance of stored transcripts, against loops over them."""

import math

import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.pseudo_labels.fit_transcripts import fit_transcripts
from keras_noisy_student.pseudo_labels.fitted_transcripts import FittedTranscripts
from keras_noisy_student.pseudo_labels.select import select
from keras_noisy_student.pseudo_labels.shard import COLUMNS
from keras_noisy_student.pseudo_labels.store import PseudoLabels
from keras_noisy_student.pseudo_labels.store_writer import StoreWriter
from keras_noisy_student.pseudo_labels.teacher import Teacher
from keras_noisy_student.tasks.task import Annotation
from tests.speech.spoken import random_sequences

TASK = kns.Transcription(kns.speech.Vocabulary("abcd"), max_tokens=6)
FITTED = FittedTranscripts(min_tokens=1, token_counts=[8, 4, 2, 0], mu=-0.5, beta=-0.1, sigma=0.4)


def transcripts(num=60, seed=0):
    """Tokens, of which some are empty, and log scores that fall with their number."""
    rng = np.random.default_rng(seed)
    tokens = kns.speech.pad_tokens(random_sequences(rng, num, longest=6, vocabulary_size=4), length=6)
    lengths = (tokens >= 0).sum(axis=1)
    return tokens, (-0.5 * lengths - 0.1 + 0.4 * np.sqrt(lengths) * rng.normal(size=num)).astype("float32")


def stored(directory, tokens, log_scores, *, fitted=FITTED):
    """The transcripts in a store of several shards, as they are selected from."""
    writer = StoreWriter(str(directory), made_by={}, blocks_per_shard=2)
    writer.claim()
    for number, rows in enumerate(np.array_split(np.arange(len(tokens)), 7)):
        block = np.empty(len(rows), COLUMNS)
        block["fingerprint"], block["score"], block["class_id"] = rows * 31, log_scores[rows], 0
        writer.write(0, number, block, {"tokens": tokens[rows].astype(np.int16)})
    writer.end_part(0, 7)
    writer.finish()
    return PseudoLabels(str(directory)).corrected(fitted.row_correction(TASK))


def selected(pseudo_labels, labeling, seed=0):
    selection = select(pseudo_labels.columns, labeling, num_classes=1, seed=seed)
    return labeling.balanced(selection, pseudo_labels, seed=seed)


@pytest.mark.parametrize("cutoff", [0.5, 0.0, -1.0])
@pytest.mark.parametrize("min_tokens", [1, 3])
def test_transcripts_above_the_cutoff_are_kept_and_short_ones_refused(tmp_path, cutoff, min_tokens):
    tokens, log_scores = transcripts()
    fitted = FittedTranscripts(min_tokens, FITTED.token_counts, FITTED.mu, FITTED.beta, FITTED.sigma)
    labeling = kns.TranscriptLabeling(score_cutoff=cutoff, min_tokens=min_tokens)
    selection = selected(stored(tmp_path, tokens, log_scores, fitted=fitted), labeling)
    expected = []
    for row, score in zip(tokens, log_scores, strict=True):
        length = sum(token >= 0 for token in row)
        is_long_enough = length >= min_tokens
        expected.append(is_long_enough and (score + 0.5 * length + 0.1) / (0.4 * math.sqrt(length)) > cutoff)
    assert selection.repeats.tolist() == [int(is_kept) for is_kept in expected]
    assert 0 < selection.num_kept < len(tokens)


def test_without_a_cutoff_all_but_the_empty_ones_are_kept(tmp_path):
    tokens, log_scores = transcripts()
    pseudo_labels = stored(tmp_path, tokens, log_scores, fitted=FittedTranscripts(1, [1, 1, 1, 1]))
    selection = selected(pseudo_labels, kns.TranscriptLabeling())
    np.testing.assert_array_equal(selection.repeats > 0, tokens[:, 0] >= 0)
    assert selection.mean_confidence == pytest.approx(log_scores[tokens[:, 0] >= 0].mean(), rel=1e-5)
    assert selection.class_counts.tolist() == [60]


def test_balanced_tokens_are_distributed_as_the_labelled_ones(tmp_path):
    tokens, log_scores = transcripts(num=4000)
    pseudo_labels = stored(tmp_path, tokens, log_scores)
    free, balanced = (
        selected(pseudo_labels, kns.TranscriptLabeling(-1.0, max_repeats=repeats)).repeats for repeats in (None, 5)
    )
    assert balanced.max() <= 5
    assert not balanced[free == 0].any()
    assert balanced.sum() == pytest.approx(free.sum(), rel=0.05)
    shares = [[(token == tokens[repeats > 0].T).T.sum(axis=1) @ repeats[repeats > 0] for token in range(4)]
              for repeats in (free, balanced)]  # fmt: skip
    # Of the fourth token no labelled transcript has any.
    of_free, of_balanced = (np.array(share[:3]) / sum(share[:3]) for share in shares)
    wanted = np.array([8, 4, 2]) / 14
    np.testing.assert_allclose(of_balanced, wanted, atol=0.02)
    assert np.abs(of_free - wanted).max() > 0.1


def test_the_seed_decides_which_are_used_once_more(tmp_path):
    pseudo_labels = stored(tmp_path, *transcripts())
    labeling = kns.TranscriptLabeling(max_repeats=3)
    one, same, other = (selected(pseudo_labels, labeling, seed=seed).repeats for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_a_cutoff_that_keeps_nothing_says_what_to_lower(tmp_path):
    message = r"No pseudo-label is more confident than score_cutoff=99.*The highest confidence among 60 .* lower the"
    with pytest.raises(ValueError, match=message):
        selected(stored(tmp_path, *transcripts()), kns.TranscriptLabeling(score_cutoff=99))


class TeacherOfKnownScores(Teacher):
    """Says for each example the tokens and the score that the example holds."""

    def __init__(self):
        super().__init__([], TASK)

    def annotate(self, x):
        return Annotation(x["tokens"], x["score"], tf.zeros_like(x["tokens"][:, 0]))


def held_out(num=40):
    tokens, scores = transcripts(num, seed=3)
    return tf.data.Dataset.from_tensor_slices(({"tokens": tokens, "score": scores}, tokens)).batch(16), tokens, scores


def test_the_score_is_fitted_to_what_the_teacher_says_of_held_out_data():
    batches, tokens, scores = held_out()
    labels = kns.speech.pad_tokens([[0, 0, 2], [1]], length=6)
    labeling = kns.TranscriptLabeling(score_cutoff=0.0, min_tokens=2)
    fitted = fit_transcripts(labeling, TASK, labels=labels, teacher=TeacherOfKnownScores(), held_out=batches)
    expected = kns.speech.LengthNormalizedScore.fit(scores, (tokens >= 0).sum(axis=1))
    assert (fitted.mu, fitted.beta, fitted.sigma) == (expected.mu, expected.beta, expected.sigma)
    assert fitted.token_counts == [2, 1, 1, 0]
    assert fitted.min_tokens == 2


def test_nothing_is_asked_of_held_out_data_where_nothing_is_filtered():
    fitted = fit_transcripts(
        kns.TranscriptLabeling(), TASK, labels=np.array([[3]]), teacher=TeacherOfKnownScores(), held_out=None
    )
    assert fitted == FittedTranscripts(1, [0, 0, 0, 1])


def test_held_out_data_that_nothing_can_be_fitted_to_are_named():
    batches, *_ = held_out(num=1)
    with pytest.raises(ValueError, match=r"cannot be fitted to what the teacher says of `validation_data`: A line can"):
        fit_transcripts(
            kns.TranscriptLabeling(0.0), TASK, labels=np.array([[0]]), teacher=TeacherOfKnownScores(), held_out=batches
        )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"score_cutoff": math.inf}, r"`score_cutoff` must be a number, or -math.inf to keep all"),
        ({"score_cutoff": "0"}, r"`score_cutoff` must be a number"),
        ({"min_tokens": 0}, r"`min_tokens` must be a positive integer"),
        ({"max_repeats": 0}, r"`max_repeats` must be a positive integer"),
        ({"annotate": "online"}, r'`annotate` must be "stored" or "kept". Received: annotate=\'online\''),
    ],
)
def test_values_out_of_range(wrong, message):
    with pytest.raises(ValueError, match=message):
        kns.TranscriptLabeling(**wrong)
