"""The examples in docstrings and the pages with data of their own run as they stand; others: `test_manual.py`."""

import doctest
import importlib
import inspect
import pathlib
import pkgutil
import re
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns

ROOT = pathlib.Path(kns.__file__).parent.parent
NEEDED = {
    "keras_noisy_student.beam": "apache_beam",
    "keras_noisy_student.evaluation.corrupted_images": "imagecorruptions",
    "keras_noisy_student.report.": "jinja2",
}
MODULES = [module.name for module in pkgutil.walk_packages(kns.__path__, prefix="keras_noisy_student.")]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name):
    for beginning, needed in NEEDED.items():
        if name.startswith(beginning):
            pytest.importorskip(needed)
    module = importlib.import_module(name)
    names = {"keras": keras, "np": np, "tf": tf, "kns": kns} | {public: getattr(kns, public) for public in kns.__all__}
    failures, _ = doctest.testmod(module, extraglobs=names)
    assert failures == 0


def test_every_public_class_and_function_has_an_example():
    without_need = {"LayerNoise", "RoundRecord", "RoundSettings", "RunData", "Annotation", "Task"}
    for name in set(kns.__all__) - without_need - {"__version__"}:
        if not inspect.ismodule(getattr(kns, name)):
            assert ">>>" in getattr(kns, name).__doc__, name


@pytest.mark.slow
def test_the_code_of_the_page_on_robustness_runs(tmp_path, monkeypatch):
    pytest.importorskip("imagecorruptions", reason="The page corrupts images.")
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "robustness.md").read_text(), flags=re.DOTALL)
    namespace = {}
    exec(compile(block, "robustness.md", "exec"), namespace)
    assert list(namespace["figures"])[:4] == ["accuracy", "mean_corruption_error", "mean_flip_rate", "fgsm_1"]
    assert len(list((tmp_path / "corrupted").iterdir())) == 2 * 75


@pytest.mark.slow
def test_the_code_of_the_page_on_improvements_runs():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "improvements.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 3
    namespace = {}
    for block in blocks:
        exec(compile(block, "improvements.md", "exec"), namespace)
    first, corrected, _ = namespace["history"]
    assert first.calibration_error is None
    assert 0 <= corrected.corrected_calibration_error < corrected.calibration_error
    evidence = types.SimpleNamespace(pool_mean=lambda: np.array([0.5, 0.3, 0.2]))
    weights = np.exp(namespace["TowardsUniform"]().fit(evidence).log_weights)
    np.testing.assert_allclose(weights, [1 / 0.5, 1 / 0.3, 1 / 0.2])
    by_round = namespace["trainer"]
    thresholds = [by_round._pseudo_labeling(round_index).confidence_threshold for round_index in range(3)]
    assert thresholds == pytest.approx([0.9, 0.7, 0.5])
    assert [by_round._noise(round_index).augmentation.magnitude for round_index in range(3)] == [5, 9, 15]


@pytest.mark.slow
def test_the_code_of_the_page_on_video_runs(tmp_path, monkeypatch):
    written_clips = pytest.importorskip("tests.video.written_clips", reason="The page reads videos.")
    monkeypatch.chdir(tmp_path)
    written_clips.write_expressions(tmp_path / "clips", people=("ann", "bob"), classes=("calm", "glad"), num_clips=4)
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "video.md").read_text(), flags=re.DOTALL)
    namespace = {}
    exec(compile(block, "video.md", "exec"), namespace)
    assert namespace["report"].num_examples == 8
    assert list(namespace["report"].by_group) == ["bob"]
    assert namespace["weights"].shape == (8, 8)
    np.testing.assert_array_equal(namespace["frames"], np.arange(1, 17, 2))
    assert (tmp_path / "pool.npy").exists()


@pytest.mark.slow
def test_the_code_of_the_page_on_speech_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "speech.md").read_text(), flags=re.DOTALL)
    namespace = {}
    exec(compile(block, "speech.md", "exec"), namespace)
    assert namespace["history"][1].metrics["val_wer"] < 0.2
    served = tf.saved_model.load(str(tmp_path / "served" / "1"))
    waveforms, tokens = namespace["corpus"](20)
    texts = served.serve({name: tf.constant(array) for name, array in waveforms.items()})["text"].numpy()
    expected = [namespace["vocabulary"].decode(row) for row in tokens]
    assert np.mean([text.decode() == transcript for text, transcript in zip(texts, expected, strict=True)]) > 0.6
