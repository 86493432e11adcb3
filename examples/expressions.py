"""Noisy Student Training on video: expressions on the faces of people that the teacher has never seen.

    pip install -e ".[examples]" && python examples/expressions.py --data-dir DATA

Trains a teacher on 16 labelled clips (two people, one clip of each of 8 expressions), then two students on those and
the 240 unlabelled clips of six other people, and tests on the 120 clips of three more. Beside it: the same network
trained on the labelled clips alone with the same noise, for as many steps as teacher and students together (the
baseline); and students whose pool also holds clips of people who do other things, which the confidence threshold is to
leave out.

    --data-dir DATA    a folder with labeled/ and unlabeled/ (people who do other things), both of video files, and
                       clips.csv, whose columns are path, label and subject
    --seeds N          seeds 0..N-1: other people, initialisation, order and noise (default 1)
    --json PATH        write the figures of every seed; the seconds are those of this start
    --directory RUN    keep the runs there; the same command goes on where it was stopped
    --predict FILE     then label a video with the last student of seed 0, and draw its attention to attention.png
    --validate         test on two of the six unlabelled people in place of the three, to choose settings by; since
                       seeds rotate the people, those are test people of other seeds
    --quick            a few steps, to see that it runs

A clip has one pseudo-label: the mean of what the teacher says of three samplings of its frames. Noise is drawn once for
a clip, and is the same on all of its frames.

The network sees a frame in grey, with those before and after it as its other two colours: most classes are movements.

Five seeds: teacher 76.0%, baseline 79.5%, last student 85.8% (its gain over the baseline has a spread of 4.4 points);
12 minutes a seed on two CPU cores, one of which did other work. The settings are not those of a paper: they were chosen
with `--validate`.
"""

import argparse
import dataclasses
import functools
import json
import math
import pathlib
import statistics
import tempfile
import time

import keras
import numpy as np
from matplotlib import pyplot

import keras_noisy_student as kns

NUM_FRAMES, NUM_VIEWS = 8, 3
"""The network sees 8 frames of a clip, of which 24 are read."""
READING = {"num_frames": NUM_FRAMES * NUM_VIEWS, "frame_size": (32, 32)}
BATCH_SIZE = 4
UNLABELED_RATIO = 3
SUPERVISED_BATCH_SIZE = BATCH_SIZE * (1 + UNLABELED_RATIO)
"""As large as a joint batch, so that a step of the teacher costs the same as one of a student."""
LEARNING_RATE = 3e-3
"""The highest."""
NUM_LABELED_PEOPLE, NUM_TEST_PEOPLE, NUM_VALIDATION_PEOPLE = 2, 3, 2
SUBTLE_OPS = ["Brightness", "Contrast", "Sharpness", "TranslateX", "TranslateY", "ShearX", "ShearY", "Rotate"]
"""They leave an expression what it is."""


@dataclasses.dataclass(frozen=True)
class People:
    """The clips of one seed; no person is in two parts."""

    labeled: kns.video.ClipFolder
    unlabeled: kns.video.ClipFolder
    test: kns.video.ClipFolder


def split(people, seed, *, validate):
    """Seeds rotate the people, and draw which clips of the first two are labelled."""
    subjects = people.columns["subject"]
    names = np.roll(np.unique(subjects), -NUM_LABELED_PEOPLE * seed)
    labeled, unlabeled, test = np.split(names, [NUM_LABELED_PEOPLE, len(names) - NUM_TEST_PEOPLE])
    if validate:
        test, unlabeled = np.split(unlabeled, [NUM_VALIDATION_PEOPLE])
    rng = np.random.default_rng(seed)
    one_of_each = [
        rng.choice(np.flatnonzero((subjects == name) & (people.labels == class_id)))
        for name in labeled
        for class_id in range(len(people.class_names))
    ]
    # Of other data they may be fewer than a supervised batch: each comes in it several times, with noise of its own.
    repeats = math.ceil(SUPERVISED_BATCH_SIZE / len(one_of_each))
    return People(
        people.subset(repeats * one_of_each),
        people.subset(np.isin(subjects, unlabeled)),
        people.subset(np.isin(subjects, test)),
    )


def make_noise():
    """Other frames of the clip, flips, and subtle ops on all of them alike; dropout and stochastic depth."""
    sample = kns.SegmentSampling(NUM_FRAMES)
    augment = kns.PerClip(kns.Compose([kns.RandomFlip(), kns.RandAugment(2, magnitude=5, ops=SUBTLE_OPS)]))

    def augmentation(clips, noise_seed):
        return augment(sample(clips, noise_seed=noise_seed), noise_seed=noise_seed)

    return kns.Noise(augmentation, dropout_rate=0.5, survival_probability=0.8)


def make_pseudo_labeling():
    """Sharpened soft labels of three samplings of a clip, as many of each expression."""
    return kns.PseudoLabeling(
        temperature=0.5,
        confidence_threshold=0.8,
        examples_per_class="auto",
        averaging=kns.TeacherAveraging(views=kns.video.temporal_views(NUM_FRAMES, NUM_VIEWS)),
    )


def make_optimizer(num_steps):
    """AdamW: 5% of the steps to warm up, then a cosine to 0."""
    warm_up = max(1, num_steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, num_steps - warm_up, warmup_target=LEARNING_RATE, warmup_steps=warm_up
    )
    return keras.optimizers.AdamW(schedule, weight_decay=1e-3)


@dataclasses.dataclass(frozen=True)
class Budget:
    """How long teacher and students are trained."""

    steps_per_epoch: int
    teacher_epochs: int
    student_epochs: int
    num_rounds: int

    @property
    def epochs_in_all(self):
        """Of the teacher and its students together."""
        return self.teacher_epochs + self.num_rounds * self.student_epochs


FULL = Budget(steps_per_epoch=100, teacher_epochs=12, student_epochs=15, num_rounds=2)
QUICK = Budget(steps_per_epoch=5, teacher_epochs=12, student_epochs=1, num_rounds=1)


class TrainerOfTwoPools(kns.NoisyStudentTrainer):
    """Records which share of each of two pools the confidence threshold keeps."""

    def __init__(self, *arguments, size_of_first, **settings):
        super().__init__(*arguments, **settings)
        self._size_of_first = size_of_first

    def select(self, pseudo_labels, settings):
        """What is selected as always; keeps the shares for the record."""
        confidences = np.concatenate([block["score"] for block in pseudo_labels.columns])
        is_kept = confidences > settings.pseudo_labeling.confidence_threshold
        self._shares = {
            "kept_in_domain": float(is_kept[: self._size_of_first].mean()),
            "kept_out_of_domain": float(is_kept[self._size_of_first :].mean()),
        }
        return super().select(pseudo_labels, settings)

    def record(self, student, epochs, selection, data, settings):
        """What is recorded as always, and the shares."""
        record = super().record(student, epochs, selection, data, settings)
        return dataclasses.replace(record, metrics={**record.metrics, **self._shares})


class Runs:
    """The runs of one seed, each kept in a directory."""

    def __init__(self, people, *, seed, budget, directory):
        self.people = people
        self._seed = seed
        self._budget = budget
        self._directory = directory

    @functools.cached_property
    def teacher(self):
        """Trained on the labelled clips."""
        return self._supervised("teacher", self._budget.teacher_epochs)

    @functools.cached_property
    def baseline(self):
        """As many steps as teacher and students together, on the labelled clips alone."""
        return self._supervised("baseline", self._budget.epochs_in_all)

    @functools.cached_property
    def students(self):
        """The last student."""
        trainer = self._trainer("students", kns.NoisyStudentTrainer, teacher=self.teacher.model)
        self._fit_students(trainer, self.people.unlabeled.clips)
        return trainer

    def students_of_two_pools(self, other_people):
        """The last student of a pool that holds the people who do other things too, and the record of the first."""
        in_domain = self.people.unlabeled.clips
        trainer = self._trainer(
            "students_of_two_pools", TrainerOfTwoPools, teacher=self.teacher.model, size_of_first=len(in_domain)
        )
        history = self._fit_students(trainer, [in_domain, other_people.clips])
        return trainer, history[1]

    def _trainer(self, name, trainer_class, **settings):
        class_names = self.people.labeled.class_names
        return trainer_class(
            kns.video.attention_network(
                num_classes=len(class_names),
                num_frames=NUM_FRAMES,
                frame_size=READING["frame_size"],
                channels="stacked_grayscale",
            ),
            kns.Classification(len(class_names), class_names=class_names),
            make_noise(),
            make_pseudo_labeling(),
            unlabeled_ratio=UNLABELED_RATIO,
            directory=self._directory / name,
            seed=self._seed,
            **settings,
        )

    def _supervised(self, name, epochs):
        trainer = self._trainer(name, kns.NoisyStudentTrainer)
        steps_per_epoch = self._budget.steps_per_epoch
        trainer.compile(make_optimizer(epochs * steps_per_epoch))
        trainer.fit_rounds(
            self._labeled,
            num_rounds=0,
            batch_size=SUPERVISED_BATCH_SIZE,
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            verbose=2,
        )
        return trainer

    def _fit_students(self, trainer, unlabeled):
        budget = self._budget
        trainer.compile(make_optimizer(budget.student_epochs * budget.steps_per_epoch))
        return trainer.fit_rounds(
            self._labeled,
            unlabeled,
            num_rounds=budget.num_rounds,
            batch_size=BATCH_SIZE,
            epochs=budget.student_epochs,
            steps_per_epoch=budget.steps_per_epoch,
            verbose=2,
        )

    @property
    def _labeled(self):
        return self.people.labeled.clips, self.people.labeled.labels


def compare(runs, other_people):
    """The figures of one seed."""
    started = time.monotonic()
    trainers = {"teacher": runs.teacher, "baseline": runs.baseline, "student": runs.students}
    trainers["student_of_two_pools"], record = runs.students_of_two_pools(other_people)
    reports = {name: report_on(trainer, runs.people.test) for name, trainer in trainers.items()}
    print(f"\nThe last student on people that it has never seen:\n{reports['student']}\n")
    return {
        **{name: report.accuracy for name, report in reports.items()},
        **{f"{name}_macro_f1": report.macro_f1 for name, report in reports.items()},
        "kept_in_domain": record.metrics["kept_in_domain"],
        "kept_out_of_domain": record.metrics["kept_out_of_domain"],
        "seconds_per_seed": time.monotonic() - started,
    }


def report_on(trainer, test):
    """Accuracy, recalls and macro F1, of all people and of each."""
    probabilities = trainer.predict(test.clips, verbose=0)
    return kns.evaluation.class_report(
        test.labels, probabilities, class_names=test.class_names, groups=test.columns["subject"]
    )


def print_table(figures):
    rows = {name: values for name, values in figures.items() if name != "seconds_per_seed"}
    for one, other in [("student", "teacher"), ("student", "baseline"), ("student_of_two_pools", "student")]:
        pairs = zip(figures[one], figures[other], strict=True)
        rows[f"{one} less {other}"] = [value - reference for value, reference in pairs]
    print(f"\n{'in %':<38}mean     sd   by seed")
    for name, values in rows.items():
        percent = [100 * value for value in values]
        spread = statistics.stdev(percent) if len(percent) > 1 else 0.0
        by_seed = " ".join(f"{value:5.1f}" for value in percent)
        print(f"{name.replace('_', ' '):<36}{statistics.mean(percent):6.1f} {spread:6.1f}   {by_seed}")
    print(f"{statistics.mean(figures['seconds_per_seed']):.0f} s a seed")


def predict(clip, name, trainer, class_names):
    """Labels a clip, and draws the frames that the network looks at with the attention to each."""
    probabilities = trainer.predict(clip[None], verbose=0)[0]
    for class_id in np.argsort(-probabilities):
        print(f"{class_names[class_id]:<20}{probabilities[class_id]:6.1%}")
    (weights,), places = kns.video.attention_weights(trainer.model, clip[None])
    figure = draw_attention(clip[places], weights)
    figure.suptitle(f"{name}: {class_names[probabilities.argmax()]} ({probabilities.max():.0%})")
    figure.savefig("attention.png")
    print("Wrote attention.png.")


def draw_attention(frames, weights):
    """The frames in a row, each above a bar that is as high as its share of the attention."""
    figure, (images, bars) = pyplot.subplots(
        2, len(frames), figsize=(0.9 * len(frames), 2.6), sharey="row", layout="constrained"
    )
    for frame, weight, image, bar in zip(frames, weights, images, bars, strict=True):
        image.imshow(frame)
        image.axis("off")
        bar.bar(0, weight)
        bar.set_xticks([0], [f"{weight:.0%}"])
        bar.spines[["top", "right"]].set_visible(False)
    bars[0].set_ylabel("attention")
    return figure


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", metavar="DATA", type=pathlib.Path, required=True)
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    parser.add_argument("--json", metavar="PATH", type=pathlib.Path)
    parser.add_argument("--directory", metavar="RUN", type=pathlib.Path)
    parser.add_argument("--predict", metavar="FILE", type=pathlib.Path)
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args(arguments)
    if arguments.seeds < 1:
        parser.error(f"--seeds must be 1 or more. Received: {arguments.seeds}.")
    clip = kns.video.read_clip(arguments.predict, **READING) if arguments.predict else None
    directory = arguments.directory or pathlib.Path(tempfile.mkdtemp(prefix="expressions_"))

    people = kns.video.clips_from_folder(
        arguments.data_dir / "labeled", labels=arguments.data_dir / "clips.csv", **READING
    )
    other_people = kns.video.clips_from_folder(arguments.data_dir / "unlabeled", **READING)
    of_seeds = []
    for seed in range(arguments.seeds):
        runs = Runs(
            split(people, seed, validate=arguments.validate),
            seed=seed,
            budget=QUICK if arguments.quick else FULL,
            directory=directory / f"seed_{seed}",
        )
        of_seeds.append(compare(runs, other_people))
        figures = {name: [found[name] for found in of_seeds] for name in of_seeds[0]}
        if arguments.json:
            arguments.json.write_text(json.dumps(figures, indent=1))
        if seed == 0 and clip is not None:
            predict(clip, arguments.predict.name, runs.students, people.class_names)
    print_table(figures)


if __name__ == "__main__":
    main()
