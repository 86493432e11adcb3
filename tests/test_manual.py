"""The code of the README and of the manual runs as it stands, on the data and the network of the quickstart."""

import ast
import itertools
import pathlib
import re
import sys
import types

import keras
import matplotlib
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns

ROOT = pathlib.Path(kns.__file__).parent.parent
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def my_project():
    module = types.ModuleType("my_project")
    exec(compile(_blocks(DOCS / "quickstart.md")[0], "quickstart.md", "exec"), vars(module))
    return module


@pytest.fixture
def run(my_project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "my_project", my_project)

    def run_blocks(path, blocks=slice(None)):
        namespace = {}
        for block in _blocks(path)[blocks]:
            exec(compile(block, path.name, "exec"), namespace)
        return types.SimpleNamespace(**namespace)

    return run_blocks


@pytest.mark.slow
def test_readme_and_quickstart_are_one_run(run):
    matplotlib.use("agg")
    readme = run(ROOT / "README.md")
    assert readme.history[2].metrics["val_accuracy"] > 0.5
    quickstart = run(DOCS / "quickstart.md", slice(1, None))
    assert quickstart.history.to_dict() == readme.history.to_dict()  # from the directory: the settings are the same
    assert quickstart.served.serve(tf.constant(quickstart.test[0][:5]))["class_ids"].shape == (5,)


@pytest.mark.slow
def test_watching(run, tmp_path):
    pytest.importorskip("tensorboard")
    matplotlib.use("agg")
    page = run(DOCS / "watching.md")
    record = page.history[1]
    assert 0 < record.pseudo_label_accuracy == record.kept_pseudo_label_accuracy  # of a threshold that keeps all
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {"round_0", "round_1", "rounds"}


@pytest.mark.slow
def test_own_data(run, my_project, tmp_path):
    for place, (image, label) in enumerate(zip(my_project.images[:300], my_project.labels, strict=False)):
        folder = tmp_path / "photos" / (f"labeled/{'abcdefghij'[label]}" if place < 200 else "unlabeled")
        folder.mkdir(parents=True, exist_ok=True)
        keras.utils.save_img(folder / f"{place}.png", image, scale=False)
    page = run(DOCS / "own_data.md")
    assert page.trainer.task.class_names == tuple("abcdefghij")
    assert page.trainer.predict(my_project.images[:3], verbose=0).shape == (3, 10)


@pytest.mark.slow
def test_own_model(run):
    page = run(DOCS / "own_model.md")
    assert len(page.trainer.model.blocks) == 3
    assert [each.kind for each in page.trainer.teacher.layer_noise] == ["stochastic depth"] * 3


def test_own_noise(run, my_project):
    noises = run(DOCS / "own_noise.md").noises
    images, keys = my_project.images[:4], tf.constant([3, 3, 4, 5], tf.int64)
    darker = noises[-1].augment(np.repeat(images[:1], 4, axis=0), keys).numpy()
    np.testing.assert_array_equal(darker[0], darker[1])
    assert len({image.sum() for image in darker}) == 3
    assert (darker <= images[0]).all()


@pytest.mark.slow
def test_own_task(run):
    page = run(DOCS / "own_task.md")
    rating, tags = page.Rating(num_classes=3), page.Tags(num_classes=3)
    np.testing.assert_allclose(rating.loss(tf.constant([0, 0]), tf.eye(3)[1:]), [1, 2])
    assert page.history[1].metrics["val_binary_accuracy"] > 0.6
    probabilities = tf.constant([[0.875, 0.75, 0.25]])
    np.testing.assert_array_equal(tags.decode(tags.encode(probabilities)), probabilities)
    for check, wrong in (
        (lambda: tags.check_label_spec(tf.TensorSpec((4,)), name="labeled"), "must have shape"),
        (lambda: tags.check_labels(np.array([[0, 2, 1]])), "must be 0 or 1"),
        (lambda: tags.check_coverage(np.array([[0, 1, 1], [1, 0, 1]])), r"always the same \[2\]"),
        (lambda: tags.check_outputs(tf.zeros((2, 4))), "must return"),
        (lambda: tags.check_teacher(np.eye(3), np.ones((3, 3))), "no better than chance: mean recall 0.500"),
    ):
        with pytest.raises(ValueError, match=wrong):
            check()


@pytest.mark.slow
def test_own_step(run):
    page = run(DOCS / "own_step.md")
    assert page.trainer.predict(page.unlabeled[:3], verbose=0).shape == (3, 10)
    assert page.student.network.count_params() == page.build_model(width=12).count_params()


@pytest.mark.slow
def test_resume(run):
    page = run(DOCS / "resume.md")
    assert page.again.to_dict() == page.first.to_dict()


@pytest.mark.slow
def test_devices(run):
    run(DOCS / "devices.md")


@pytest.mark.slow
def test_tuning(run, capsys):
    page = run(DOCS / "tuning.md")
    assert "0.0: keeps 100%" in capsys.readouterr().out
    assert page.record.num_kept > 0


def test_every_page_with_code_is_run_by_a_test():
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    not_run = {"beam.md"}  # needs a project of one's own and, past the first line, a cluster
    pages = {path.name for path in DOCS.glob("*.md") if _blocks(path)} - not_run
    assert {page for page in pages if f'"{page}"' not in tests} == set()


def test_errors_are_quoted_as_they_are():
    trees = [ast.parse(path.read_text()) for path in (ROOT / "keras_noisy_student").rglob("*.py")]
    messages = [message for tree in trees for message in _strings(tree)]
    quoted = re.findall(r"^### (?:`` ?(.+?) ?``|`([^`]+)`)$", (DOCS / "errors.md").read_text(), flags=re.MULTILINE)
    beginnings = [either or other for either, other in quoted]
    assert len(beginnings) >= 25
    unknown = [each for each in beginnings if not any(message.startswith(each) for message in messages)]
    assert unknown == []


def test_the_picture_is_drawn_from_the_tables(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    matplotlib.use("agg")
    import accuracy_by_round

    text = (DOCS / "results.md").read_text()
    for section, students, num_seeds in (("Digits, 50 labels", 3, 5), ("CIFAR-10, 1,000 labels", 2, 3)):
        rows = accuracy_by_round.accuracies(text, section)
        assert sum(name.startswith("student") for name in rows) == students
        for mean, seeds in rows.values():
            assert len(seeds) == num_seeds
            assert mean == pytest.approx(np.mean(seeds), abs=0.1)
    settings = matplotlib.rcParams.copy()
    accuracy_by_round.main(tmp_path / "picture.svg")
    assert b"<svg" in (tmp_path / "picture.svg").read_bytes()
    assert matplotlib.rcParams == settings


def _blocks(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(), flags=re.DOTALL)


def _strings(tree):
    """Every string of a module, with an ellipsis for each value that is formatted into it."""
    formatted = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    parts = set(itertools.chain.from_iterable(node.values for node in formatted))
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in parts:
            yield node.value
