"""The same seed and global batch on one replica, on two, and on two workers: the same losses and weights."""

import re

import numpy as np
import pytest

from tests.integration.cluster import run_cluster, run_module, start_cluster
from tests.integration.strategy_runs import STEPS

pytestmark = pytest.mark.slow

RUNS = ["batch_norm", "steps_per_execution", "rounds"]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return run_module("tests.integration.mirrored_process", tmp_path_factory.mktemp("mirrored"))


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """What two workers report of a run that had lost one of them before."""
    directory = tmp_path_factory.mktemp("workers")
    dying = start_cluster("tests.integration.worker_process", directory, 1)
    errors = [worker.communicate(timeout=300)[1] for worker in dying]
    assert [worker.returncode != 0 for worker in dying] == [True, True], errors
    assert sorted(path.name for path in directory.glob("round_02/checkpoints/*.json")) == ["epoch-00001.json"]
    return run_cluster("tests.integration.worker_process", directory)


@pytest.mark.parametrize("run", ["plain", *RUNS])
def test_two_replicas_end_as_one_does(report, run):
    _assert_close(report["two"][run], report["one"][run])


@pytest.mark.parametrize("worker", [0, 1])
@pytest.mark.parametrize("run", RUNS)
def test_two_workers_end_as_one_does_though_one_of_them_died_before(report, workers, run, worker):
    _assert_close(workers[worker][run], report["one"][run])


def test_every_worker_knows_its_place(workers):
    assert [worker["worker"] for worker in workers] == [[0, 2], [1, 2]]


def test_all_workers_stop_when_the_chief_fails(workers):
    assert [worker["chief_fails"] for worker in workers] == [
        "No space left.",
        "Worker 0 has failed, and the others stop with it. Its own error says why.",
    ]


def test_replicas_draw_masks_of_their_own_that_repeat(report):
    masks = report["masks"]
    assert masks["two"] == masks["two_again"]
    assert np.abs(np.subtract(masks["two"], masks["one"])).max() > 1e-3


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        (
            "batch_size",
            r"ValueError: `batch_size` in round 0 must divide evenly among the 2 replicas of the strategy\. Received: "
            r"9 examples\. Use a multiple of 2, for instance 8\.",
        ),
        (
            "unlabeled_ratio",
            r"ValueError: The unlabelled part of a joint batch in round 1 \(`batch_size` times `unlabeled_ratio`\) "
            r"must divide evenly among the 2 replicas of the strategy\. Received: 5 examples\.",
        ),
        (
            "batch",
            r"ValueError: Every part of a training batch must divide evenly among the 2 replicas of the strategy\. "
            r"Received: 3 examples\. Use a multiple of 2",
        ),
        (
            "network",
            r"ValueError: The network 'sequential_\d+' must be created inside `strategy\.scope\(\)`, so that every "
            r"replica has a copy of its variables\. Received: one that was created outside of the scope of the "
            r"MirroredStrategy\. Create it inside `with strategy\.scope\(\):`\.",
        ),
        ("teacher", r"ValueError: `teacher` must be created inside `strategy\.scope\(\)`"),
        ("metric", r"ValueError: The metric 'mine' must be created inside `strategy\.scope\(\)`"),
        ("optimizer", r"ValueError: The optimizer must be created inside `strategy\.scope\(\)`"),
        (
            "jit_compile",
            r"ValueError: XLA cannot compile a training step on the 2 replicas of a MirroredStrategy: it would reach "
            r'for variables of another device\. Received: jit_compile=True\. Pass jit_compile="auto" or False\.',
        ),
        (
            "accumulation",
            r"ValueError: Keras' optimizers cannot apply `gradient_accumulation_steps` on the 2 replicas of a "
            r"MirroredStrategy\. Received: gradient_accumulation_steps=2\. Leave it out, and use a larger batch\.",
        ),
        ("skip", r'ValueError: `on_non_finite="skip"` works on one replica\. Received: a strategy with 2\.'),
    ],
)
def test_what_cannot_train_on_replicas_is_refused(report, cause, message):
    assert re.search(message, report["errors"][cause])


def test_keras_still_loops_over_no_distributed_iterator(report):
    """When this fails, Keras has cured it: `_make_function` is then needed for several workers only."""
    assert report["keras"].startswith("InvalidArgumentError")


def test_keras_still_builds_nothing_symbolically_under_several_workers(workers):
    """When this fails, Keras has cured it: `_maybe_symbolic_build` can leave `DistributedModel`."""
    assert all(re.match(r"ValueError: Attempt to convert a value \(PerReplica", worker["keras"]) for worker in workers)


def test_keras_still_averages_metrics_of_unequal_replicas(report):
    """When this fails, Keras has cured it: `_get_metrics_result_or_logs` can leave `DistributedModel`."""
    expected = report["two"]["batch_norm"]["logs"]["val_accuracy"]
    received = report["mean_over_replicas"]["logs"]["val_accuracy"]
    assert np.abs(np.subtract(received, expected)).max() > 1e-4


def _assert_close(received, expected):
    assert received.keys() == expected.keys()
    for name in received:
        _assert_nested_close(received[name], expected[name], name)


def _assert_nested_close(received, expected, name):
    if isinstance(expected, dict):
        assert received.keys() == expected.keys()
        received, expected = ([values[key] for key in sorted(values)] for values in (received, expected))
    if isinstance(expected, list) and expected and isinstance(expected[0], dict | list):
        assert len(received) == len(expected)
        for one, other in zip(received, expected, strict=True):
            _assert_nested_close(one, other, name)
    else:
        np.testing.assert_allclose(received, expected, atol=1e-5, err_msg=f"{name} after {STEPS} steps")
