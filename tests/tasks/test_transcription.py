"""`Transcription`: labels, outputs, hypotheses, and what it refuses."""

import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.speech.decoding import beam_hypotheses, greedy_hypotheses
from keras_noisy_student.tasks.task import check_soft_targets

VOCABULARY = kns.speech.Vocabulary("ab")
TASK = kns.Transcription(VOCABULARY, max_tokens=3)


def outputs_that_write(*paths):
    """Logits that are nearly sure of these outputs, one a frame."""
    return 8 * tf.one_hot(paths, 3)


def test_pseudo_labels_are_hypotheses_of_one_class_with_their_log_probability():
    outputs = tf.random.stateless_normal([5, 6, 3], seed=[0, 1], stddev=3.0)
    annotation, expected = TASK.annotate(outputs), greedy_hypotheses(outputs)
    np.testing.assert_array_equal(annotation.pseudo_label, expected.tokens[:, :3])
    np.testing.assert_array_equal(annotation.score, expected.log_score)
    assert annotation.class_id.numpy().tolist() == [0] * 5


def test_a_beam_and_a_language_model_write_other_hypotheses():
    outputs = tf.random.stateless_normal([8, 6, 3], seed=[0, 1])
    settings = {"beam_width": 6, "language_model": lambda tokens: -9.0 * tf.cast(tokens[:, 0] == 0, tf.float32)}
    annotation = kns.Transcription(VOCABULARY, max_tokens=6, language_model_weight=0.5, **settings).annotate(outputs)
    expected = beam_hypotheses(outputs, language_model_weight=0.5, **settings)
    np.testing.assert_array_equal(annotation.pseudo_label, expected.tokens)
    np.testing.assert_allclose(annotation.score, expected.log_score)
    assert (annotation.pseudo_label.numpy() != greedy_hypotheses(outputs).tokens.numpy()).any()


def test_hypotheses_are_as_wide_as_labels_and_longer_ones_are_empty():
    annotation = TASK.annotate(outputs_that_write([0, 1, 0, 1, 0, 1], [0, 1, 0, 2, 2, 2]))
    assert annotation.pseudo_label.numpy().tolist() == [[-1, -1, -1], [0, 1, 0]]
    assert TASK.annotate(outputs_that_write([0])).pseudo_label.numpy().tolist() == [[0, -1, -1]]


def test_outputs_that_are_not_finite_have_no_score():
    outputs = outputs_that_write([0, 2], [1, 2]).numpy()
    outputs[1, 1, 0] = np.nan
    for task in (TASK, kns.Transcription(VOCABULARY, max_tokens=3, beam_width=4)):
        assert np.isnan(task.annotate(tf.constant(outputs)).score).tolist() == [False, True]


@pytest.mark.parametrize("num_tokens", [2, 40_000])
def test_stored_tokens_are_read_again(num_tokens):
    task = kns.Transcription(kns.speech.Vocabulary([str(token) for token in range(num_tokens)]), max_tokens=3)
    tokens = tf.constant([[num_tokens - 1, 0, -1], [-1, -1, -1]])
    stored = task.encode(tokens)
    assert stored["tokens"].dtype == (tf.int16 if num_tokens == 2 else tf.int32)
    np.testing.assert_array_equal(task.decode(stored), tokens)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_agreement_is_that_of_whole_transcripts(jit_compile):
    outputs = outputs_that_write([0, 2, 0, 2], [0, 0, 1, 2], [2, 2, 2, 2], [1, 2, 2, 2])
    targets = tf.constant([[0, 0, -1], [0, 1, 0], [-1, -1, -1], [1, -1, -1]])
    found = tf.function(TASK.agreement, jit_compile=jit_compile)(targets, outputs)
    assert found.numpy().tolist() == [1, 0, 1, 1]


def test_what_is_served_and_predicted_is_text():
    outputs = outputs_that_write([0, 1, 2, 1], [2, 2, 2, 2])
    served = TASK.serve(outputs)
    assert served["text"].numpy().tolist() == [b"abb", b""]
    assert served["tokens"].numpy().tolist() == [[0, 1, 1, -1], [-1] * 4]
    assert served["log_score"].shape == (2,)
    assert TASK.predictions(outputs).tolist() == ["abb", ""]


def test_transcripts_cannot_be_mixed_or_averaged():
    with pytest.raises(ValueError, match=r"Received: a Transcription without `soft_targets`"):
        check_soft_targets(TASK)
    with pytest.raises(NotImplementedError, match="follows from the outputs of one network"):
        TASK.judge(tf.ones([1, 3]))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0, 2, -1], [0, -1, -1]], r"must not hold the blank, 2, .*Received: \[0, 2, -1\] in utterance 0, and 0 more"),
        (
            [[0, -1, -1], [3, 0, -1]],
            r"token ids in \[0, 2\), and -1 for padding. Received: \[3, 0, -1\] in utterance 1",
        ),
        ([[-2, 0, 0]], r"token ids in \[0, 2\)"),
        ([[0, -1, 1], [-1, 0, -1]], r"at their ends alone. Received: \[0, -1, 1\] in utterance 0, and 1 more like it"),
        ([[0.0, 1.0, 1.0]], r"integer token ids. Received: dtype float64. `Vocabulary.encode` makes them"),
    ],
)
def test_transcripts_that_cannot_be(labels, message):
    with pytest.raises(ValueError, match=message):
        TASK.check_labels(np.array(labels))


def test_good_transcripts_pass():
    labels = np.array([[0, 1, 0], [1, -1, -1], [-1, -1, -1]])
    TASK.check_labels(labels)
    TASK.check_coverage(labels)
    TASK.check_examples(labels, np.zeros((3, 5, 3)), first=0)


def test_transcripts_must_have_tokens():
    with pytest.raises(ValueError, match=r"Received: 2 transcripts, all of them empty\. Look at how they were encoded"):
        TASK.check_coverage(np.full((2, 3), -1))


@pytest.mark.parametrize("spec", [tf.TensorSpec([], tf.int32), tf.TensorSpec([4], tf.int32), tf.TensorSpec([2, 3])])
def test_labels_of_another_shape_are_refused(spec):
    with pytest.raises(
        ValueError, match=r"labels of `labeled` must be .* of shape \(max_tokens,\) = \(3,\). Received: "
    ):
        TASK.check_label_spec(spec, name="labeled")


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (np.zeros((2, 3)), r"of shape \(batch, frames, 3\).*Received: \(2, 3\). Change its last layer"),
        (np.zeros((2, 5, 4)), r"Received: \(2, 5, 4\)"),
        ({"logits": np.zeros((2, 5, 3))}, r"Received: {'logits'"),
        (
            np.where(np.arange(2)[:, None, None] == 1, np.nan, np.zeros((2, 5, 3))),
            r"must return finite numbers. Received: NaN or infinity for utterance 1 of the first 2 labelled ones",
        ),
        (np.full((2, 5, 3), 1 / 3), r"logits or log probabilities. Received: probabilities.* Remove the softmax"),
    ],
)
def test_outputs_of_another_kind_are_refused(outputs, message):
    with pytest.raises(ValueError, match=message):
        TASK.check_outputs(outputs)


def test_a_transcript_that_needs_more_frames_than_there_are_is_named():
    outputs = kns.speech.BlankPadding()(tf.zeros([3, 6, 3]), tf.constant([6, 3, 0])).numpy()
    TASK.check_examples(np.array([[0, 0, 0], [0, 1, 0], [-1, -1, -1]]), outputs, first=0)
    message = (
        r"Received: 3 frames of utterance 11, whose transcript 'aab' needs 4\. Leave it out if the transcript is wrong"
    )
    with pytest.raises(ValueError, match=message):
        TASK.check_examples(np.array([[0, 0, 0], [0, 0, 1], [-1, -1, -1]]), outputs, first=10)
    with pytest.raises(ValueError, match=r"Received: 0 frames of utterance 2, .* or the recording empty"):
        TASK.check_examples(np.array([[0, 0, 0], [0, 1, 0], [0, -1, -1]]), outputs, first=0)


def test_nan_in_a_labelled_utterance_is_named():
    outputs = np.zeros((3, 5, 3))
    outputs[1, 2, 0] = np.nan
    with pytest.raises(ValueError, match=r"Received: NaN or infinity for utterance 11\. Look for NaN in its features"):
        TASK.check_examples(np.array([[0, -1, -1]] * 3), outputs, first=10)


def test_a_hypothesis_that_does_not_fit_teaches_nothing():
    logits = tf.random.stateless_normal([2, 6, 3], seed=[0, 1])
    targets = tf.constant([[0, 1, 0], [0, 0, 1]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = TASK.loss(targets, kns.speech.BlankPadding()(logits, tf.constant([3, 3])))
    assert loss[0] > 0
    assert loss[1] == 0
    gradient = tape.gradient(loss, logits).numpy()
    assert np.abs(gradient[0]).max() > 0
    assert not gradient[1].any()


def test_a_teacher_that_writes_nothing_is_refused():
    labels = np.array([[0, 1, -1], [1, 1, 1]])
    nothing = np.full((2, 6), -1)
    message = r"no better than one that writes nothing .*: 5 errors in 5 tokens; 100% of its transcripts are empty"
    with pytest.raises(ValueError, match=message):
        TASK.check_teacher(labels, nothing)
    one_right = nothing.copy()
    one_right[0, 0] = 0
    TASK.check_teacher(labels, one_right)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"vocabulary": "ab"}, r"`vocabulary` must be a kns.speech.Vocabulary. Received: vocabulary='ab'"),
        ({"max_tokens": 0}, r"`max_tokens` must be a positive integer"),
        ({"beam_width": 0}, r"`beam_width` must be a positive integer"),
        ({"language_model": 3, "beam_width": 2}, r"`language_model` must be a function of tokens, or None"),
        ({"language_model_weight": -1.0}, r"`language_model_weight` must be a number of at least 0"),
        ({"language_model": len, "beam_width": 2}, r"go together. Received: language_model=.*language_model_weight=0"),
        (
            {"language_model_weight": 0.5},
            r"go together. Received: language_model=None, language_model_weight=0.5. Pass",
        ),
        (
            {"language_model": len, "language_model_weight": 1.0},
            r"Received: a `language_model`, beam_width=None. Pass a `beam_width`, such as 16",
        ),
    ],
)
def test_values_out_of_range(wrong, message):
    with pytest.raises(ValueError, match=message):
        kns.Transcription(**{"vocabulary": VOCABULARY, "max_tokens": 3, **wrong})
