"""`NoisyStudent`: the model of one round, whose `train_step` learns from a joint batch with noise."""

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_noisy_student.averaged_weights import AveragedWeights, StatisticsAverage
from keras_noisy_student.distributed_model import DistributedModel, check_is_in_scope
from keras_noisy_student.joint_batch import (
    Examples,
    LossReduction,
    as_parts,
    check_loss_reduction,
    joint_loss,
    num_rows,
)
from keras_noisy_student.noise import seeds
from keras_noisy_student.noise.autograph import call_with_autograph
from keras_noisy_student.noise.jit_compile import resolve_jit_compile
from keras_noisy_student.noise.mask_seeds import assign_mask_seeds, seed_variables
from keras_noisy_student.noise.mixing import mix
from keras_noisy_student.noise.model_noise import LayerNoise, set_model_noise
from keras_noisy_student.noise.noise import Noise, checked_noise
from keras_noisy_student.non_finite import (
    OnNonFinite,
    StopOnNonFinite,
    StopWhenAllSkipped,
    ValuesBefore,
    all_finite,
    check_on_non_finite,
    marked,
)
from keras_noisy_student.pseudo_labels.online import OnlineTeacher
from keras_noisy_student.tasks.task import Task, check_soft_targets

_PARTS = ("labeled", "pseudo_labeled")


class NoisyStudent(DistributedModel):
    """Wraps a network for one round of Noisy Student Training.

    Each step takes a joint batch `((x, y), (x, pseudo_label))`, applies the input noise, runs one forward pass over
    both parts together and descends the joint loss. The logs hold the loss and the accuracy of each part. Metrics given
    to `compile` are computed on the labelled part. Evaluation and prediction are those of Keras, without noise.

    With `Noise(mixing=...)` a mixed example belongs to the part of its first image. The accuracy of a part is that of
    the most probable class of the mixed target, whereas metrics given to `compile` see the label of the first image.

    Args:
        network: a built Keras model from `x` to the outputs that `task` expects. Its dropout and stochastic-depth rates
            are set to those of `noise`.
        task: what a target is, for instance `Classification`.
        noise: input and model noise; none of its own by default, and the network's rates stay.
        online_teacher: labels the examples of parts that have no `y`.
        seed: of the noise.

    Attributes:
        layer_noise: what `noise` changed in each layer of the network.

    Raises:
        ValueError: for a network that is not a built Keras model, or that cannot take the noise.

    Example:
        >>> network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        >>> student = NoisyStudent(network, task=Classification(num_classes=3))
        >>> student.compile("adam")
        >>> x, y, p = np.ones((8, 4), "float32"), np.zeros(8, "int32"), np.full((8, 3), 1 / 3, "float32")
        >>> batches = joint_dataset((x, y), (x, p), batch_size=4)
        >>> history = student.fit(batches, steps_per_epoch=2, verbose=0)
        >>> sorted(history.history)
        ['labeled_accuracy', 'labeled_loss', 'loss', 'pseudo_labeled_accuracy', 'pseudo_labeled_loss']

    Reference:
        Xie et al. 2019, arXiv 1911.04252, algorithm 1.
    """

    def __init__(
        self,
        network: keras.Model,
        *,
        task: Task,
        noise: Noise | None = None,
        online_teacher: OnlineTeacher | None = None,
        seed: int = 0,
        name: str = "noisy_student",
    ) -> None:
        _check_network(network)
        super().__init__(name=name, dtype=network.dtype_policy)
        check_is_in_scope(network.weights, self.distribute_strategy, what=f"The network {network.name!r}")
        self.network = network
        self.task = task
        self.noise = checked_noise(noise)
        self.built = True
        if self.noise.mixing is not None:
            check_soft_targets(task)
        self._online_teacher = online_teacher
        self._noise_key = seeds.stream_key(seed, "input noise")
        self._mask_key = seeds.stream_key(seed, "model noise")
        self.layer_noise = self._set_model_noise()
        random_layers = [network, *(noise for noise in self.noise.in_step() if isinstance(noise, keras.Layer))]
        self._seed_variables = [variable for layer in random_layers for variable in seed_variables(layer)]
        self._part_losses = [keras.metrics.Mean(name=f"{part}_loss") for part in _PARTS]
        self._part_accuracies = [keras.metrics.Mean(name=f"{part}_accuracy") for part in _PARTS]
        self._non_finite_steps = keras.metrics.Sum(name="skipped_steps")
        self._reset_given_metrics: Callable[[], None] = lambda: None

    def compile(
        self,
        optimizer: Any = "adam",
        *,
        loss_reduction: LossReduction = "mean",
        metrics: Sequence[Any] | None = None,
        on_non_finite: OnNonFinite = "stop",
        jit_compile: bool | str = "auto",
        steps_per_execution: int = 1,
        run_eagerly: bool = False,
    ) -> None:
        """Configures training. The loss is the task's; everything else means what it means in Keras.

        Args:
            optimizer: a Keras optimizer or its name.
            loss_reduction: `"mean"` over the joint batch, or `"sum_of_means"`: see `joint_batch.joint_loss`.
            metrics: computed on the labelled examples in training, and in evaluation.
            on_non_finite: what becomes of a step whose loss or gradients are NaN or infinite: `"stop"` ends the
                training there with an error, `"skip"` leaves everything as it was before the step, and counts it in
                the logs as `skipped_steps`. A step that loss scaling (mixed precision) skips is not such a step.
            jit_compile: whether to compile the step with XLA, which cannot compile Keras' own MixUp and CutMix.
            steps_per_execution: steps run in one call.
            run_eagerly: whether to run without a graph, to debug.
        """
        check_loss_reduction(loss_reduction)
        check_on_non_finite(on_non_finite)
        if on_non_finite == "skip" and self.num_replicas > 1:
            raise ValueError(
                '`on_non_finite="skip"` works on one replica. Received: a strategy with '
                f'{self.num_replicas}. Use "stop", or train on one device.'
            )
        super().compile(
            optimizer,
            metrics=metrics,
            jit_compile=resolve_jit_compile(jit_compile, self.noise),
            steps_per_execution=steps_per_execution,
            run_eagerly=run_eagerly,
        )
        self.check_compiled(metrics or [], jit_compile=jit_compile)
        given = [metric for metric in metrics or [] if isinstance(metric, keras.metrics.Metric)]
        # A function, since Keras would count a list of metrics that a model keeps among its own.
        self._reset_given_metrics = functools.partial(_reset, given)
        self._loss_reduction = loss_reduction
        self._on_non_finite = on_non_finite
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        self._statistics, self._averaged_weights = None, None
        if optimizer.use_ema:
            with self.distribute_strategy.scope():
                self._statistics = StatisticsAverage(self.network, momentum=optimizer.ema_momentum)
            self._averaged_weights = AveragedWeights(self._statistics)

    def fit(
        self,
        x: tf.data.Dataset,
        *args: Any,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        shuffle: bool = False,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains as `keras.Model.fit` does, stops at or skips a step that is not finite, and follows the EMA rule.

        Joint batches come from a data set, which has its own order: Keras warns when asked to shuffle one.
        """
        with self.distribute_strategy.scope():
            self._create_training_variables(x)
        own: list[keras.callbacks.Callback] = [
            StopOnNonFinite(self._non_finite_steps) if self._on_non_finite == "stop" else StopWhenAllSkipped()
        ]
        if self._averaged_weights is not None:
            own.append(self._averaged_weights)
        return super().fit(x, *args, callbacks=[*own, *(callbacks or [])], shuffle=shuffle, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluates as `keras.Model.evaluate` does, without noise. Older versions of Keras return tensors here."""
        # Keras resets those that this model has used before, but the students of all rounds are given the same.
        self._reset_given_metrics()
        return tf.nest.map_structure(float, super().evaluate(*args, **kwargs))

    def save(self, filepath: str, **kwargs: Any) -> None:
        """Saves the network, a model of its own right, as `keras.Model.save` does."""
        self.network.save(filepath, **kwargs)

    def save_weights(self, filepath: str, **kwargs: Any) -> None:
        """Saves the network's weights, as `keras.Model.save_weights` does."""
        self.network.save_weights(filepath, **kwargs)

    def load_weights(self, filepath: str, **kwargs: Any) -> None:
        """Loads the network's weights, as `keras.Model.load_weights` does."""
        self.network.load_weights(filepath, **kwargs)

    def get_training_state(self) -> list[np.ndarray]:
        """All values that training changes and that its next step depends on: raw weights, optimizer, averages."""
        with self._averaged_weights.raw_weights() if self._averaged_weights else contextlib.nullcontext():
            return [keras.ops.convert_to_numpy(variable) for variable in self._training_variables()]

    def set_training_state(self, values: Sequence[np.ndarray]) -> None:
        """Continues from what `get_training_state` returned.

        Raises:
            ValueError: for the values of another network or optimizer.
        """
        variables = self._training_variables()
        expected = [tuple(variable.shape) for variable in variables]
        received = [np.shape(value) for value in values]
        if expected != received:
            raise ValueError(
                f"The training state must be that of this network and optimizer: {len(expected)} arrays of the shapes "
                f"{expected}. Received: {len(received)} arrays of the shapes {received}."
            )
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """The network's outputs."""
        return self.network(x, training=training)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step on a joint batch; returns the logs."""
        parts = [self._with_labels(part) for part in as_parts(data)]
        before = ValuesBefore(self._step_variables() if self._on_non_finite == "skip" else [])
        assign_mask_seeds(self._seed_variables, key=self._mask_key, step=self.optimizer.iterations)
        x = self._noised(parts)
        x, targets, weights = self._mixed(x, parts)
        with tf.GradientTape() as tape:
            outputs = self(x, training=True)
            part_outputs = tf.split(outputs, [num_rows(part) for part in parts])
            losses = [self.task.loss(y, output) for y, output in zip(targets, part_outputs, strict=True)]
            loss = joint_loss(losses, weights, reduction=self._loss_reduction) + self._regularization()
            # A strategy adds up the gradients of its replicas.
            scaled_loss = self.optimizer.scale_loss(loss / tf.distribute.get_strategy().num_replicas_in_sync)
        step = tf.identity(self.optimizer.iterations)
        gradients = tape.gradient(scaled_loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        if self._statistics is not None:
            self._statistics.update(step)
        self._update_part_metrics(targets, part_outputs, losses, weights)
        self._update_metrics(parts[0], part_outputs[0], loss)
        is_finite = self._is_finite(loss, gradients)
        before.restore_unless(is_finite)
        self._non_finite_steps.update_state(tf.cast(~is_finite, tf.float32))
        logs = self._logs(part_metrics=len(parts), skipped_steps=self._on_non_finite == "skip")
        return marked(logs, self._non_finite_steps) if self._on_non_finite == "stop" else logs

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Loss and compiled metrics of a batch `(x, y)` or `(x, y, sample_weight)`."""
        examples = Examples(*data)
        outputs = self(examples.x, training=False)
        losses = self.task.loss(examples.y, outputs)
        loss = joint_loss([losses], [_weights(examples)], reduction="mean") + self._regularization()
        self._update_metrics(examples, outputs, loss)
        return self._logs(part_metrics=0, skipped_steps=False)

    def _is_finite(self, loss: tf.Tensor, gradients: Sequence[Any]) -> tf.Tensor:
        """Whether loss and gradients are, but for gradients that loss scaling is to blame for.

        It raises its scale until gradients overflow, and skips those steps by itself. A scale of 1 is not to blame.
        """
        is_finite = all_finite(loss, gradients)
        if not hasattr(self.optimizer, "inner_optimizer"):
            return is_finite
        is_scaled = tf.convert_to_tensor(self.optimizer.dynamic_scale) > 1
        return tf.logical_or(is_finite, tf.logical_and(is_scaled, all_finite(loss, [])))

    def _training_variables(self) -> list[keras.Variable]:
        averages = self._statistics.averages if self._statistics else []
        return [*self.network.weights, *self.optimizer.variables, *averages]

    def _step_variables(self) -> list[keras.Variable]:
        """What a step changes, but for the seeds, which every step sets, and the count of skipped steps."""
        metrics = [metric for metric in self.metrics if metric is not self._non_finite_steps]
        return [*self._training_variables(), *(variable for metric in metrics for variable in metric.variables)]

    def _create_training_variables(self, batches: tf.data.Dataset) -> None:
        """Creates the variables of optimizer and metrics now: a step that creates any is traced twice."""
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        parts = as_parts(getattr(batches, "element_spec", batches))
        _check_parts(parts, self.task)
        self.check_divides_among_replicas(parts)
        labeled = parts[0]

        def example(spec: tf.TensorSpec) -> tf.Tensor:
            # Where batches differ in a dimension, any size will do.
            return tf.zeros([1, *(size or 1 for size in spec.shape[1:])], spec.dtype)

        x, y = tf.nest.map_structure(example, (labeled.x, labeled.y))
        self.compute_metrics(x, y, self(x, training=False))
        self.reset_metrics()

    def _set_model_noise(self) -> tuple[LayerNoise, ...]:
        rates = {"dropout_rate": self.noise.dropout_rate, "survival_probability": self.noise.survival_probability}
        return tuple(set_model_noise(self.network, **rates))

    def _with_labels(self, part: Examples) -> Examples:
        if part.has("y"):
            return part
        if self._online_teacher is None:
            raise ValueError(
                "A part of the joint batch has no `y`. Received: (x,) alone. Pass (x, y), or an `online_teacher`."
            )
        y, weight = self._online_teacher(part.x)
        return part._replace(y=y, sample_weight=weight)

    def _noised(self, parts: list[Examples]) -> Any:
        x = tf.nest.map_structure(lambda *tensors: tf.concat(tensors, axis=0), *[part.x for part in parts])
        if self.noise.placement == "pipeline":
            return x
        noise_seeds = tf.concat([self._noise_seeds(index, part) for index, part in enumerate(parts)], axis=0)
        return call_with_autograph(self.noise.augment, x, noise_seeds)

    def _mixed(self, x: Any, parts: list[Examples]) -> tuple[Any, list[tf.Tensor], list[tf.Tensor]]:
        """The batch, and the targets and weights of each part, mixed if the noise says so."""
        targets, weights = [part.y for part in parts], [_weights(part) for part in parts]
        if self.noise.mixing is None:
            return x, targets, weights
        soft_targets = tf.concat([self.task.soft_targets(y) for y in targets], axis=0)
        x, mixed_targets, mixed_weights = mix(self.noise.mixing, x, soft_targets, tf.concat(weights, axis=0))
        sizes = [num_rows(part) for part in parts]
        return x, tf.split(mixed_targets, sizes), tf.split(mixed_weights, sizes)

    def _noise_seeds(self, index: int, part: Examples) -> tf.Tensor:
        if part.has("noise_seed"):
            return part.noise_seed
        step_key = seeds.fold(seeds.fold(self._noise_key, index), self.optimizer.iterations)
        replica_key = seeds.fold(step_key, tf.distribute.get_replica_context().replica_id_in_sync_group)
        return seeds.fold(replica_key, tf.range(num_rows(part), dtype=tf.int64))

    def _regularization(self) -> tf.Tensor:
        return tf.add_n([tf.cast(tf.reduce_sum(loss), tf.float32) for loss in self.losses] or [tf.constant(0.0)])

    def _update_part_metrics(
        self,
        targets: list[tf.Tensor],
        outputs: list[tf.Tensor],
        losses: list[tf.Tensor],
        weights: list[tf.Tensor],
    ) -> None:
        for index, y in enumerate(targets):
            agreement = self.task.agreement(y, outputs[index])
            self._part_losses[index].update_state(losses[index], sample_weight=weights[index])
            self._part_accuracies[index].update_state(agreement, sample_weight=weights[index])

    def _update_metrics(self, examples: Examples, outputs: tf.Tensor, loss: tf.Tensor) -> None:
        loss_metric = next(metric for metric in self.metrics if metric.name == "loss")
        loss_metric.update_state(loss, sample_weight=num_rows(examples))
        weight = examples.sample_weight if examples.has("sample_weight") else None
        self.compute_metrics(examples.x, examples.y, outputs, weight)

    def _logs(self, *, part_metrics: int, skipped_steps: bool) -> dict[str, tf.Tensor]:
        """The results of the metrics, but for those of parts that were not in the batch, and of steps not skipped."""
        left_out = [*self._part_losses[part_metrics:], *self._part_accuracies[part_metrics:]]
        names = [metric.name for metric in left_out] + ([] if skipped_steps else [self._non_finite_steps.name])
        logs: Mapping[str, tf.Tensor] = self.get_metrics_result()
        return {name: value for name, value in logs.items() if name not in names}


def _check_parts(parts: list[Examples], task: Task) -> None:
    y = parts[0].y
    if not y.dtype.is_integer:
        raise ValueError(
            f"The labels of the labelled part must be integers. Received: {y}. One-hot labels become class ids by "
            "`tf.argmax(y, axis=-1)`."
        )
    task.check_label_spec(tf.TensorSpec(y.shape[1:], y.dtype), name="labeled")
    for part in parts[1:]:
        specs = tf.nest.map_structure(lambda spec: (str(spec.shape[1:]), spec.dtype.name), (parts[0].x, part.x))
        if specs[0] != specs[1]:
            raise ValueError(
                "Both parts of the joint batch must hold examples of the same structure, shape and dtype. Received: "
                f"{parts[0].x} and {part.x}."
            )


def _weights(examples: Examples) -> tf.Tensor:
    if not examples.has("sample_weight"):
        return tf.ones([num_rows(examples)])
    return tf.cast(examples.sample_weight, tf.float32)


def _check_network(network: Any) -> None:
    if not isinstance(network, keras.Model):
        raise ValueError(f"`network` must be a keras.Model. Received: {type(network).__name__}.")
    if not network.built:
        raise ValueError(
            f"The network {network.name!r} must be built, so that its layers can be counted and given their noise. "
            "Give it an Input, or call it on a batch once."
        )


def _reset(metrics: Sequence[keras.metrics.Metric]) -> None:
    for metric in metrics:
        metric.reset_state()
