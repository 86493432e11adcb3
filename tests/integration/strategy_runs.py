"""Runs that are compared across strategies; imported by processes of their own, which set their devices first."""

import keras
import numpy as np
import tensorflow as tf

import keras_noisy_student as kns

BATCH_SIZE = 8
STEPS = 20


def data():
    """Three classes around three centres, a pool of more of them, and a validation set of 37."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 200)
    x = (rng.normal(size=(200, 8)) + 2 * np.eye(8)[y]).astype("float32")
    return (x[:40], y[:40]), x[40:163], (x[163:], y[163:])


def network(batch_norm, dropout=0.0):
    layers = [keras.Input((8,)), keras.layers.Dense(16, activation="relu")]
    if batch_norm:
        layers.append(keras.layers.BatchNormalization(synchronized=True, momentum=0.9))
    return keras.Sequential([*layers, keras.layers.Dropout(dropout), keras.layers.Dense(3, activation="softmax")])


def optimizer():
    return keras.optimizers.AdamW(0.02, use_ema=True, ema_momentum=0.9)


def fit_student(strategy, *, batch_norm=True, dropout=0.0, student_class=kns.NoisyStudent, **compile_arguments):
    """Trains a student on joint batches; returns logs, weights and predictions, as lists."""
    (x, y), pool, validation = data()
    labels = np.random.default_rng(1).dirichlet(np.ones(3), len(pool)).astype("float32")
    with strategy.scope():
        keras.utils.set_random_seed(1)
        student = student_class(network(batch_norm, dropout), task=kns.Classification(num_classes=3))
        student.compile(optimizer(), metrics=["accuracy"], **compile_arguments)
    history = student.fit(
        kns.joint_dataset((x, y), (pool, labels), batch_size=BATCH_SIZE, unlabeled_ratio=3),
        steps_per_epoch=STEPS // 2,
        epochs=2,
        # 37 examples: the last batch leaves a replica without any.
        validation_data=tf.data.Dataset.from_tensor_slices(validation).batch(12),
        verbose=0,
    )
    return {
        "logs": history.history,
        "weights": [weight.numpy().tolist() for weight in student.network.weights],
        "predictions": student.predict(tf.data.Dataset.from_tensor_slices(validation[0]).batch(12), verbose=0).tolist(),
    }


def fit_rounds(strategy, directory, *, num_rounds=2, callbacks=None):
    """A run through the trainer; returns its records and the last student's weights, as lists."""
    labeled, pool, validation = data()
    trainer = kns.NoisyStudentTrainer(
        student=lambda round_index: network(batch_norm=True),
        task=kns.Classification(num_classes=3),
        pseudo_labeling=kns.PseudoLabeling(
            examples_per_class="auto",
            corrections=[kns.TemperatureScaling(), kns.DistributionAlignment()],
            averaging=kns.TeacherAveraging(num_teachers=2),
        ),
        unlabeled_ratio=3,
        strategy=strategy,
        directory=directory,
    )
    trainer.inference_batch_size = 24
    trainer.rows_per_shard = 24
    trainer.compile(optimizer())
    history = trainer.fit_rounds(
        labeled,
        pool,
        num_rounds=num_rounds,
        batch_size=BATCH_SIZE,
        epochs=4,
        validation_data=validation,
        callbacks=callbacks,
        verbose=0,
    )
    return {
        "metrics": [record.metrics for record in history],
        "num_kept": [record.num_kept for record in history],
        "weights": [weight.numpy().tolist() for weight in trainer.model.weights],
        "evaluation": trainer.evaluate(validation, verbose=0),
        "predictions": trainer.predict(validation[0], batch_size=12, verbose=0).tolist(),
    }


def with_keras_own(method):
    """A student with one method of Keras' own in place of that of `DistributedModel`."""
    return type("Student", (kns.NoisyStudent,), {method: getattr(keras.Model, method)})


def error_of(function, *arguments, **keywords):
    """What the function raises, as text."""
    try:
        function(*arguments, **keywords)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"
