"""A process with two logical CPU devices, which compares runs on both with runs on one; prints what it found."""

import json
import sys
import warnings

import keras
import tensorflow as tf

import keras_noisy_student as kns
from tests.integration import strategy_runs
from tests.integration.strategy_runs import error_of, with_keras_own


def _trainer(strategy, **keywords):
    return kns.NoisyStudentTrainer(
        lambda round_index: strategy_runs.network(False),
        kns.Classification(num_classes=3),
        strategy=strategy,
        **keywords,
    )


def _errors(strategy):
    """What is refused, by name."""
    labeled, pool, _ = strategy_runs.data()
    outside = strategy_runs.network(False)
    task = kns.Classification(num_classes=3)

    def fit(*, unlabeled_ratio=1.0, batch_size=8, optimizer="adam", **compile_arguments):
        trainer = _trainer(strategy, unlabeled_ratio=unlabeled_ratio)
        trainer.compile(optimizer, **compile_arguments)
        trainer.fit_rounds(labeled, pool, num_rounds=1, batch_size=batch_size, verbose=0)

    def fit_student(batch_size):
        with strategy.scope():
            student = kns.NoisyStudent(strategy_runs.network(False), task=task)
            student.compile("adam")
        student.fit(kns.joint_dataset(labeled, (pool, labeled[1][:1].repeat(len(pool))), batch_size=batch_size))

    def student_outside():
        with strategy.scope():
            kns.NoisyStudent(outside, task=task)

    def optimizer_outside():
        optimizer = keras.optimizers.SGD()
        with strategy.scope():
            kns.NoisyStudent(strategy_runs.network(False), task=task).compile(optimizer)

    accumulating = keras.optimizers.SGD(gradient_accumulation_steps=2)
    return {
        "batch_size": error_of(fit, batch_size=9),
        "unlabeled_ratio": error_of(fit, unlabeled_ratio=0.625),
        "batch": error_of(fit_student, 3),
        "network": error_of(student_outside),
        "teacher": error_of(_trainer, strategy, teacher=outside),
        "metric": error_of(fit, metrics=[keras.metrics.SparseCategoricalAccuracy(name="mine")]),
        "optimizer": error_of(optimizer_outside),
        "jit_compile": error_of(fit, jit_compile=True),
        "accumulation": error_of(fit, optimizer=accumulating),
        "skip": error_of(fit, on_non_finite="skip"),
    }


def _masks_differ(strategy):
    """A step with model noise on one and on two replicas: the masks, hence the losses, are others."""
    losses = [
        strategy_runs.fit_student(each, batch_norm=False, dropout=0.5)["logs"]["loss"]
        for each in (tf.distribute.get_strategy(), strategy, strategy)
    ]
    return {"one": losses[0], "two": losses[1], "two_again": losses[2]}


def main(directory):
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategies = {"one": tf.distribute.get_strategy(), "two": tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = {
            name: {
                "plain": strategy_runs.fit_student(strategy, batch_norm=False),
                "batch_norm": strategy_runs.fit_student(strategy),
                "steps_per_execution": strategy_runs.fit_student(strategy, steps_per_execution=5),
                "rounds": strategy_runs.fit_rounds(strategy, f"{directory}/{name}"),
            }
            for name, strategy in strategies.items()
        }
        report["masks"] = _masks_differ(strategies["two"])
        report["errors"] = _errors(strategies["two"])
        report["keras"] = error_of(
            strategy_runs.fit_student,
            strategies["two"],
            student_class=with_keras_own("_make_function"),
            steps_per_execution=5,
        )
        report["mean_over_replicas"] = strategy_runs.fit_student(
            strategies["two"], student_class=with_keras_own("_get_metrics_result_or_logs")
        )
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1])
