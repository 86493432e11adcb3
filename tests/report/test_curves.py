from keras_noisy_student.report.curves import learning_curves


def test_logs_of_one_quantity_stand_together_and_the_loss_first():
    epochs = {
        "accuracy": [0.5],
        "fine_tune_loss": [0.1],
        "fine_tune_val_loss": [0.2],
        "labeled_accuracy": [0.6],
        "loss": [2.0],
        "pseudo_labeled_loss": [1.0],
        "val_wer": [0.9],
    }
    curves = learning_curves(epochs)
    assert list(curves) == ["loss", "accuracy", "wer"]
    assert curves == {
        "loss": {
            "fine-tuning": [0.1],
            "fine-tuning, validation": [0.2],
            "training": [2.0],
            "pseudo-labelled": [1.0],
        },
        "accuracy": {"training": [0.5], "labelled": [0.6]},
        "wer": {"validation": [0.9]},
    }


def test_a_name_that_is_nothing_but_a_prefix_is_a_quantity():
    assert learning_curves({"val_": [1.0]}) == {"val_": {"training": [1.0]}}


def test_without_logs_there_are_no_curves():
    assert learning_curves({}) == {}
