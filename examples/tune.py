"""Tunes the magnitude of RandAugment, the confidence threshold and the unlabelled ratio with KerasTuner.

    pip install -e ".[examples]" && python examples/tune.py --trials 10

Every trial is a run of Noisy Student Training on scikit-learn's digits: a teacher of 50 labels and one student. A trial
is judged by 200 labelled images that nobody trains on; one that cannot work (a threshold that keeps nothing) counts as
failed, and the search goes on. The test images are looked at once, at the end, with the best settings. Start it again
with the same directory to go on after a stop: finished trials are not repeated, and the one that was stopped goes on at
its last finished epoch.

    --trials N         trials in all (default 10)
    --directory DIR    where the search and its runs are kept (default: tune_digits)
    --quick            a few steps, to see that it runs

The settings are not the paper's; the network and its optimizer are those of `examples/digits.py`.
"""

import argparse
import dataclasses
import os

import keras_tuner
import numpy as np
from digits import build_network, make_optimizer
from sklearn.datasets import load_digits

import keras_noisy_student as kns

NUM_LABELED, NUM_VALIDATION, NUM_TEST = 50, 200, 397


@dataclasses.dataclass(frozen=True)
class Digits:
    """Labelled, validation and test images with labels, and the unlabelled pool."""

    labeled: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    unlabeled: np.ndarray


def load():
    """The digits as uint8 images `(8, 8, 1)`, split at random."""
    images, labels = load_digits(return_X_y=True)
    images = np.round(images * (255 / 16)).astype("uint8").reshape(-1, 8, 8, 1)
    order = np.random.default_rng(0).permutation(len(images))
    places = np.split(order, np.cumsum([NUM_LABELED, NUM_VALIDATION, NUM_TEST]))
    labeled, validation, test = ((images[part], labels[part]) for part in places[:3])
    return Digits(labeled, validation, test, unlabeled=images[places[3]])


class NoisyStudentSearch(keras_tuner.HyperModel):
    """What is tuned: a trial trains a teacher and a student with the settings that it is given."""

    def __init__(self, digits, directory, *, steps):
        super().__init__()
        self.digits = digits
        self.directory = directory
        self.steps = steps

    def build(self, hp):
        """The network, of which each round trains a new copy, and the search space."""
        hp.Float("magnitude", 0.5, 4.5, step=0.5)
        hp.Float("confidence_threshold", 0.0, 0.8, step=0.2)
        hp.Choice("unlabeled_ratio", [1, 3, 7])
        return build_network(24)

    def fit(self, hp, model, **kwargs):
        """Runs a trial; KerasTuner's callbacks are left out, since the run directory keeps every epoch."""
        _, history = self.train(hp, model)
        return {"val_accuracy": history[-1].metrics["val_accuracy"]}

    def train(self, hp, model):
        """The trainer and its history; of a finished trial, as they were kept."""
        settings = {name: hp.get(name) for name in ("magnitude", "confidence_threshold", "unlabeled_ratio")}
        trainer = kns.NoisyStudentTrainer(
            student=model,
            task=kns.Classification(num_classes=10),
            noise=kns.Noise(
                kns.RandAugment(num_ops=1, magnitude=settings["magnitude"]), dropout_rate=0.5, survival_probability=0.8
            ),
            pseudo_labeling=kns.PseudoLabeling(confidence_threshold=settings["confidence_threshold"]),
            unlabeled_ratio=settings["unlabeled_ratio"],
            directory=os.path.join(self.directory, "runs", "-".join(f"{value:g}" for value in settings.values())),
        )
        trainer.compile(make_optimizer(self.steps), metrics=["accuracy"])
        history = trainer.fit_rounds(
            self.digits.labeled,
            self.digits.unlabeled,
            num_rounds=1,
            steps_per_epoch=self.steps // 5,
            epochs=5,
            validation_data=self.digits.validation,
            verbose=0,
        )
        return trainer, history


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10, metavar="N")
    parser.add_argument("--directory", default="tune_digits", metavar="DIR")
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs")
    options = parser.parse_args(arguments)

    digits = load()
    steps = 50 if options.quick else 300
    # Apart, so that a quick search is not taken for the beginning of a full one.
    directory = os.path.join(options.directory, f"{steps}_steps")
    search = NoisyStudentSearch(digits, directory, steps=steps)
    tuner = keras_tuner.RandomSearch(
        search,
        objective=keras_tuner.Objective("val_accuracy", direction="max"),
        max_trials=options.trials,
        seed=1,  # KerasTuner takes 0 for none
        directory=directory,
        max_consecutive_failed_trials=options.trials + 1,
        project_name="search",
    )
    tuner.search()
    tuner.results_summary(num_trials=3)

    best = tuner.get_best_hyperparameters()[0]
    trainer, history = search.train(best, search.build(best))
    test = trainer.evaluate(digits.test, return_dict=True, verbose=0)
    print(f"Best settings: {best.values}")
    print(f"Validation accuracy {history[-1].metrics['val_accuracy']:.4f}, test accuracy {test['accuracy']:.4f}")
    return tuner


if __name__ == "__main__":
    main()
