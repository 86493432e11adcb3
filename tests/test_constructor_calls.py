import keras
import pytest

import keras_noisy_student as kns
from keras_noisy_student.constructor_calls import constructor_call


class Plain(keras.layers.Layer):
    def __init__(self, strength):
        super().__init__()
        self._strength = strength


@pytest.mark.parametrize(
    ("value", "call"),
    [
        (kns.PseudoLabeling(), "PseudoLabeling()"),
        (
            kns.PseudoLabeling(labels="hard", corrections=[kns.TemperatureScaling()]),
            "PseudoLabeling(labels='hard', corrections=[TemperatureScaling()])",
        ),
        (kns.Compose([kns.PadCrop(2), kns.RandomFlip()]), "Compose(steps=[PadCrop(padding=2), RandomFlip()])"),
        (keras.layers.RandomRotation(0.05, seed=3), "RandomRotation(factor=[-0.05, 0.05])"),
        (kns.FineTuning(optimizer=keras.optimizers.Adam()), "FineTuning(optimizer=Adam)"),
        (kns.SegmentSampling(8), "SegmentSampling(num_frames=8)"),
        (Plain(3), "Plain(strength=3)"),
        (Plain(object()), "Plain()"),
        (keras.ops.flip, "flip"),
        ("sgd", "'sgd'"),
        (0.5, "0.5"),
    ],
)
def test_shows_what_is_not_at_its_default(value, call):
    assert constructor_call(value) == call
