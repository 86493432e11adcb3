import numpy as np
import pytest

from keras_noisy_student.promotion import Promotion

METRICS = {"loss": 3.0, "val_loss": 0.5, "val_accuracy": 0.75, "val_distance": 0.25, "val_wer": 0.25}


def test_by_default_every_student_is_promoted_and_nothing_ends_the_run():
    promotion = Promotion()
    assert promotion.promote == "always"
    assert not promotion.needs_validation
    assert not promotion.ends([{"val_loss": 1.0}] * 20)


@pytest.mark.parametrize(
    ("arguments", "over", "gain"),
    [
        ({}, {"val_accuracy": 0.5}, 0.25),
        ({"monitor": "val_loss"}, {"val_loss": 0.75}, 0.25),
        ({"monitor": "val_loss", "mode": "max"}, {"val_loss": 0.75}, -0.25),
        ({"monitor": "val_wer", "mode": "min"}, {"val_wer": 0.5}, 0.25),
        ({}, {"val_loss": 0.75}, None),
        ({"monitor": "val_wer"}, {"val_wer": 0.5}, 0.25),
        ({"monitor": "val_distance", "mode": "min"}, {"val_distance": 0.5}, 0.25),
        ({"monitor": "val_distance"}, {"val_distance": 0.5}, None),
        ({"monitor": "val_other"}, {"val_accuracy": 0.5}, None),
    ],
)
def test_a_gain_is_above_0_where_the_metric_is_better(arguments, over, gain):
    assert Promotion(**arguments).gain(METRICS, over=over) == gain


def test_the_first_compiled_metric_by_name_decides_and_the_loss_where_there_is_none():
    assert Promotion().monitored({"val_loss": 1.0, "val_top_5": 1.0, "val_accuracy": 0.5}) == "val_accuracy"
    assert Promotion().monitored({"accuracy": 1.0, "val_loss": 1.0}) == "val_loss"
    assert Promotion(monitor="val_f1_score").monitored(METRICS) == "val_f1_score"


@pytest.mark.parametrize(
    ("accuracies", "stop_after", "ends"),
    [
        ([0.5], 1, False),
        ([0.5, 0.5], 1, True),
        ([0.5, 0.6], 1, False),
        ([0.5, 0.6, 0.55], 1, True),
        ([0.5, 0.6, 0.55], 2, False),
        ([0.5, 0.6, 0.55, 0.58], 2, True),  # Better than its teacher, not than the best.
        ([0.5, 0.6, 0.55, 0.61], 2, False),
    ],
)
def test_rounds_without_a_new_best_student_end_the_run(accuracies, stop_after, ends):
    rounds = [{"val_accuracy": accuracy} for accuracy in accuracies]
    assert Promotion(stop_after=stop_after).ends(rounds) == ends


@pytest.mark.parametrize("promotion", [Promotion(promote="if_better"), Promotion(stop_after=1)])
def test_students_are_compared_on_validation_data(promotion):
    assert promotion.needs_validation
    promotion.check_metrics(METRICS)
    with pytest.raises(ValueError, match=r"compare students on validation data\. Received: validation_data=None\."):
        promotion.check_metrics({})


def test_a_metric_that_is_not_there_is_refused():
    names = r"\['val_accuracy', 'val_distance', 'val_loss', 'val_wer'\]"
    message = rf"`monitor` must be one of {names}\. Received: monitor='val_f1'"
    with pytest.raises(ValueError, match=message):
        Promotion(stop_after=1, monitor="val_f1").check_metrics(METRICS)


def test_a_metric_of_which_one_cannot_know_the_direction_is_refused():
    message = (
        r'`mode` must say whether the largest or the smallest val_distance is best\. Received: mode="auto".*mode="max"'
    )
    with pytest.raises(ValueError, match=message):
        Promotion(stop_after=1, monitor="val_distance").check_metrics(METRICS)
    Promotion(stop_after=1, monitor="val_distance", mode="min").check_metrics(METRICS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"promote": "never"}, r'`promote` must be "always" or "if_better"\. Received: promote=\'never\''),
        ({"stop_after": 0}, r"`stop_after` must be a positive integer or None\. Received: stop_after=0"),
        ({"stop_after": True}, r"`stop_after` must be a positive integer or None\. Received: stop_after=True"),
        ({"monitor": "accuracy"}, r"which begins with `val_`, or None\. Received: monitor='accuracy'"),
        ({"monitor": 3}, r"`monitor` must be the name of a metric .* Received: monitor=3"),
        ({"promote": np.array(["always", "always"])}, r'`promote` must be "always" or "if_better"\. Received: .*array'),
        ({"mode": "up"}, r'`mode` must be "auto", "min" or "max"\. Received: mode=\'up\''),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Promotion(**arguments)
