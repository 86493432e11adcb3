"""`NoisyStudentTrainer`: whole runs with input noise of other makers, and with mixing."""

import keras
import numpy as np
import pytest

import keras_noisy_student as kns

NUM_CLASSES = 3


def make_images(num, seed):
    """Three kinds of 8x8 images, told apart by where they are bright."""
    y = np.arange(num) % NUM_CLASSES
    x = np.random.default_rng(seed).normal(60, 25, size=(num, 8, 8, 3))
    for row, label in enumerate(y):
        x[row, 2 * label : 2 * label + 2] += 90
    return x.clip(0, 255).astype("uint8"), y.astype("int32")


LABELED, POOL = make_images(30, 0), make_images(60, 1)[0]


def build(round_index):
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(NUM_CLASSES, "softmax"),
        ]
    )


def fit_rounds(noise, *, num_rounds=1, pseudo_labeling=None, directory=None, jit_compile="auto"):
    task = kns.Classification(num_classes=NUM_CLASSES)
    trainer = kns.NoisyStudentTrainer(build, task, noise=noise, pseudo_labeling=pseudo_labeling, directory=directory)
    trainer.compile(keras.optimizers.Adam(0.02), metrics=["accuracy"], jit_compile=jit_compile)
    settings = {"batch_size": 10, "steps_per_epoch": 15, "validation_data": LABELED, "verbose": 0}
    history = trainer.fit_rounds(LABELED, POOL, num_rounds=num_rounds, **settings)
    return trainer.model, history


@pytest.fixture(scope="module")
def loss_without_noise():
    return fit_rounds(kns.Noise())[1][1].metrics["labeled_loss"]


def check_run(noise, loss_without_noise, **arguments):
    """The student learns, and from other examples than without this noise."""
    metrics = fit_rounds(noise, **arguments)[1][1].metrics
    assert metrics["val_accuracy"] > 0.9
    assert metrics["labeled_loss"] != pytest.approx(loss_without_noise, rel=1e-3)


def test_rand_augment_of_keras_runs_as_augmentation(loss_without_noise):
    check_run(kns.Noise(keras.layers.RandAugment((0, 255), num_ops=1, factor=0.3, seed=0)), loss_without_noise)


@pytest.mark.parametrize("placement", ["step", "pipeline"])
def test_rand_augment_of_keras_cv_runs_as_augmentation(placement, loss_without_noise):
    keras_cv = pytest.importorskip("keras_cv")
    augmentation = keras_cv.layers.RandAugment((0, 255), augmentations_per_image=1, magnitude=0.3, seed=0)
    check_run(kns.Noise(augmentation, placement=placement), loss_without_noise)


def test_a_plain_function_runs_as_augmentation(loss_without_noise):
    check_run(kns.Noise(lambda images: images // 2), loss_without_noise)


@pytest.mark.parametrize(
    ("layer_class", "placement", "annotate"),
    [(keras.layers.MixUp, "pipeline", "stored"), (keras.layers.CutMix, "step", "online")],
)
def test_rounds_with_mixing_learn(layer_class, placement, annotate, loss_without_noise):
    noise = kns.Noise(lambda images: images // 2, placement=placement, mixing=layer_class())
    pseudo_labeling = kns.PseudoLabeling(annotate=annotate, confidence_threshold=0.4)
    check_run(noise, loss_without_noise, pseudo_labeling=pseudo_labeling)


@pytest.mark.parametrize("layer_class", [keras.layers.MixUp, keras.layers.CutMix])
def test_a_run_with_mixing_is_reproducible(layer_class):
    models = [fit_rounds(kns.Noise(mixing=layer_class()), num_rounds=0)[0] for _ in range(2)]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_mixing_layer_is_another_run(tmp_path):
    for _ in range(2):
        fit_rounds(kns.Noise(mixing=keras.layers.MixUp(alpha=0.2)), num_rounds=0, directory=str(tmp_path))
    for mixing, difference in (
        (keras.layers.MixUp(alpha=0.4), r"\n  noise\.mixing\.config\.alpha: 0\.2 there, 0\.4 now"),
        (keras.layers.CutMix(), r"\n  noise\.mixing\.class: MixUp there, CutMix now"),
        (None, r"\n  noise\.mixing: \{.*'class': 'MixUp'.*\} there, None now"),
    ):
        with pytest.raises(ValueError, match=rf"holds another run[\s\S]*{difference}"):
            fit_rounds(kns.Noise(mixing=mixing), num_rounds=0, directory=str(tmp_path))


def test_mixing_that_xla_cannot_compile_is_refused_before_the_first_round(tmp_path):
    with pytest.raises(ValueError, match=r"XLA cannot compile `mixing`\. Received: jit_compile=True"):
        fit_rounds(kns.Noise(mixing=keras.layers.MixUp()), directory=str(tmp_path), jit_compile=True)
    assert not list(tmp_path.rglob("*.json"))
