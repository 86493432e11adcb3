"""Noisy Student Training on speech: connected digits, of which 60 recordings are labelled.

    pip install -e ".[examples]" && python examples/speech.py --data-dir DATA

The Free Spoken Digit Dataset has 50 recordings of each digit by each of 6 speakers. Utterances are 2 to 5 recordings of
a speaker, joined with short silences. The test is on the recordings 0 to 4 of every digit and speaker, the data set's
own test split. Of the others one recording each (60) is labelled, a second one each is held out to fit the score of the
filter to, and the rest is the unlabelled pool. A teacher is trained to saturation, transcribes the pool, and students
learn from both, with SpecAugment. Beside them: the same network trained on the labelled utterances alone with the same
noise, for as many steps as teacher and students together (the baseline); and students without a filter.

    --data-dir DATA       of TensorFlow Datasets, downloaded there if it is missing
    --seeds N             seeds 0..N-1: recordings, initialisation, order and noise (default 1)
    --json PATH           write the figures of every seed; the seconds are those of this start
    --directory RUN       keep the runs there; the same command goes on where it was stopped
    --transcribe FILE     then transcribe a WAV file with the last student of seed 0; draws its features to features.png
    --export PATH         then write a SavedModel of that student, from waveform to text
    --dataset librispeech the same on LibriSpeech: train_clean100 labelled, train_clean360 unlabelled, in characters
    --processes N         runs at a time, each on one core (default 2; 1 with a GPU, all of which it uses)
    --validate            report on the held-out recordings in place of the test recordings, to choose settings by
    --quick               a few steps, to see that it runs; without the table of a speaker never heard

Word error rates are of the whole test set, and the mean of two initialisations of each seed. A last table has a speaker
who is in no other part. The settings are not those of a paper; they were chosen on the held-out recordings.
docs/results.md has the figures of three seeds, 8 to 10 minutes each on two cores.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import json
import math
import multiprocessing
import pathlib
import statistics
import tempfile
import time

import keras
import speech_data
import tensorflow as tf
from matplotlib import pyplot

import keras_noisy_student as kns

BATCH_SIZE = 16
UNLABELED_RATIO = 1
LEARNING_RATES = 3e-3, 1.5e-3
"""The highest, of the teacher and of the students."""


@dataclasses.dataclass(frozen=True)
class Budget:
    """How large and how long teacher and students are trained, and how often all of it."""

    width: int
    teacher_steps: int
    student_steps: int
    num_rounds: int
    num_initializations: int

    @property
    def steps_in_all(self):
        """Of the teacher and its students together."""
        return self.teacher_steps + self.num_rounds * self.student_steps


BUDGETS = {
    "spoken_digit": Budget(width=48, teacher_steps=1000, student_steps=750, num_rounds=2, num_initializations=2),
    "librispeech": Budget(width=512, teacher_steps=50_000, student_steps=100_000, num_rounds=3, num_initializations=1),
}
"""That of LibriSpeech is for a GPU, and was never run."""
QUICK = Budget(width=32, teacher_steps=300, student_steps=5, num_rounds=1, num_initializations=1)


def make_noise():
    """SpecAugment, dropout and stochastic depth."""
    masks = kns.SpecAugment(
        frequency_masks=kns.FeatureMasks(2, max_fraction=0.2), time_masks=kns.FeatureMasks(5, max_fraction=0.05)
    )
    return kns.Noise(masks, dropout_rate=0.2, survival_probability=0.9)


def make_optimizer(num_steps, learning_rate):
    """AdamW: 10% of the steps to warm up, then a cosine to 0."""
    warm_up = max(1, num_steps // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, num_steps - warm_up, warmup_target=learning_rate, warmup_steps=warm_up
    )
    return keras.optimizers.AdamW(schedule, weight_decay=1e-3, global_clipnorm=1.0)


class RoundsTrainer(kns.NoisyStudentTrainer):
    """A trainer that tests the student of every round.

    Attributes:
        test: pairs of features and transcripts.
        word_error_rates: by round.
    """

    def __init__(self, *arguments, test, **settings):
        super().__init__(*arguments, **settings)
        self.test = test
        self.word_error_rates = []

    def promote(self, student, *arguments):
        """Promotes as always."""
        rates = student.evaluate(self.test.batch(256), return_dict=True, verbose=0)
        self.word_error_rates.append(rates["wer"])
        return super().promote(student, *arguments)


class Runs:
    """The runs of one initialisation, each kept in a directory."""

    def __init__(self, corpus, *, seed, budget, directory):
        self._corpus = corpus
        self._seed = seed
        self._budget = budget
        self._directory = directory

    def teacher(self):
        """Trained on the labelled utterances."""
        return self._supervised("teacher", self._budget.teacher_steps)

    def baseline(self):
        """As many steps as teacher and students together, on the labelled utterances alone."""
        return self._supervised("baseline", self._budget.steps_in_all)

    def students(self, teacher, name, labeling):
        """Of all rounds."""
        steps, num_rounds = self._budget.student_steps, self._budget.num_rounds
        trainer = self._trainer(name, teacher=teacher.model, pseudo_labeling=labeling)
        return self._fit(trainer, steps, LEARNING_RATES[1], batch_size=BATCH_SIZE, num_rounds=num_rounds)

    def _supervised(self, name, steps):
        # As many utterances as in a joint batch.
        batch_size = BATCH_SIZE * (1 + UNLABELED_RATIO)
        return self._fit(self._trainer(name), steps, LEARNING_RATES[0], batch_size=batch_size, num_rounds=0)

    def _trainer(self, name, **settings):
        corpus = self._corpus
        network = kns.speech.ctc_network(
            len(corpus.task.vocabulary),
            num_bins=corpus.front_end.num_mel_bins,
            width=self._budget.width,
            subsampling=corpus.subsampling,
        )
        return RoundsTrainer(
            kns.students.FromTeacher(network),
            corpus.task,
            make_noise(),
            unlabeled_ratio=UNLABELED_RATIO,
            directory=self._directory / name,
            seed=self._seed,
            test=corpus.test,
            **settings,
        )

    def _fit(self, trainer, steps, learning_rate, *, batch_size, num_rounds):
        corpus, num_epochs = self._corpus, math.gcd(steps, 5)
        # XLA takes longer than these steps do without it on a CPU.
        trainer.compile(make_optimizer(steps, learning_rate), jit_compile=bool(tf.config.list_physical_devices("GPU")))
        trainer.fit_rounds(
            corpus.labeled,
            corpus.unlabeled,
            num_rounds=num_rounds,
            batch_size=batch_size,
            epochs=num_epochs,
            steps_per_epoch=steps // num_epochs,
            validation_data=corpus.held_out,
            verbose=0,
        )
        return trainer


def filtered(round_index):
    """Gradational filtering: each round keeps more than the one before."""
    return kns.TranscriptLabeling(score_cutoff=[0.0, -1.0, -2.0][min(round_index, 3) - 1])


def unfiltered(round_index):
    """All transcripts with a digit."""
    del round_index
    return kns.TranscriptLabeling()


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What is compared with the same initialisation, order and noise.

    Args:
        dataset: name of the data set.
        data_dir: of TensorFlow Datasets.
        validate: whether to test on the held-out recordings.
        seed: of the recordings.
        initialization: index; all initialisations of a seed have the same recordings.
        is_of_unheard: whether the test is on a speaker who is in no other part.
        budget: how long is trained.
        directory: of all runs.
    """

    dataset: str
    data_dir: str
    validate: bool
    seed: int
    initialization: int
    is_of_unheard: bool
    budget: Budget
    directory: pathlib.Path

    def runs(self):
        """Its corpus, ready to be trained on."""
        corpus = speech_data.corpus(
            self.dataset,
            self.data_dir,
            seed=self.seed,
            validate=self.validate,
            unheard_speaker=self.seed % speech_data.NUM_SPEAKERS if self.is_of_unheard else None,
        )
        name = f"seed_{self.seed}_{'unheard' if self.is_of_unheard else self.initialization}"
        seed = self.seed + 1000 * self.initialization
        return Runs(corpus, seed=seed, budget=self.budget, directory=self.directory / name)

    def of_students(self):
        """The word error rates of the teacher and of its students by round; with all recordings, without filter too."""
        started = time.monotonic()
        runs = self.runs()
        teacher = runs.teacher()
        rates = runs.students(teacher, "students", filtered).word_error_rates
        found = {
            "teacher_wer": teacher.word_error_rates[-1],
            **{f"student_{index}_wer": rate for index, rate in enumerate(rates) if index},
            "student_wer": rates[-1],
        }
        if not self.is_of_unheard:
            found["unfiltered_student_wer"] = runs.students(teacher, "unfiltered", unfiltered).word_error_rates[-1]
        return self._told(found, started)

    def of_baseline(self):
        """The word error rate of the baseline."""
        started = time.monotonic()
        return self._told({"baseline_wer": self.runs().baseline().word_error_rates[-1]}, started)

    def _told(self, rates, started):
        of_whom = "unheard speaker" if self.is_of_unheard else f"initialisation {self.initialization}"
        listed = ", ".join(f"{name.removesuffix('_wer')} {100 * rate:.1f}" for name, rate in rates.items())
        print(f"seed {self.seed}, {of_whom}: {listed} [{time.monotonic() - started:.0f} s]", flush=True)
        return rates


def compare(comparisons, pool):
    """The word error rates of each comparison. Training runs in the pool, or here where there is none."""
    functions = [each.of_students for each in comparisons] + [each.of_baseline for each in comparisons]
    if pool is None:
        found = [function() for function in functions]
    else:
        found = [future.result() for future in [pool.submit(function) for function in functions]]
    of_students, of_baselines = found[: len(comparisons)], found[len(comparisons) :]
    return [students | baseline for students, baseline in zip(of_students, of_baselines, strict=True)]


def use_one_core():
    """Keeps the runs that are made at a time from waiting for each other."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def processes(number):
    """A pool of so many processes; none for one, which this one is."""
    if number == 1:
        return contextlib.nullcontext()
    # TensorFlow cannot be forked.
    context = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(number, mp_context=context, initializer=use_one_core)


def columns(of_seeds):
    """The figures of all seeds as a list by name."""
    return {name: [figures[name] for figures in of_seeds] for name in of_seeds[0]} if of_seeds else {}


def means(of_runs):
    """The mean of each figure over runs."""
    return {name: statistics.mean(values) for name, values in columns(of_runs).items()}


def print_table(title, figures):
    print(f"\n{title:<38}mean     sd   by seed")
    rows = {name.removesuffix("_wer"): values for name, values in figures.items() if name.endswith("_wer")}
    for other in [name for name in ("teacher", "baseline", "unfiltered_student") if name in rows]:
        pairs = zip(rows["student"], rows[other], strict=True)
        rows[f"student less {other}"] = [rate - reference for rate, reference in pairs]
    for name, values in rows.items():
        percent = [100 * value for value in values]
        spread = statistics.stdev(percent) if len(percent) > 1 else 0.0
        by_seed = " ".join(f"{value:5.1f}" for value in percent)
        print(f"{name.replace('_', ' '):<36}{statistics.mean(percent):6.1f} {spread:6.1f}   {by_seed}")


def show(trainer, front_end, *, waveform, export):
    """Transcribes a waveform and exports the last student, where asked to."""
    if waveform is not None:
        transcribe(waveform, trainer, front_end)
    if export:
        trainer.export(str(export), front_end=front_end)
        print(f"Wrote {export}.")


def transcribe(waveform, trainer, front_end):
    """Prints what is heard in a waveform, and draws its features without and with SpecAugment."""
    features = front_end(kns.speech.pad_waveforms([waveform]))
    served = trainer.task.serve(trainer.model(features, training=False))
    print(f"Heard: {served['text'].numpy()[0].decode()!r} (log score {served['log_score'].numpy()[0]:.1f})")
    noised = make_noise().augment(features, tf.constant([0], tf.int64))
    figure, axes = pyplot.subplots(2, 1, figsize=(9, 5), sharex=True, layout="constrained")
    for axis, shown, title in zip(axes, (features, noised), ("log-mel features", "with SpecAugment"), strict=True):
        axis.imshow(shown["features"][0].numpy().T, origin="lower", aspect="auto", cmap="magma")
        axis.set(title=title, ylabel="mel bin")
    axes[1].set_xlabel(f"frame, one every {1000 * front_end.frame_step:g} ms")
    figure.savefig("features.png")
    print("Wrote features.png.")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", metavar="DATA", required=True)
    parser.add_argument("--dataset", choices=["spoken_digit", "librispeech"], default="spoken_digit")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    parser.add_argument("--json", metavar="PATH", type=pathlib.Path)
    parser.add_argument("--directory", metavar="RUN", type=pathlib.Path)
    parser.add_argument("--processes", metavar="N", type=int)
    parser.add_argument("--transcribe", metavar="FILE", type=pathlib.Path)
    parser.add_argument("--export", metavar="PATH", type=pathlib.Path)
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args(arguments)
    if arguments.seeds < 1:
        parser.error(f"--seeds must be 1 or more. Received: {arguments.seeds}.")
    budget = QUICK if arguments.quick else BUDGETS[arguments.dataset]
    directory = arguments.directory or pathlib.Path(tempfile.mkdtemp(prefix="speech_"))
    waveform = None
    if arguments.transcribe:
        sample_rate = speech_data.SAMPLE_RATES[arguments.dataset]
        waveform = kns.speech.read_wav(arguments.transcribe, sample_rate=sample_rate)

    def comparison(seed, initialization, *, is_of_unheard=False):
        return Comparison(
            dataset=arguments.dataset,
            data_dir=arguments.data_dir,
            validate=arguments.validate,
            seed=seed,
            initialization=initialization,
            is_of_unheard=is_of_unheard,
            budget=budget,
            directory=directory,
        )

    of_seeds, of_unheard = [], []
    with processes(arguments.processes or (1 if tf.config.list_physical_devices("GPU") else 2)) as pool:
        for seed in range(arguments.seeds):
            started = time.monotonic()
            comparisons = [comparison(seed, initialization) for initialization in range(budget.num_initializations)]
            if arguments.dataset == "spoken_digit" and not arguments.quick:
                comparisons.append(comparison(seed, 0, is_of_unheard=True))
            rates = compare(comparisons, pool)
            of_unheard += rates[budget.num_initializations :]
            of_runs = rates[: budget.num_initializations]
            of_seeds.append({**means(of_runs), "seconds_per_seed": time.monotonic() - started})
            figures = columns(of_seeds)
            if arguments.json:
                content = {**figures, **{f"unheard_{name}": values for name, values in columns(of_unheard).items()}}
                arguments.json.write_text(json.dumps(content, indent=1) + "\n")
    if waveform is not None or arguments.export:
        runs = comparison(0, 0).runs()
        student = runs.students(runs.teacher(), "students", filtered)
        show(student, speech_data.front_end(arguments.dataset), waveform=waveform, export=arguments.export)
    print_table("word error rate in %", figures)
    print(f"{statistics.mean(figures['seconds_per_seed']):.0f} s a seed")
    if of_unheard:
        print_table("the same, of a speaker never heard", columns(of_unheard))


if __name__ == "__main__":
    main()
