"""`NoisyStudentTrainer`: whole runs on toy images."""

import functools
import unittest.mock

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student.noise import seeds

NUM_CLASSES = 3


def make_images(num, seed):
    """Three kinds of 6x6 images, told apart by where they are bright, with noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(num) % NUM_CLASSES
    x = rng.normal(60, 25, size=(num, 6, 6, 1))
    for row, label in enumerate(y):
        x[row, 2 * label : 2 * label + 2] += 90
    return x.clip(0, 255).astype("uint8"), y.astype("int32")


LABELED, TEST = make_images(30, 0), make_images(90, 1)
POOL = make_images(120, 2)[0]


def build(round_index=0, *, units=8, dropout_rate=0.1, activation="softmax"):
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(units + round_index, "leaky_relu"),
            keras.layers.Dropout(dropout_rate),
            keras.layers.Dense(NUM_CLASSES, activation),
        ]
    )


def brighten(x, noise_seed):
    """Input noise that is quick to trace: adds up to 40 levels to each image."""
    levels = 40 * seeds.uniform(noise_seed, 1)
    return tf.cast(tf.cast(x, tf.float32) + levels[:, :, None, None], tf.uint8)


def make_trainer(
    student=build, *, trainer_class=kns.NoisyStudentTrainer, task=None, compile_arguments=None, **arguments
):
    trainer = trainer_class(student, task or kns.Classification(num_classes=NUM_CLASSES), **arguments)
    trainer.compile(keras.optimizers.Adam(0.05), metrics=["accuracy"], **(compile_arguments or {}))
    return trainer


def fit(trainer, labeled=LABELED, unlabeled=POOL, **arguments):
    settings = {"num_rounds": 1, "batch_size": 10, "epochs": 1, "steps_per_epoch": 10, "verbose": 0}
    return trainer.fit_rounds(labeled, unlabeled, **settings | arguments)


def as_dataset(arrays):
    return tf.data.Dataset.from_tensor_slices(arrays)


def assert_same_weights(model, other):
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two rounds, with everything on."""
    trainer = make_trainer(
        noise=kns.Noise(augmentation=brighten, dropout_rate=0.2),
        pseudo_labeling=kns.PseudoLabeling(confidence_threshold=0.4, examples_per_class="auto"),
        unlabeled_ratio=2.5,
        directory=str(tmp_path_factory.mktemp("run")),
    )
    history = fit(trainer, num_rounds=2, epochs=3, validation_data=TEST)
    return trainer, history


def test_a_run_learns_and_records_every_round(finished):
    _, history = finished
    assert [record.round_index for record in history] == [0, 1, 2]
    assert history[2].metrics["val_accuracy"] > 0.9
    assert [record.num_annotated for record in history] == [0, 120, 120]
    for record in history:
        assert len(record.epochs["loss"]) == 3
        assert record.num_parameters == build(record.round_index).count_params()
    for record in list(history)[1:]:
        assert record.num_kept <= 120
        assert len(set(record.selected_class_counts)) == 1
        assert sum(record.selected_class_counts) == record.num_selected
        assert {"labeled_loss", "pseudo_labeled_loss", "labeled_accuracy", "pseudo_labeled_accuracy"} <= set(
            record.epochs
        )


def test_evaluate_predict_and_save_mean_what_they_mean_in_keras(finished, tmp_path):
    trainer, history = finished
    loss, accuracy = trainer.evaluate(TEST, verbose=0)
    assert trainer.evaluate(as_dataset(TEST), return_dict=True, verbose=0) == pytest.approx(
        {"loss": loss, "accuracy": accuracy}, rel=1e-5
    )
    assert history[2].metrics["val_accuracy"] == pytest.approx(accuracy)
    probabilities = trainer.predict(TEST[0], verbose=0)
    np.testing.assert_allclose(probabilities, trainer.model.predict(TEST[0], verbose=0), rtol=1e-5)
    np.testing.assert_allclose(trainer.predict(as_dataset(TEST[0]), verbose=0), probabilities, rtol=1e-5)
    assert accuracy == pytest.approx(np.mean(probabilities.argmax(-1) == TEST[1]))
    trainer.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(restored.predict(TEST[0], verbose=0), probabilities, rtol=1e-5)


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    def run(seed):
        trainer = make_trainer(noise=kns.Noise(brighten, dropout_rate=0.5), seed=seed)
        fit(trainer)
        return trainer.model

    keras.utils.set_random_seed(1)
    first = run(7)
    keras.utils.set_random_seed(2)
    assert_same_weights(run(7), first)
    assert not np.allclose(run(8).get_weights()[0], first.get_weights()[0])


def test_arrays_and_data_sets_are_both_taken():
    trainer = make_trainer()
    history = fit(trainer, as_dataset(LABELED), as_dataset(POOL), validation_data=as_dataset(TEST))
    assert history[1].num_annotated == 120
    assert np.isfinite(history[1].metrics["val_loss"])


def test_examples_may_be_dicts_of_tensors():
    def network(round_index):
        inputs = {"left": keras.Input((6, 6, 1), name="left"), "right": keras.Input((2,), name="right")}
        x = keras.layers.Concatenate()([keras.layers.Flatten()(inputs["left"]), inputs["right"]])
        return keras.Model(inputs, keras.layers.Dense(NUM_CLASSES, "softmax")(keras.layers.Rescaling(1 / 255)(x)))

    def both(x):
        return {"left": x, "right": np.ones((len(x), 2), "float32")}

    trainer = make_trainer(network)
    fit(trainer, (both(LABELED[0]), LABELED[1]), as_dataset(both(POOL)))
    assert trainer.predict(both(TEST[0]), verbose=0).shape == (90, NUM_CLASSES)


def test_the_teacher_annotates_clean_examples_without_noise(tmp_path):
    seen = []

    class Spy(kns.NoisyStudentTrainer):
        def select(self, pseudo_labels, settings):
            seen.append(pseudo_labels)
            return super().select(pseudo_labels, settings)

        def promote(self, student, teacher, data, settings):
            teachers.append(student.network.predict(POOL, verbose=0))
            return super().promote(student, teacher, data, settings)

    teachers = []
    fit(make_trainer(trainer_class=Spy, noise=kns.Noise(brighten, dropout_rate=0.5)))
    scores = np.concatenate([block["score"] for block in seen[0].columns])
    np.testing.assert_allclose(scores, teachers[0].max(axis=-1), rtol=1e-5)


def test_hard_labels_temperature_and_smoothing_run():
    task = kns.Classification(num_classes=NUM_CLASSES, label_smoothing=0.1)
    for pseudo_labeling in (kns.PseudoLabeling(labels="hard"), kns.PseudoLabeling(temperature=0.5)):
        assert np.isfinite(
            fit(make_trainer(task=task, pseudo_labeling=pseudo_labeling))[1].metrics["pseudo_labeled_loss"]
        )


def test_logits_are_served_as_probabilities():
    task = kns.Classification(num_classes=NUM_CLASSES, from_logits=True)
    trainer = make_trainer(functools.partial(build, activation=None), task=task)
    fit(trainer)
    probabilities = trainer.predict(TEST[0], verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-5)
    assert trainer.evaluate(TEST, verbose=0)[1] == pytest.approx(np.mean(probabilities.argmax(-1) == TEST[1]))


def test_online_annotation_stores_nothing_and_weighs_by_the_threshold(tmp_path):
    online = kns.PseudoLabeling(annotate="online", confidence_threshold=0.5)
    trainer = make_trainer(pseudo_labeling=online, directory=str(tmp_path))
    history = fit(trainer, epochs=3)
    assert history[1].num_annotated == 0
    assert not list(tmp_path.rglob("pseudo_labels"))
    assert history[1].metrics["pseudo_labeled_accuracy"] > 0.8


def test_online_and_stored_annotation_train_on_the_same_targets():
    def last_losses(annotate):
        trainer = make_trainer(pseudo_labeling=kns.PseudoLabeling(annotate=annotate))
        return fit(trainer)[1].metrics["pseudo_labeled_loss"]

    # The store keeps float16.
    assert last_losses("online") == pytest.approx(last_losses("stored"), rel=1e-2)


def test_a_given_teacher_takes_the_place_of_round_0(finished):
    teacher = finished[0].model
    trainer = make_trainer(functools.partial(build, units=16), teacher=teacher)
    history = fit(trainer, validation_data=TEST)
    assert history[0].epochs == {}
    assert history[0].metrics["val_accuracy"] == pytest.approx(finished[1][2].metrics["val_accuracy"])
    assert history[1].num_annotated == 120


def test_a_model_given_as_student_is_initialised_anew_every_round():
    model = build()
    before = model.get_weights()
    trainer = make_trainer(model)
    fit(trainer)
    assert trainer.model is not model
    assert all(np.array_equal(one, two) for one, two in zip(model.get_weights(), before, strict=True))


def test_settings_may_be_functions_of_the_round_index(tmp_path):
    class Spy(kns.NoisyStudentTrainer):
        def train(self, student, batches, data, settings, **arguments):
            seen.append(
                (settings, [len(part.x) for part in next(iter(batches))], float(student.optimizer.learning_rate))
            )
            return super().train(student, batches, data, settings, **arguments)

    seen = []
    trainer = Spy(
        build,
        kns.Classification(num_classes=NUM_CLASSES),
        noise=lambda r: kns.Noise(dropout_rate=0.1 * r),
        pseudo_labeling=lambda r: kns.PseudoLabeling(labels="soft" if r == 1 else "hard"),
        unlabeled_ratio=lambda r: r + 1,
    )
    trainer.compile(lambda r: keras.optimizers.Adam(0.06 / (r + 1)))
    fit(trainer, num_rounds=2, batch_size=lambda r: 10 - r, epochs=lambda r: r + 1, steps_per_epoch=lambda r: r + 10)
    settings, sizes, learning_rates = zip(*seen, strict=True)
    assert [s.noise.dropout_rate for s in settings] == pytest.approx([0, 0.1, 0.2])
    assert [s.pseudo_labeling.labels for s in settings] == ["hard", "soft", "hard"]
    assert sizes == ([10], [9, 18], [8, 24])
    assert [s.epochs for s in settings] == [1, 2, 3]
    assert [s.steps_per_epoch for s in settings] == [10, 11, 12]
    assert learning_rates == pytest.approx([0.06, 0.03, 0.02])


def test_an_epoch_is_as_many_batches_as_the_labelled_examples_fill():
    steps = []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(batch))
    fit(make_trainer(), num_rounds=0, batch_size=7, epochs=3, steps_per_epoch=None, callbacks=[count])
    assert len(steps) == 3 * (30 // 7)


def test_input_noise_in_the_pipeline_gives_the_same_run_as_in_the_step():
    def run(placement):
        trainer = make_trainer(noise=kns.Noise(kns.RandAugment(1, 2, ops=["Rotate", "Color"]), placement=placement))
        fit(trainer)
        return trainer.model

    assert_same_weights(run("pipeline"), run("step"))


@pytest.mark.parametrize(
    "compile_arguments", [{"jit_compile": True}, {"steps_per_execution": 5}, {"run_eagerly": True}]
)
def test_compile_arguments_reach_the_step(compile_arguments):
    trainer = make_trainer(noise=kns.Noise(brighten), compile_arguments=compile_arguments)
    history = fit(trainer)
    for name, value in compile_arguments.items():
        assert getattr(trainer.teacher, name) == value
    assert np.isfinite(history[1].metrics["loss"])


def test_finished_rounds_are_taken_from_the_directory(finished):
    trainer, history = finished

    class NoTraining(kns.NoisyStudentTrainer):
        def train(self, *arguments):
            raise AssertionError("nothing is left to train")

    again = make_trainer(
        trainer_class=NoTraining,
        noise=kns.Noise(augmentation=brighten, dropout_rate=0.2),
        pseudo_labeling=kns.PseudoLabeling(confidence_threshold=0.4, examples_per_class="auto"),
        unlabeled_ratio=2.5,
        directory=trainer.directory,
    )
    repeated = fit(again, num_rounds=2, epochs=3, validation_data=TEST)
    assert repeated.to_dict() == history.to_dict()
    assert_same_weights(again.model, trainer.model)


def test_more_rounds_continue_a_run_as_if_it_had_been_asked_for_at_once(tmp_path):
    fit(make_trainer(directory=str(tmp_path / "run")), num_rounds=1)
    continued, whole = make_trainer(directory=str(tmp_path / "run")), make_trainer(directory=str(tmp_path / "whole"))
    fit(continued, num_rounds=2)
    fit(whole, num_rounds=2)
    assert_same_weights(continued.model, whole.model)


def test_a_directory_of_another_run_is_refused(finished):
    directory = finished[0].directory
    with pytest.raises(
        ValueError, match=r"holds another run\. Its run\.json differs:\n  seed: 0 there, 1 now\nTo resolve"
    ):
        fit(make_trainer(directory=directory, seed=1), validation_data=TEST)
    with pytest.raises(ValueError, match=r"Its round_00/settings\.json differs:[\s\S]*  epochs: 3 there, 1 now"):
        fit(make_trainer(directory=directory), validation_data=TEST)


def test_every_step_of_a_round_can_be_overridden_alone():
    class OnlyTheMostConfidentHalf(kns.NoisyStudentTrainer):
        def select(self, pseudo_labels, settings):
            selection = super().select(pseudo_labels, settings)
            scores = np.concatenate([block["score"] for block in pseudo_labels.columns])
            repeats = np.where(scores < np.median(scores), 0, selection.repeats)
            return selection.with_repeats(repeats, pseudo_labels.columns)

    record = fit(make_trainer(trainer_class=OnlyTheMostConfidentHalf))[1]
    assert record.num_kept == sum(record.selected_class_counts) == 60


class Shrinking(kns.NoisyStudentTrainer):
    """Its first student forgets what it learned."""

    def train(self, student, batches, data, settings, **arguments):
        epochs = super().train(student, batches, data, settings, **arguments)
        if settings.index == 1:
            student.network.layers[-1].bias.assign([50.0, 0.0, 0.0])
        return epochs

    def promote(self, student, teacher, data, settings):
        with unittest.mock.patch("keras_noisy_student.round_steps.check_teacher"):
            return super().promote(student, teacher, data, settings)


def test_a_student_worse_than_its_teacher_is_recorded_and_promoted_as_in_the_paper(tmp_path, capsys):
    trainer = make_trainer(trainer_class=Shrinking)
    history = fit(trainer, validation_data=TEST, verbose=2)
    gain = history[1].metrics["val_accuracy"] - history[0].metrics["val_accuracy"]
    assert history[1].gain == pytest.approx(gain)
    assert gain < -0.2
    assert history[1].is_promoted
    assert f"worse than its teacher by {-gain:.4f}" in capsys.readouterr().out
    assert trainer.model.count_params() == history[1].num_parameters


@pytest.mark.filterwarnings("ignore:The teacher sees class")
def test_if_better_keeps_the_teacher_and_a_run_that_is_started_again_knows_it(tmp_path):
    for _ in range(2):
        trainer = make_trainer(
            trainer_class=Shrinking,
            directory=str(tmp_path),
            compile_arguments={"promotion": kns.Promotion(promote="if_better")},
        )
        history = fit(trainer, num_rounds=1, validation_data=TEST)
        assert trainer.model.count_params() == history[0].num_parameters
        assert not history[1].is_promoted
    assert "not promoted" in str(history[1])


def test_rounds_without_gain_end_the_run(capsys):
    promotion = kns.Promotion(stop_after=1)
    trainer = make_trainer(trainer_class=Shrinking, compile_arguments={"promotion": promotion})
    history = fit(trainer, num_rounds=3, validation_data=TEST, verbose=2)
    assert len(history) == 2
    assert "No better student in the last 1 rounds: the run ends here." in capsys.readouterr().out


def test_promotion_that_compares_needs_validation_data_before_anything_is_trained(tmp_path):
    trainer = make_trainer(directory=str(tmp_path), compile_arguments={"promotion": kns.Promotion(promote="if_better")})
    with pytest.raises(ValueError, match=r"compare students on validation data\. Received: validation_data=None"):
        fit(trainer)
    assert not list(tmp_path.iterdir())


def test_a_metric_to_watch_that_is_none_is_told_before_anything_is_trained(tmp_path):
    promotion = kns.Promotion(monitor="val_acc")
    trainer = make_trainer(directory=str(tmp_path), compile_arguments={"promotion": promotion})
    with pytest.raises(ValueError, match=r"`monitor` must be one of \['val_.*'\]\. Received: monitor='val_acc'"):
        fit(trainer, validation_data=TEST)
    assert not list(tmp_path.iterdir())


def test_a_step_that_is_not_finite_may_be_skipped():
    images = LABELED[0].astype("float32")
    images[20] = np.nan
    trainer = make_trainer(noise=kns.Noise(), compile_arguments={"on_non_finite": "skip"})
    history = fit(trainer, (images, LABELED[1]), None, num_rounds=0, steps_per_epoch=6)
    assert 1 <= history[0].metrics["skipped_steps"] <= 4
    assert np.isfinite(trainer.model.get_weights()[0]).all()


def test_a_class_that_takes_most_pseudo_labels_is_told():
    pool = POOL[np.arange(len(POOL)) % NUM_CLASSES == 1]
    with pytest.warns(
        UserWarning, match=r"The teacher sees class 1 in \d+% of the unlabelled pool .* and 33% of the labelled"
    ):
        fit(make_trainer(), unlabeled=pool)


def test_a_selection_that_keeps_nothing_is_refused():
    class Nothing(kns.NoisyStudentTrainer):
        def select(self, pseudo_labels, settings):
            selection = super().select(pseudo_labels, settings)
            return selection.with_repeats(0 * selection.repeats, pseudo_labels.columns)

    with pytest.raises(ValueError, match=r"selection must keep at least one example\. Received: 0 of 120"):
        fit(make_trainer(trainer_class=Nothing))


def test_a_student_class_changes_the_training_step():
    class Custom(kns.NoisyStudent):
        pass

    class CustomTrainer(kns.NoisyStudentTrainer):
        student_class = Custom

    trainer = make_trainer(trainer_class=CustomTrainer)
    fit(trainer, num_rounds=0)
    assert isinstance(trainer.teacher, Custom)


def test_a_round_prints_a_line(capsys):
    fit(make_trainer(), validation_data=TEST, verbose=2)
    printed = capsys.readouterr().out
    assert "Round 0 (teacher): val_" in printed
    assert "Round 1 (student 1): kept 120 of 120 pseudo-labels, val_" in printed


def test_a_smaller_student_is_refused_before_the_pool_is_annotated_unless_allowed(tmp_path):
    def shrinking(round_index):
        return build(units=8 - round_index)

    message = (
        r"at least as large as its teacher\. Received: 283 parameters in round 1, its teacher has 323\..*allow_smaller"
    )
    with pytest.raises(ValueError, match=message):
        fit(make_trainer(shrinking, directory=str(tmp_path)))
    assert not list(tmp_path.rglob("pseudo_labels"))
    assert len(fit(make_trainer(shrinking, allow_smaller_student=True))) == 2


def test_a_teacher_no_better_than_chance_stops_the_run():
    def constant(round_index):
        network = build()
        network.layers[-1].trainable = False
        network.layers[-1].kernel.assign(np.zeros((8, NUM_CLASSES)))
        return network

    with pytest.raises(ValueError, match=r"no better than chance.*mean recall 0\.333.*Train it longer"):
        fit(make_trainer(constant))
    with pytest.raises(ValueError, match=r"no better than chance"):
        fit(make_trainer(teacher=constant(0)))


def test_a_round_that_failed_can_be_tried_again_with_other_settings(tmp_path):
    def trainer_with(threshold):
        pseudo_labeling = kns.PseudoLabeling(confidence_threshold=threshold)
        return make_trainer(pseudo_labeling=pseudo_labeling, directory=str(tmp_path))

    with pytest.raises(ValueError, match="highest confidence"):
        fit(trainer_with(0.999999))
    assert len(fit(trainer_with(0.0))) == 2


def test_labelled_data_may_be_shuffled(tmp_path):
    shuffled = as_dataset(LABELED).shuffle(30)
    for _ in range(2):
        history = fit(make_trainer(directory=str(tmp_path)), shuffled)
    assert history[1].num_kept == 120


def test_networks_that_build_when_called_are_initialised_by_the_seed_too():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.layer = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(NUM_CLASSES, "softmax")])

        def call(self, x):
            return self.layer(tf.cast(x, tf.float32) / 255)

    def run():
        trainer = make_trainer(lambda round_index: Net())
        fit(trainer, num_rounds=0)
        return trainer.model

    assert_same_weights(run(), run())


def test_the_record_holds_the_validation_of_the_weights_that_training_left():
    stopping = keras.callbacks.EarlyStopping("val_loss", mode="max", patience=1, restore_best_weights=True)
    trainer = make_trainer()
    history = fit(trainer, num_rounds=0, epochs=4, validation_data=TEST, callbacks=[stopping])
    assert history[0].metrics["val_loss"] == pytest.approx(trainer.evaluate(TEST, verbose=0)[0], rel=1e-5)


def test_promote_may_keep_the_teacher():
    class KeepTheFirst(kns.NoisyStudentTrainer):
        def promote(self, student, teacher, data, settings):
            return teacher or super().promote(student, teacher, data, settings)

    trainer = make_trainer(trainer_class=KeepTheFirst)
    history = fit(trainer)
    assert trainer.model.count_params() == history[0].num_parameters


def test_students_that_cannot_work_are_refused_before_the_first_is_trained(tmp_path):
    one = build()
    for student, error, message in (
        (lambda r: build(units=(8, 9)[r]), IndexError, "tuple index out of range"),
        (lambda r: build(units=8 - 4 * (r == 2)), ValueError, r"at least as large as its teacher.* in round 2"),
        (
            lambda r: one,
            ValueError,
            r"must build a new model for every round\. Received: the teacher itself in round 1",
        ),
    ):
        with pytest.raises(error, match=message):
            fit(make_trainer(student, directory=str(tmp_path)), num_rounds=2)
    with pytest.raises(ValueError, match="must build a new model for every round"):
        fit(make_trainer(lambda r: one, allow_smaller_student=True))
    assert not list(tmp_path.iterdir())


def test_an_online_teacher_refuses_noise_in_the_pipeline():
    arguments = {
        "noise": kns.Noise(brighten, placement="pipeline"),
        "pseudo_labeling": kns.PseudoLabeling(annotate="online"),
    }
    with pytest.raises(ValueError, match=r'must see clean examples.*Use placement="step" or annotate="stored"'):
        fit(make_trainer(**arguments))


def test_a_threshold_that_keeps_nothing_names_the_highest_confidence():
    trainer = make_trainer(pseudo_labeling=kns.PseudoLabeling(confidence_threshold=0.99999))
    with pytest.raises(
        ValueError, match=r"confidence_threshold=0\.99999\. The highest confidence among 120 .* is 0\.\d+"
    ):
        fit(trainer)


def test_a_pool_in_another_order_is_an_error(tmp_path):
    pool = as_dataset(POOL).shuffle(120, seed=0)
    with pytest.raises(ValueError, match=r"pool has changed since it was annotated.*remove any `\.shuffle\(\)`"):
        fit(make_trainer(), unlabeled=pool)


def test_teacher_outputs_that_are_not_finite_stop_the_annotation():
    def network(round_index):
        inputs = keras.Input((6, 6, 1))
        x = keras.layers.Flatten()(inputs)
        x = x / keras.ops.max(x, axis=-1, keepdims=True)
        return keras.Model(inputs, keras.layers.Dense(NUM_CLASSES, "softmax")(x))

    pool = POOL.copy()
    pool[17] = 0
    with pytest.raises(
        ValueError, match=r"outputs must be finite.*1 examples of the unlabelled pool, the first at row 17"
    ):
        fit(make_trainer(network), unlabeled=pool)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_finished_rounds(tmp_path):
    trainer = kns.NoisyStudentTrainer(build, kns.Classification(num_classes=NUM_CLASSES), directory=str(tmp_path))
    trainer.compile(lambda r: keras.optimizers.SGD(0.1 if r == 0 else 1e38))
    message = r"gradients must be finite\. .* at epoch 1, step \d+\..* rows \[\d.*\] of the labelled data and \[\d"
    with pytest.raises(ValueError, match=message):
        fit(trainer, steps_per_epoch=20)
    assert (tmp_path / "round_00" / "record.json").exists()
    assert not (tmp_path / "round_01" / "record.json").exists()


@pytest.mark.parametrize(
    ("labeled", "unlabeled", "message"),
    [
        (as_dataset(LABELED).batch(5), POOL, r"labels of `labeled` must be one class id per example.*\.unbatch\(\)"),
        (LABELED, as_dataset(POOL).batch(5), r"`unlabeled` is batched, call `\.unbatch\(\)`"),
        (LABELED, as_dataset(TEST), r"`unlabeled` has labels, drop them"),
        (
            LABELED,
            POOL[:, :5],
            r"same structure, shape and dtype as the labelled ones: .*\(6, 6, 1\).*Received: .*\(5, 6, 1\)",
        ),
        (LABELED, POOL.astype("float32"), r"same structure, shape and dtype.*uint8.*Received: .*float32"),
        ((LABELED[0], LABELED[1] + 1), POOL, r"Labels must be in \[0, 3\).*Received: \[3\] in 10 of 30 examples"),
        ((LABELED[0], LABELED[1].astype("float32")), POOL, r"integer class ids\. Received: dtype float32"),
        ((LABELED[0], LABELED[1] % 2), POOL, r"Every class needs a labelled example.*Missing: \[2\]"),
        ((LABELED[0][:0], LABELED[1][:0]), POOL, r"`labeled` must hold at least one example"),
        (LABELED, POOL[:0], r"`unlabeled` must hold at least one example"),
        (
            LABELED,
            as_dataset(POOL).take(0),
            r"`unlabeled` must hold at least one example\. Received: an empty data set",
        ),
        (LABELED, None, r"`unlabeled` is needed to train students\. Received: unlabeled=None"),
        (LABELED[0], POOL, r"`labeled` must hold examples \(x, y\)"),
        ("data", POOL, r"`labeled` must be a tf\.data\.Dataset .* Received: str"),
    ],
)
def test_bad_data_is_refused_before_anything_is_trained(labeled, unlabeled, message):
    with pytest.raises(ValueError, match=message):
        fit(make_trainer(), labeled, unlabeled)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"batch_size": 31},
            r"`batch_size` must be at most the number of labelled examples, 30\. Received: batch_size=31",
        ),
        ({"batch_size": 2.5}, r"`batch_size` must be a positive integer\. Received: batch_size=2\.5 in round 0"),
        ({"epochs": 0}, r"`epochs` must be a positive integer\. Received: epochs=0 in round 0"),
        ({"verbose": "loud"}, r"`verbose` must be 0, 1, 2 or \"auto\"\. Received: verbose='loud'"),
        ({"callbacks": "stop"}, r"`callbacks` must be a list of Keras callbacks, .* Received: str"),
        ({"num_rounds": -1}, r"`num_rounds` must be an integer from 0 to 1000\. Received: num_rounds=-1"),
        ({"batch_size": lambda: 3}, r"`batch_size` given as a function must take the round index as its one argument"),
        ({"validation_data": (TEST[0][:, :5], TEST[1])}, r"`validation_data` must hold examples of the same structure"),
    ],
)
def test_bad_arguments_of_fit_rounds_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit(make_trainer(), **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"student": 5}, r"`student` must be a keras\.Model, a function of the round index.* Received: int"),
        ({"student": lambda: build()}, r"`student` given as a function must take the round index"),
        ({"student": lambda r: build(activation=None)}, r"declared to return probabilities.*from_logits=True"),
        (
            {"task": kns.Classification(num_classes=NUM_CLASSES, from_logits=True)},
            r"declared to return logits, but its outputs are probabilities.*from_logits=False",
        ),
        ({"noise": 0.5}, r"`noise` must be a Noise, or a function .* Received: float in round 0"),
        ({"pseudo_labeling": "hard"}, r"`pseudo_labeling` must be a PseudoLabeling.* Received: str in round 0"),
        (
            {"unlabeled_ratio": -1},
            r"`unlabeled_ratio` must be a positive number\. Received: unlabeled_ratio=-1 in round 0",
        ),
        ({"unlabeled_ratio": 0.01}, r"at least one unlabelled example.*unlabeled_ratio=0\.01, batch_size=10"),
        ({"noise": kns.Noise(survival_probability=0.8)}, r"no stochastic depth layer"),
        ({"teacher": "model"}, r"`teacher` must be a trained keras\.Model\. Received: str"),
        ({"task": "classification"}, r"`task` must be a Task.* Received: 'classification'"),
        ({"task": kns.Classification(num_classes=4)}, r"Every class needs a labelled example.*Missing: \[3\]"),
        ({"compile_arguments": {"steps_per_execution": 3}}, r"multiple of `steps_per_execution`"),
        (
            {"compile_arguments": {"promotion": "always"}},
            r"`promotion` must be a Promotion\. Received: .*'always'",
        ),
        ({"compile_arguments": {"run_eagerly": 1}}, r"`run_eagerly` must be True or False\. Received: run_eagerly=1"),
        ({"directory": 3}, r"`directory` must be a path, or None\. Received: directory=3"),
        ({"directory": ""}, r"`directory` must be a path, or None\. Received: directory=''"),
    ],
)
def test_bad_arguments_of_the_trainer_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit(make_trainer(**arguments))


def test_a_model_with_another_number_of_outputs_is_refused():
    network = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(5, "softmax")])
    with pytest.raises(ValueError, match=r"shape \(batch, 3\) for num_classes=3\. Received: shape \(\d+, 5\)"):
        fit(make_trainer(network))


def test_methods_called_too_early_say_what_to_call_first():
    trainer = kns.NoisyStudentTrainer(build, kns.Classification(num_classes=NUM_CLASSES))
    with pytest.raises(ValueError, match=r"not compiled\. Call `compile\(optimizer=\.\.\.\)` before `fit_rounds`"):
        fit(trainer)
    for method in (
        lambda: trainer.predict(TEST[0]),
        lambda: trainer.evaluate(TEST),
        lambda: trainer.export("x"),
        lambda: trainer.save("x.keras"),
    ):
        with pytest.raises(ValueError, match=r"no trained model yet\. Call `fit_rounds`"):
            method()
