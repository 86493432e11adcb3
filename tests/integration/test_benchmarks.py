"""The benchmarks run, and compute what they say. Their figures are not tested: they depend on the machine."""

import importlib.util
import json
import pathlib
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import keras_noisy_student as kns

BENCHMARKS = pathlib.Path(kns.__file__).parent.parent / "benchmarks"


def load(name):
    spec = importlib.util.spec_from_file_location(f"{name}_benchmark", BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def rand_augment_keras_cv():
    pytest.importorskip("keras_cv")
    return load("rand_augment")


@pytest.fixture
def faults(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return load("faults")


@pytest.fixture
def stages(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return load("stages")


def event(phase, *, seconds=0.0, number=0, examples=0):
    return importlib.import_module("faults_life").Event(seconds, phase, 0, number, examples)


def write_files(directory, files):
    for file in files:
        path = directory / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {file}")


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


@pytest.mark.slow
def test_faults_are_all_detected_and_a_killed_run_ends_with_the_same_bits(tmp_path):
    command = [sys.executable, str(BENCHMARKS / "faults.py"), "--kills", "2", "--quick", "--json", "figures.json"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["kills"], sum(figures["kills_by_phase"].values())) == (2, 2)
    assert (figures["faults"], figures["faults_detected"]) == (2, 2), figures["by_fault"]
    assert figures["bitwise_equal"], figures
    assert 0 <= figures["work_repeated_fraction"] < 0.5


def test_faults_draws_a_kill_in_every_phase_and_within_the_time_that_its_event_lasts(faults):
    phases = [phase for phase in faults.PHASES if phase != "start"]
    events = [event(phase, seconds=2.0 * index) for index, phase in enumerate([*phases, "end"])]
    kills = faults.draw_kills(events, 5.0, num_kills=2 * len(faults.PHASES), generator=np.random.default_rng(0))
    assert kills == sorted(kills)
    assert sum(kill.at_start for kill in kills) == 2
    assert [kill.event_index for kill in kills if not kill.at_start] == sorted(2 * list(range(len(phases))))
    assert all(0 <= kill.delay <= (5 if kill.at_start else 2) for kill in kills)


def test_faults_counts_the_work_of_all_lives_beyond_that_of_as_many_unkilled_runs(faults):
    def life(*work):
        return SimpleNamespace(events=[event(phase, examples=examples) for phase, examples in work])

    unkilled = life(("train", 8), ("train", 8), ("annotate", 4))
    runs = [("first", [life(("train", 8), ("train", 8)), life(("train", 8), ("annotate", 4))]), ("second", [unkilled])]
    assert faults.repeated_fraction(unkilled, runs, ("train",)) == 8 / 32
    assert faults.repeated_fraction(unkilled, runs, ("annotate",)) == 0
    assert faults.repeated_fraction(unkilled, runs, ("train", "annotate")) == 8 / 40


def test_faults_damages_one_file_of_each_kind_that_is_needed(faults, tmp_path):
    needed = [
        "round_00/settings.json",
        "round_01/checkpoints/epoch-0003.json",
        "round_01/pseudo_labels/shard-00001.json",
        "round_01/settings.json",
        "run.json",
    ]
    other = [
        "round_00/checkpoints/epoch-0009.json",
        "round_01/checkpoints/epoch-0002.json",
        "round_01/pseudo_labels/shard-00000.json",
        "round_01/pseudo_labels/shard-00002.json",
        "round_01/pseudo_labels/shard-00003.json.tmp",
    ]
    write_files(tmp_path, needed + other)
    assert sorted(faults.needed_files(tmp_path)) == needed
    assert faults.needed_files(tmp_path, faults.DAMAGED_IN["annotate"]) == ["round_01/pseudo_labels/shard-00001.json"]


def test_faults_flips_one_bit_truncates_and_deletes(faults, tmp_path):
    path, generator = tmp_path / "file", np.random.default_rng(0)
    content = bytes(range(100))
    path.write_bytes(content)
    faults.DAMAGES["flip_bit"](path, generator)
    assert sum((a ^ b).bit_count() for a, b in zip(path.read_bytes(), content, strict=True)) == 1
    path.write_bytes(content)
    faults.DAMAGES["truncate"](path, generator)
    assert content.startswith(path.read_bytes())
    assert len(path.read_bytes()) < 100
    faults.DAMAGES["delete"](path, generator)
    assert not path.exists()


def test_faults_does_what_an_error_says(faults, tmp_path):
    stopped, directory = tmp_path / "stopped", tmp_path / "fault_00"
    write_files(stopped, ["run.json", "round_00/record.json"])
    write_files(directory, ["round_00/record.json", "round_01/settings.json"])
    fault = faults.Fault(stopped, "run.json", "delete")
    error = f"Traceback\nValueError: {directory}/run.json is missing. Put it back."
    assert faults.repair(fault, directory, error) == "put back run.json"
    assert (directory / "run.json").read_text() == "content of run.json"
    error = f"ValueError: {directory}/run.json is damaged. If none needs it, delete the file."
    assert faults.repair(fault, directory, error) == "deleted run.json"
    warning = f"UserWarning: {directory}/round_00 is old.\n"
    error = f"ValueError: {directory}/round_01/settings.json is damaged. Put it back, or delete {directory}/round_01."
    assert faults.repair(fault, directory, warning + error) == "deleted round_01"
    assert [path.name for path in directory.iterdir()] == ["round_00"]


def test_faults_tells_runs_apart_by_their_results_and_their_files(faults, tmp_path):
    def ended(name, weights="same"):
        directory = tmp_path / name
        write_files(directory, ["round_01/pseudo_labels/manifest.json", "round_01/student.weights.h5"])
        return directory, SimpleNamespace(result={"weights": weights, "history": []})

    unkilled = faults.UnkilledRun.__new__(faults.UnkilledRun)
    unkilled._contents = faults.contents(*ended("unkilled"))
    assert unkilled.differences(*ended("same")) == []
    assert unkilled.differences(*ended("other weights", weights="other")) == ["weights"]
    directory, life = ended("other file")
    (directory / "round_01/pseudo_labels/manifest.json").write_text("other")
    (directory / "round_01/student.weights.h5").unlink()
    assert unkilled.differences(directory, life) == [
        "round_01/pseudo_labels/manifest.json",
        "round_01/student.weights.h5",
    ]
    assert unkilled.differences(directory, SimpleNamespace(result=None)) == ["the run did not end"]


def test_stages_measures_every_stage(stages, tmp_path):
    stages.main(["--quick", "--repeats", "1", "--json", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text())
    details = figures.pop("details")
    assert figures.keys() == details.keys()
    assert set(figures) == {"train_step_overhead", "annotate_efficiency", "join_efficiency", "join_efficiency_arrays"}
    assert all(figure > 0 for figure in figures.values())


def test_stages_compares_pairs_in_turns(stages):
    calls = []
    pairs = stages.alternated(lambda: calls.append("ours") or 2.0, lambda: calls.append("floor") or 1.0, repeats=2)
    assert calls == ["ours", "floor", "floor", "ours", "ours", "floor"]
    assert pairs == [(2.0, 1.0)] * 2


def test_stages_takes_the_median_ratio_of_seconds_for_an_overhead_and_of_throughputs_for_an_efficiency(stages):
    pairs = [(2.0, 1.0), (3.0, 2.0), (40.0, 10.0)]
    figures = stages.figures_of(pairs, is_overhead=True)
    assert figures == {"ratio": 2.0, "smallest": 1.5, "largest": 4.0, "ours_seconds": 3.0, "floor_seconds": 2.0}
    assert stages.figures_of(pairs, is_overhead=False)["ratio"] == 0.5


@pytest.fixture
def selection(monkeypatch):
    module = load("selection")
    monkeypatch.setattr(module, "NUM_CLASSES", 7)
    monkeypatch.setattr(module, "ROWS_PER_SHARD", 600)
    return module


def test_selection_selects_what_numpy_sorts(selection):
    assert selection.measure_in_memory(3000, repeats=1) > 0


def test_selection_measures_a_pool_on_disk_and_a_part_of_it(selection, tmp_path):
    selection.write_pool(tmp_path, 1500)
    for num_rows in (1500, 600):
        figures = selection.select_from_disk(tmp_path, num_rows)
        assert figures["rows"] == num_rows
        assert figures["seconds"] > 0
        assert figures["peak_rss_mib"] > 0


def test_selection_divides_the_time_of_a_row_by_that_of_a_tenth_of_the_pool(selection, monkeypatch):
    monkeypatch.setattr(selection, "write_pool", lambda directory, num_rows: None)

    def measured(directory, num_rows):
        return {"rows": num_rows, "seconds": num_rows / 1000 if num_rows == 600 else num_rows / 500, "peak_rss_mib": 9}

    monkeypatch.setattr(selection, "in_a_process_of_its_own", measured)
    assert selection.measure_from_disk(6000) == {"seconds": 12.0, "peak_rss_mib": 9, "growth": 2.0}
