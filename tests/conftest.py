"""How the tests are run: the longest modules first, and without counting over and over what never goes away."""

import collections
import gc

import pytest

import keras_noisy_student as kns


@pytest.fixture(autouse=True, scope="session")
def no_report():
    """Drawing takes a second a round. The tests of the report use a trainer that writes one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kns.NoisyStudentTrainer, "report", None)
        yield


def pytest_collection_modifyitems(items):
    """Modules with slow tests come first, then those with many: else one process ends long before the other."""
    num_tests = collections.Counter(item.path for item in items)
    with_slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in with_slow, -num_tests[item.path]))


def pytest_collection_finish():
    """What is imported by now is left out of all garbage collections to come, which come less often.

    Python looks for garbage after 700 new objects; a graph that is traced has many thousands, all of them in use.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def pytest_sessionfinish():
    """Hypothesis, where pytest imports it for its summary only, warns when it does not find what is frozen."""
    gc.unfreeze()
