"""`examples/tune.py`: a search of two trials, one of them stopped."""

import functools
import importlib.util
import pathlib
import sys

import pytest

import keras_noisy_student as kns

pytest.importorskip("keras_tuner", reason="The example tunes with KerasTuner.")

# KerasTuner 1.4.8 asks for the thread by names that Python has deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:currentThread:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:getName:DeprecationWarning"),
]

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def tune():
    sys.path.insert(0, str(EXAMPLES))
    try:
        spec = importlib.util.spec_from_file_location("tune_example", EXAMPLES / "tune.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(EXAMPLES))
    return module


def _when_rounds_were_finished(directory):
    """A round's record is written once, when it is finished."""
    return {path: path.stat().st_mtime_ns for path in directory.glob("*/runs/*/round_*/record.json")}


def test_trials_that_fail_do_not_end_the_search(tune, tmp_path, monkeypatch):
    def fit(search, hp, model, **kwargs):
        fitted.append(hp)
        if len(fitted) < 5:
            raise ValueError("`confidence_threshold` keeps nothing.")
        raise KeyboardInterrupt

    fitted = []
    monkeypatch.setattr(tune.NoisyStudentSearch, "fit", fit)
    with pytest.raises(KeyboardInterrupt):
        tune.main(["--quick", "--trials", "5", "--directory", str(tmp_path)])
    assert len(fitted) == 5


@pytest.mark.slow
def test_a_stopped_search_goes_on_and_validation_says_which_trial_is_best(tune, tmp_path, monkeypatch, capsys):
    arguments = ["--quick", "--trials", "2", "--directory", str(tmp_path)]
    fit, fitted, interrupts = tune.NoisyStudentSearch.fit, [], [2]

    def recorded(search, hp, model, **kwargs):
        fitted.append(dict(hp.values))
        result = fit(search, hp, model, **kwargs)
        if len(fitted) in interrupts:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(tune.NoisyStudentSearch, "fit", recorded)
    # One op of fourteen: each of the five runs traces and compiles it anew.
    monkeypatch.setattr(kns, "RandAugment", functools.partial(kns.RandAugment, ops=["Contrast"]))
    with pytest.raises(KeyboardInterrupt):
        tune.main(arguments)
    finished = _when_rounds_were_finished(tmp_path)
    assert len(finished) == 4

    tuner = tune.main(arguments)
    first, stopped, again = fitted
    assert stopped == again != first
    assert _when_rounds_were_finished(tmp_path) == finished

    scores = [trial.score for trial in tuner.oracle.trials.values()]
    (best,) = tuner.oracle.get_best_trials()
    assert len(set(scores)) == 2
    assert best.score == max(scores)
    printed = capsys.readouterr().out
    assert f"Best settings: {best.hyperparameters.values}" in printed
    assert f"Validation accuracy {best.score:.4f}, test accuracy 0." in printed
    assert printed.count("test accuracy") == 1
