"""`examples/colab_quickstart.ipynb`: runs from top to bottom, and is committed with the outputs of such a run.

To renew them: `jupyter execute --inplace examples/colab_quickstart.ipynb`, which also writes `examples/served`; then
take out what TensorFlow said on stderr and the times of the cells, and join prints that stand in outputs of their own.
"""

import copy
import json
import pathlib
import types

import numpy as np
import pytest
import tensorflow as tf

nbclient = pytest.importorskip("nbclient", reason="The notebook is run by nbclient, in the kernel of ipykernel.")
pytest.importorskip("ipykernel", reason="The notebook is run by nbclient, in the kernel of ipykernel.")
nbformat = pytest.importorskip("nbformat", reason="The notebook is run by nbclient, in the kernel of ipykernel.")

NOTEBOOK = pathlib.Path(__file__).parents[2] / "examples" / "colab_quickstart.ipynb"
OFFLINE = """
import socket

def refuse(*arguments, **keywords):
    raise OSError("offline")

socket.create_connection = refuse
"""
ACCURACIES = 'import json; print(json.dumps([record.metrics["val_accuracy"] for record in history]))'


@pytest.fixture(scope="module")
def committed():
    return nbformat.read(NOTEBOOK, as_version=4)


def _code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _kinds(cell):
    """The kinds of outputs that a cell shows, without the error stream; text may come in several parts."""
    outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return list(dict.fromkeys((output.output_type, *sorted(output.get("data", {}))) for output in outputs))


@pytest.mark.slow
def test_notebook_runs_from_top_to_bottom_and_its_student_is_better_than_its_teacher(committed, tmp_path):
    run = copy.deepcopy(committed)
    run.cells = [nbformat.v4.new_code_cell(OFFLINE), *run.cells, nbformat.v4.new_code_cell(ACCURACIES)]
    nbclient.NotebookClient(run, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    _, *own, last = _code_cells(run)
    teacher, _, student = json.loads(last.outputs[0].text)
    assert teacher < student
    assert (tmp_path / "served" / "1" / "saved_model.pb").exists()
    assert [_kinds(cell) for cell in own] == [_kinds(cell) for cell in _code_cells(committed)]


def test_the_notebook_is_valid_and_its_outputs_are_those_of_one_run_from_top_to_bottom(committed):
    nbformat.validate(committed)
    cells = _code_cells(committed)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert not [output for cell in cells for output in cell.outputs if output.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs) == 3
    assert NOTEBOOK.stat().st_size < 300_000


def test_the_notebook_trains_on_mnist_where_it_can_be_downloaded(committed, monkeypatch, capsys):
    import socket

    import tensorflow_datasets as tfds

    (cell,) = [cell for cell in _code_cells(committed) if "def load_images" in cell.source]
    loaded = np.zeros((700, 28, 28, 1), "uint8"), np.arange(700) % 10
    connection = types.SimpleNamespace(close=lambda: None)
    monkeypatch.setattr(socket, "create_connection", lambda *arguments, **keywords: connection)
    monkeypatch.setattr(tfds, "load", lambda name, **keywords: tuple(map(tf.constant, loaded)))
    namespace = {"np": np, "socket": socket, "tfds": tfds}
    exec(compile(cell.source, str(NOTEBOOK), "exec"), namespace)
    assert "MNIST, by TensorFlow Datasets" in capsys.readouterr().out
    assert [len(namespace[name][0]) for name in ("labeled", "validation", "test")] == [50, 200, 400]
    assert namespace["unlabeled"].shape == (50, 28, 28, 1)
