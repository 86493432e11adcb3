"""What a TPU needs of a training step, as far as a CPU can tell: static shapes, XLA, and no Python on the way."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), np.uint8)
LABELS = np.arange(24) % 3
NOISE = kns.Noise(augmentation=kns.RandAugment(num_ops=2, magnitude=5), dropout_rate=0.5, survival_probability=0.8)
PYTHON_OPS = {"PyFunc", "PyFuncStateless", "EagerPyFunc", "NumpyFunction"}


class Trainer(kns.NoisyStudentTrainer):
    """Keeps the joint batches and the student of its last round."""

    def train(self, student, batches, *arguments, **keywords):
        self.batches, self.student = batches, student
        return super().train(student, batches, *arguments, **keywords)


def _network(round_index):
    x = inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(x)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    x = keras.layers.add([x, kns.StochasticDepth(1.0)(keras.layers.Conv2D(8, 3, padding="same")(x))])
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    x = keras.layers.Dropout(0.1)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


# Two steps make no teacher; what it says does not matter here.
@pytest.mark.filterwarnings("ignore:The teacher sees class")
def test_joint_batches_are_static_and_the_step_is_one_xla_program_without_python():
    trainer = Trainer(_network, kns.Classification(num_classes=3), noise=NOISE, unlabeled_ratio=2)
    trainer.promote = lambda student, *arguments: student
    trainer.compile(keras.optimizers.AdamW(use_ema=True), jit_compile=True)
    trainer.fit_rounds((IMAGES, LABELS), IMAGES, num_rounds=1, batch_size=4, steps_per_epoch=2, verbose=0)
    spec = trainer.batches.element_spec
    assert all(tensor.shape.is_fully_defined() for tensor in tf.nest.flatten(spec))
    step = tf.function(trainer.student.train_step, jit_compile=True).get_concrete_function(spec)
    ops = {op.type for op in step.graph.get_operations()}
    inner = {node.op for function in step.graph.as_graph_def().library.function for node in function.node_def}
    assert "Conv2D" in ops | inner
    assert not PYTHON_OPS & (ops | inner)
