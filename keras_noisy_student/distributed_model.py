"""`DistributedModel`: a Keras model whose `fit` and `evaluate` mean the same on one replica and on many.

What Keras needs help with under `tf.distribute` stands here, each with a test that fails once Keras needs it no more.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.round_settings import RoundSettings


class DistributedModel(keras.Model):
    """A model of which a batch may be nested, uneven or empty on some replica, and whose metrics are of all replicas.

    Create and compile it inside the `scope()` of the strategy, as any Keras model.
    """

    def check_compiled(self, metrics: Sequence[Any], *, jit_compile: bool | str) -> None:
        """Raises a `ValueError` for what cannot train on several replicas; call it once `compile` has run.

        Args:
            metrics: as compiled.
            jit_compile: as compiled.
        """
        check_is_in_scope(self.optimizer.variables, self.distribute_strategy, what="The optimizer")
        for metric in metrics:
            if isinstance(metric, keras.Metric):
                check_is_in_scope(metric.variables, self.distribute_strategy, what=f"The metric {metric.name!r}")
        if self.num_replicas > 1 and not isinstance(self.distribute_strategy, tf.distribute.TPUStrategy):
            self._check_works_on_replicas(jit_compile)

    def fit(self, x: Any, *args: Any, validation_data: Any = None, **kwargs: Any) -> keras.callbacks.History:
        """Trains as `keras.Model.fit` does, on rows of every batch for each worker."""
        validation_data = divided_by_rows(validation_data)
        return super().fit(divided_by_rows(x), *args, validation_data=validation_data, **kwargs)

    def evaluate(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Evaluates as `keras.Model.evaluate` does, on rows of every batch for each worker."""
        return super().evaluate(divided_by_rows(x), *args, **kwargs)

    @property
    def num_replicas(self) -> int:
        """Replicas that share a batch."""
        return int(self.distribute_strategy.num_replicas_in_sync)

    def check_divides_among_replicas(self, batch_spec: Any) -> None:
        """Raises a `ValueError` when a batch does not divide evenly: its replicas would not weigh the same."""
        sizes = {spec.shape[0] for spec in tf.nest.flatten(batch_spec)}
        for size in sorted(size for size in sizes if size is not None):
            check_divides(size, self.num_replicas, what="Every part of a training batch")

    def _check_works_on_replicas(self, jit_compile: bool | str) -> None:
        where = f"on the {self.num_replicas} replicas of a {type(self.distribute_strategy).__name__}"
        if jit_compile is True:
            raise ValueError(
                f"XLA cannot compile a training step {where}: it would reach for variables of another device. "
                'Received: jit_compile=True. Pass jit_compile="auto" or False.'
            )
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        for name in ("gradient_accumulation_steps", "ema_overwrite_frequency"):
            if (value := getattr(optimizer, name, None)) is not None:
                raise ValueError(
                    f"Keras' optimizers cannot apply `{name}` {where}. Received: {name}={value}. Leave it out"
                    + (", and use a larger batch." if name.startswith("gradient") else ".")
                )

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing: the symbolic step of Keras fails on nested batches, and on any batch under several workers."""

    def _get_metrics_result_or_logs(self, logs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Metrics over all replicas, by the names of the logs; Keras falls back to means over replicas."""
        results = self.get_metrics_result()
        return {name: results.get(name, value) for name, value in logs.items()}

    def _make_function(self, step_function: Callable[[Any], dict[str, tf.Tensor]]) -> Callable[..., Any]:
        """Keras' own reduces no scalars of several workers, and loops over no distributed iterator."""
        strategy = self.distribute_strategy
        if self.num_replicas == 1 or isinstance(strategy, tf.distribute.TPUStrategy):
            function: Callable[..., Any] = super()._make_function(step_function)
            return function
        average = functools.partial(strategy.reduce, tf.distribute.ReduceOp.MEAN, axis=None)

        def run_step(batch: Any) -> dict[str, tf.Tensor]:
            logs: dict[str, tf.Tensor] = tf.nest.map_structure(average, strategy.run(step_function, args=(batch,)))
            return logs

        if not self.run_eagerly:
            run_step = tf.function(run_step, autograph=False, reduce_retracing=True)

        def run_steps(batches: Iterator[Any]) -> dict[str, tf.Tensor]:
            """As many as are left, `steps_per_execution` at most; the logs of the last one."""
            logs: dict[str, tf.Tensor] | None = None
            for batch in itertools.islice(batches, self.steps_per_execution):
                logs = run_step(batch)
            if logs is None:
                raise StopIteration
            return logs

        return run_steps


def check_is_in_scope(variables: Sequence[Any], strategy: tf.distribute.Strategy, *, what: str) -> None:
    """Raises a `ValueError` for Keras variables of `what` that have no copies on the replicas of a strategy."""
    created_in_scope = strategy.extended.variable_created_in_scope
    if strategy.num_replicas_in_sync > 1 and not all(created_in_scope(variable.value) for variable in variables):
        raise ValueError(
            f"{what} must be created inside `strategy.scope()`, so that every replica has a copy of its variables. "
            f"Received: one that was created outside of the scope of the {type(strategy).__name__}. Create it inside "
            "`with strategy.scope():`."
        )


def divided_by_rows(dataset: Any) -> Any:
    """Has several workers take their rows of each batch; by default TensorFlow may give each of them other files."""
    if not isinstance(dataset, tf.data.Dataset):
        return dataset
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)


def check_parts_divide(settings: RoundSettings, num_replicas: int) -> None:
    """Raises a `ValueError` when a part of the joint batches of a round does not divide among the replicas."""
    where = f"in round {settings.index}"
    check_divides(settings.batch_size, num_replicas, what=f"`batch_size` {where}")
    if settings.index > 0:
        what = f"The unlabelled part of a joint batch {where} (`batch_size` times `unlabeled_ratio`)"
        check_divides(settings.num_pseudo_labeled, num_replicas, what=what)
    if settings.fine_tuning is not None and settings.fine_tuning.batch_size is not None:
        check_divides(settings.fine_tuning.batch_size, num_replicas, what=f"`fine_tuning.batch_size` {where}")


def check_divides(size: int, num_replicas: int, *, what: str) -> None:
    """Raises a `ValueError` when `num_replicas` does not divide `size`."""
    if size % num_replicas:
        raise ValueError(
            f"{what} must divide evenly among the {num_replicas} replicas of the strategy. Received: {size} examples. "
            f"Use a multiple of {num_replicas}, for instance {max(1, round(size / num_replicas)) * num_replicas}."
        )
