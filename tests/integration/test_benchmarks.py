"""The benchmarks run, and compute what they say. Their figures are not tested: they depend on the machine."""

import importlib.util
import pathlib

import pytest

import keras_noisy_student as kns

BENCHMARKS = pathlib.Path(kns.__file__).parent.parent / "benchmarks"


@pytest.fixture
def rand_augment_keras_cv():
    pytest.importorskip("keras_cv")
    spec = importlib.util.spec_from_file_location("rand_augment_benchmark", BENCHMARKS / "rand_augment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rand_augment_beside_keras_cv_measures_every_pipeline(rand_augment_keras_cv, monkeypatch):
    for name in ("NUM_BATCHES", "NUM_BATCHES_OF_KERAS"):
        monkeypatch.setattr(rand_augment_keras_cv, name, {8: 4})
    figures = rand_augment_keras_cv.measure(8, repeats=1)
    assert set(figures) == {"source", "one pass", "decode", "ours", "keras", "keras_cv"}
    assert all(figure > 0 for figure in (figures["keras"], figures["keras_cv"]))


def test_rand_augment_beside_keras_cv_divides_their_time_by_ours(rand_augment_keras_cv):
    small = {"ours": 2.0, "keras": 30.0, "keras_cv": 10.0, "source": 1.0, "one pass": 1.5, "decode": 9.0}
    large = {"ours": 200.0, "keras": 30_000.0, "keras_cv": 2_000.0, "source": 20.0, "one pass": 50.0, "decode": 300.0}
    assert rand_augment_keras_cv.ratios({32: small, 224: large}) == {
        "vs_keras_32": 15.0,
        "vs_keras_cv_32": 5.0,
        "vs_keras_224": 150.0,
        "vs_keras_cv_224": 10.0,
        "floor_ratio_224": 6.0,
    }
