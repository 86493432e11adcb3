"""One worker of a cluster; prints what its runs resulted in.

Arguments: the directory of the run and, to die in training, the index of the worker that does.
"""

import json
import os
import signal
import sys
import warnings

import keras
import tensorflow as tf

from keras_noisy_student.workers import chief_first, worker_of
from tests.integration import strategy_runs

# Collective operations have to be set up before anything else of TensorFlow.
STRATEGY = tf.distribute.MultiWorkerMirroredStrategy()


class Death(keras.callbacks.Callback):
    """Kills the process in the second epoch of the last round."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)


def _chief_fails():
    """What the workers say when the chief fails."""
    try:
        with chief_first(STRATEGY):
            if worker_of(STRATEGY).is_chief:
                raise ValueError("No space left.")
    except (ValueError, RuntimeError) as error:
        return str(error)
    return "no error"


def main(directory, dying_worker=None):
    index = worker_of(STRATEGY).index
    dies = str(index) == dying_worker
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = {
            "worker": [index, worker_of(STRATEGY).num_workers],
            "rounds": strategy_runs.fit_rounds(
                STRATEGY, directory, callbacks=lambda round_index: [Death()] if dies and round_index == 2 else []
            ),
            "batch_norm": strategy_runs.fit_student(STRATEGY),
            "steps_per_execution": strategy_runs.fit_student(STRATEGY, steps_per_execution=5),
            "chief_fails": _chief_fails(),
            # Last: collective operations may not work after an error.
            "keras": strategy_runs.error_of(
                strategy_runs.fit_student,
                STRATEGY,
                student_class=strategy_runs.with_keras_own("_maybe_symbolic_build"),
            ),
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
