"""Workers: the processes of a multi-worker strategy, which run the same program side by side."""

import contextlib
import dataclasses
from collections.abc import Iterator

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Worker:
    """One of the processes; alone by default.

    Args:
        index: of this one, from 0. Worker 0, the chief, writes what is written once.
        num_workers: of all.
    """

    index: int = 0
    num_workers: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether it writes what is written once."""
        return self.index == 0


def checked_strategy(strategy: tf.distribute.Strategy | None) -> tf.distribute.Strategy:
    """The strategy, or that of the current scope for `None`.

    Raises:
        ValueError: for something else, or for parameter servers, with which Keras 3 does not train.
    """
    if strategy is None:
        return tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.Strategy):
        raise ValueError(
            "`strategy` must be a tf.distribute.Strategy, such as tf.distribute.MirroredStrategy(). Received: "
            f"strategy={strategy!r}."
        )
    if isinstance(strategy, tf.distribute.ParameterServerStrategy):
        raise ValueError(
            "Keras 3 does not train with parameter servers. Received: a ParameterServerStrategy. Use "
            "tf.distribute.MultiWorkerMirroredStrategy()."
        )
    return strategy


def worker_of(strategy: tf.distribute.Strategy) -> Worker:
    """The place of this process in the cluster of a strategy."""
    resolver = strategy.cluster_resolver
    if resolver is None or not strategy.extended._in_multi_worker_mode():
        return Worker()
    cluster = resolver.cluster_spec()
    num_chiefs = cluster.num_tasks("chief") if "chief" in cluster.jobs else 0
    num_workers = cluster.num_tasks("worker") if "worker" in cluster.jobs else 0
    index = resolver.task_id if resolver.task_type == "chief" else num_chiefs + resolver.task_id
    return Worker(index=index, num_workers=num_chiefs + num_workers)


def wait_for_all_workers(strategy: tf.distribute.Strategy) -> None:
    """Returns when every worker has called it; at once where there is one.

    Raises:
        tf.errors.OpError: when a worker died.
    """
    _sum_over_workers(strategy, 0)


@contextlib.contextmanager
def chief_first(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Runs the `with` block on the chief, then on the other workers, which find there what the chief wrote.

    Raises:
        RuntimeError: on the other workers, when the block failed on the chief.
    """
    if not worker_of(strategy).is_chief:
        if _sum_over_workers(strategy, 0):
            raise RuntimeError("Worker 0 has failed, and the others stop with it. Its own error says why.")
        yield
        return
    try:
        yield
    except BaseException:
        _sum_over_workers(strategy, 1)
        raise
    _sum_over_workers(strategy, 0)


def _sum_over_workers(strategy: tf.distribute.Strategy, value: int) -> int:
    """The sum of what every worker passes, which is known once the last has called this."""
    if worker_of(strategy).num_workers == 1:
        return value

    def add_up() -> tf.Tensor:
        replicas = strategy.run(lambda: tf.constant(float(value)))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, replicas, axis=None)

    # A collective operation outside of a graph is slow, and TensorFlow warns of it. Every call needs its own graph.
    return round(float(tf.function(add_up, autograph=False).get_concrete_function()()))
