from keras_noisy_student.report.settings_rows import settings_rows


def test_innermost_settings_are_rows_and_classes_stand_at_the_names_of_their_objects():
    settings = {
        "class": "not hidden",
        "optimizer": {"class": "Adam", "config": {"learning_rate": 0.1, "ema": None}},
        "corrections": [{"class": "TemperatureScaling"}],
        "labels": [1, 2],
        "nothing": {},
    }
    assert list(settings_rows(settings)) == [
        ("class", "not hidden"),
        ("optimizer", "Adam"),
        ("optimizer.config.learning_rate", "0.1"),
        ("optimizer.config.ema", "None"),
        ("corrections[0]", "TemperatureScaling"),
        ("labels", "[1, 2]"),
        ("nothing", "{}"),
    ]
