"""Workers: the processes of a multi-worker strategy, which run the same program side by side."""

import dataclasses

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
    if worker_of(strategy).num_workers > 1:
        strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(lambda: tf.constant(1.0)), axis=None)
