"""The scripts in `examples/`, run as a user runs them."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.mark.slow
def test_digits_runs_and_writes_its_figures(tmp_path):
    command = [sys.executable, str(EXAMPLES / "digits.py"), "--quick", "--json", "figures.json"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    rows = ["supervised_clean", "supervised_noised", "teacher", "student_1", "student_2", "student_3"]
    assert list(figures) == [*rows, "seconds_per_seed"]
    assert all(len(figures[row]) == 1 and 0 <= figures[row][0] <= 1 for row in rows)
    for label in ("supervised, no noise", "(baseline)", "teacher", "student 1", "student 2", "student 3"):
        assert label in process.stdout


@pytest.mark.slow
def test_expressions_runs_writes_its_figures_and_draws_attention(tmp_path):
    written_clips = pytest.importorskip("tests.video.written_clips", reason="The example reads videos.")
    data = tmp_path / "data"
    people = ["ann", "bob", "cai", "dan", "eve", "fay"]
    written_clips.write_expressions(data, people=people, classes=["calm", "glad"], num_clips=2)
    options = ["--quick", "--json", "figures.json", "--predict", str(data / "unlabeled" / "glad_0.mp4")]
    command = [sys.executable, str(EXAMPLES / "expressions.py"), "--data-dir", str(data), *options]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    rows = ["teacher", "baseline", "student", "student_of_two_pools"]
    kept = ["kept_in_domain", "kept_out_of_domain"]
    assert list(figures) == [*rows, *[f"{row}_macro_f1" for row in rows], *kept, "seconds_per_seed"]
    assert all(len(figures[name]) == 1 and 0 <= figures[name][0] <= 1 for name in figures if name != "seconds_per_seed")
    lines = ("glad  ", "student less teacher", "student less baseline", "student of two pools less student")
    for line in (*lines, "Wrote attention.png."):
        assert line in process.stdout
    with Image.open(tmp_path / "attention.png") as picture:
        assert picture.size[0] > picture.size[1]


def test_noise_grid_draws_a_photograph_of_ones_own_and_the_picture_in_the_docs_is_small(tmp_path):
    photograph = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype("uint8")
    Image.fromarray(photograph).save(tmp_path / "photograph.png")
    command = [sys.executable, str(EXAMPLES / "noise_grid.py"), "--image", "photograph.png", "--output", "grid.png"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert "Wrote grid.png." in process.stdout
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == (496, 1280)
    assert (EXAMPLES.parent / "docs" / "rand_augment.png").stat().st_size < 400_000
