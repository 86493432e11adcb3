"""The speed of every stage against its floor: a training step, annotation to disk, the joint pipeline.

    pip install -e . && python benchmarks/stages.py --json out.json

Each figure compares the library with the least that does the same work in Keras or tf.data alone. Both run in this
process, in turns, each first as often as the other. A figure is the median of the ratios of such pairs, since other
work on the machine disturbs both of a pair; the smallest and the largest ratio are printed beside it.

Takes 7 minutes on two CPU cores beside other work. There, with TensorFlow 2.21 and Keras 3.15, runs gave:
train_step_overhead 1.02, 1.07, 1.03, 0.98 and 0.96 (pairs from 0.8 to 1.9), annotate_efficiency 0.99 three times (0.6
to 1.6), join_efficiency 1.02, 1.00 and 0.97 (0.9 to 1.3), join_efficiency_arrays 0.97, 1.70 and 1.02. Beside other work
the pairs scatter: only a quiet machine tells 1.05 from 1.00. A joint step adds about 0.4 ms whatever the network: half
of it for the losses and accuracies of both parts, a quarter for the search for NaN.

    --json PATH    write the figures
    --repeats N    pairs of each stage (default 7)
    --only NAME    one of the figures
    --quick        tiny sizes, to see that it runs: the figures say nothing

Figures:

- `train_step_overhead`: seconds of a joint step without augmentation / those of `keras.Model.fit` on the same
  concatenated batches, with the same network, AdamW and accuracy. The step takes 50 ms or more in plain Keras: the
  network is made deeper until the fastest step does. Ours also logs the losses and accuracies of both parts and looks
  for NaN.
- `annotate_efficiency`: examples a second of `annotate`, from images in memory to the store on disk / those of a
  compiled forward pass over the same batches, whose outputs are fetched. Both compile once in each measurement.
- `join_efficiency`: examples a second of the joint pipeline / those of a bare tf.data pipeline that reads and decodes
  the same JPEG files, with a ready array of labels, shuffled through a buffer of the same size, in batches as large.
  Ours draws two streams, finds each example's pseudo-label in the store and compares its fingerprint; the round keeps
  the whole pool once, so that both decode as many images for a batch.
- `join_efficiency_arrays`: the same of images in memory, 32 x 32.
"""

import argparse
import dataclasses
import json
import pathlib
import statistics
import tempfile
import warnings

import stages_annotate
import stages_join
from stages_train import TrainStep


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Args:
        seconds_per_step: of a training step of plain Keras, at least.
        num_steps: training steps of one measurement.
        num_annotated: examples of one annotation.
        num_blocks: residual blocks of the teacher.
        num_batches: joint batches in a pass over the files.
        num_passes: passes of one measurement.
        image_size: of a file.
    """

    seconds_per_step: float = 0.05
    num_steps: int = 50
    num_annotated: int = 32_768
    num_blocks: int = 2
    num_batches: int = 16
    num_passes: int = 6
    image_size: int = 224


QUICK = Sizes(
    seconds_per_step=0.0,
    num_steps=4,
    num_annotated=512,
    num_blocks=1,
    num_batches=2,
    num_passes=1,
    image_size=32,
)


def alternated(ours, floor, repeats):
    """Pairs of seconds `(ours, floor)`; each side is run once before, to be compiled."""
    ours(), floor()
    pairs = []
    for repeat in range(repeats):
        if repeat % 2:
            ours_seconds = ours()
            pairs.append((ours_seconds, floor()))
        else:
            floor_seconds = floor()
            pairs.append((ours(), floor_seconds))
    return pairs


def figures_of(pairs, *, is_overhead):
    """The median ratio, of seconds or of throughputs, and what it was computed from."""
    ratios = [ours / floor if is_overhead else floor / ours for ours, floor in pairs]
    ours, floor = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    return {
        "ratio": statistics.median(ratios),
        "smallest": min(ratios),
        "largest": max(ratios),
        "ours_seconds": ours,
        "floor_seconds": floor,
    }


def measure_train_step(directory, sizes, repeats):
    step = TrainStep(seconds_per_step=sizes.seconds_per_step, num_steps=sizes.num_steps)
    print(f"A step of {step.num_blocks} residual blocks")
    return figures_of(alternated(step.ours, step.floor, repeats), is_overhead=True)


def measure_annotation(directory, sizes, repeats):
    pairs = []
    stages_annotate.measure_annotation(
        directory,
        lambda ours, floor: pairs.extend(alternated(ours, floor, repeats)),
        num_blocks=sizes.num_blocks,
        num_examples=sizes.num_annotated,
    )
    return figures_of(pairs, is_overhead=False)


def measure_join(directory, sizes, repeats):
    join = stages_join.of_files(
        directory, num_batches=sizes.num_batches, size=sizes.image_size, num_passes=sizes.num_passes
    )
    files = [path.stat().st_size for path in directory.glob("*.jpg")]
    print(f"{len(files)} JPEG files of {sizes.image_size} x {sizes.image_size}, {statistics.mean(files):.0f} bytes")
    return figures_of(alternated(join.ours, join.floor, repeats), is_overhead=False)


def measure_join_of_arrays(directory, sizes, repeats):
    join = stages_join.of_arrays(directory, num_batches=8 * sizes.num_batches, size=32, num_passes=8 * sizes.num_passes)
    return figures_of(alternated(join.ours, join.floor, repeats), is_overhead=False)


STAGES = {
    "train_step_overhead": measure_train_step,
    "annotate_efficiency": measure_annotation,
    "join_efficiency": measure_join,
    "join_efficiency_arrays": measure_join_of_arrays,
}
UNITS = {"train_step_overhead": "a step", "annotate_efficiency": "an example"}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", choices=STAGES)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args(arguments)

    # Its teachers were not trained.
    warnings.filterwarnings("ignore", message="The teacher sees class")
    details = {}
    for name in [arguments.only] if arguments.only else STAGES:
        with tempfile.TemporaryDirectory() as directory:
            sizes = QUICK if arguments.quick else Sizes()
            details[name] = STAGES[name](pathlib.Path(directory), sizes, arguments.repeats)
        of = details[name]
        print(
            f"{name:<24}{of['ratio']:.3f} ({of['smallest']:.3f} to {of['largest']:.3f}), milliseconds "
            f"{UNITS.get(name, 'a batch')}: {1e3 * of['ours_seconds']:.3f}, floor {1e3 * of['floor_seconds']:.3f}",
            flush=True,
        )
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({**{name: of["ratio"] for name, of in details.items()}, "details": details}, file, indent=2)


if __name__ == "__main__":
    main()
