"""A whole run on clips: other frames in every step, a teacher that averages over views, a student that is served."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from tests.recording_trainer import RecordingTrainer
from tests.toy_data import all_columns

NUM_CLASSES, NUM_FRAMES, NUM_VIEWS, LENGTH, SIZE = 2, 2, 3, 7, 6
SAMPLE = kns.SegmentSampling(NUM_FRAMES)
AUGMENT = kns.PerClip(kns.RandAugment(num_ops=1, ops=["Brightness", "TranslateX"], jit_compile=False))
VIEWS = kns.video.temporal_views(NUM_FRAMES, NUM_VIEWS)


def clips_of_classes(num_clips, seed):
    """Clips of noise that is dark in class 0 and bright in class 1."""
    y = (np.arange(num_clips) % NUM_CLASSES).astype("int32")
    noise = np.random.default_rng(seed).integers(0, 150, (num_clips, LENGTH, SIZE, SIZE, 3))
    return (noise + 100 * y[:, None, None, None, None]).astype("uint8"), y


def augmentation(clips, noise_seed):
    return AUGMENT(SAMPLE(clips, noise_seed=noise_seed), noise_seed=noise_seed)


LABELED, POOL = clips_of_classes(8, seed=0), clips_of_classes(12, seed=1)[0]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    encoder = keras.Sequential([keras.layers.Rescaling(1 / 255), keras.layers.GlobalAveragePooling2D()])
    network = kns.video.attention_network(
        encoder, num_classes=NUM_CLASSES, num_frames=NUM_FRAMES, frame_size=SIZE, attention_units=2
    )
    trainer = RecordingTrainer(
        kns.students.FromTeacher(network),
        kns.Classification(NUM_CLASSES),
        kns.Noise(augmentation, dropout_rate=0.5, survival_probability=0.8),
        kns.PseudoLabeling(averaging=kns.TeacherAveraging(views=VIEWS)),
        directory=tmp_path_factory.mktemp("run"),
    )
    trainer.compile(keras.optimizers.Adam(0.05))
    trainer.fit_rounds(LABELED, POOL, num_rounds=1, batch_size=4, epochs=1, steps_per_epoch=30, verbose=0)
    return trainer


def test_a_clip_has_one_pseudo_label_the_mean_over_the_views(finished):
    by_view = np.array([finished.teachers[1](view(POOL), training=False) for view in VIEWS])
    assert np.ptp(by_view, axis=0).max() > 1e-4
    expected = by_view.mean(axis=0)
    columns = all_columns(finished.selections[1][0])
    np.testing.assert_allclose(columns["score"], expected.max(axis=-1), rtol=1e-5)
    np.testing.assert_array_equal(columns["class_id"], expected.argmax(axis=-1))


def test_the_student_had_the_noise_of_the_round(finished):
    rates = [layer.rate for layer in finished.model.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.5]
    depths = [layer for layer in finished.model.layers if isinstance(layer, kns.StochasticDepth)]
    assert [layer.survival_probability for layer in depths] == [0.8]


def test_the_student_is_served_without_noise_and_shows_its_attention(finished, tmp_path):
    finished.export(str(tmp_path / "served"), verify=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    expected = finished.predict(POOL, verbose=0)
    np.testing.assert_allclose(served.serve(POOL)["probabilities"], expected, rtol=1e-4, atol=1e-6)
    weights, frames = kns.video.attention_weights(finished.model, POOL)
    np.testing.assert_array_equal(frames, [1, 5])
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
