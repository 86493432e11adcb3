"""Kills and faults: a run that is killed at random moments, or finds a file damaged, ends with the same bits.

    pip install -e ".[examples]" && python benchmarks/faults.py --kills 20 --json out.json

The run is `faults_run.py`: a teacher and two students on scikit-learn's digits. It is run once to its end. Then it is
killed (SIGKILL) at random moments, in every phase as often, and started again each time until it ends. Last, a file of
each kind that it writes is damaged in three ways (a flipped bit, a truncation, a deletion), each in a copy of a run
directory that was killed in the last round, in the middle of the annotation or of the training, and started again.

Takes 16 minutes on two CPU cores with 20 kills (23 beside other work), of which 51 faults take 12. There, with
TensorFlow 2.21 and Keras 3.15: bitwise_equal true, 51 of 51 faults detected, work_repeated_fraction 0.1 to 0.2. A kill
repeats an epoch or a shard at most, which is up to 1/18 of the steps or 1/12 of the shards here.

    --json PATH    write the figures
    --kills N      in total (default 20)
    --seed N       of the moments of the kills and of the faults (default 0)
    --quick        two of the faults, drawn at random
    --keep PATH    keep the run directories, and what every process logged and said, in this new directory

Figures:

- `kills`, `kills_by_phase`: processes that were killed, by the last phase that they had logged. A moment is drawn among
  the steps, batches and other events of a phase in the unkilled run, then among the moments until the next event, early
  ones more often, since a run that was started again may be faster. In phase `start` it is drawn among those from the
  start of the process, imports included, to the first event.
- `bitwise_equal`: whether every run that was killed or damaged ended with what the unkilled run has: the final weights,
  the files of all pseudo-labels and of all students' weights, byte by byte, and the records of all rounds with the logs
  of every epoch, apart from `seconds`. `unequal` says what differs.
- `faults`, `faults_detected`: a fault is detected when a warning or an error of the process that meets it names the
  file, or when a deleted file is there again, since one that was deleted may look like one that was not yet written.
  After an error the run is started again when what it says was done: the directory that it names was deleted (the round
  is made again then), or the file where it says so; else the file was put back.
- `work_repeated_fraction`: examples that the killed runs trained on and annotated beyond those of the unkilled run,
  divided by its own. `training_repeated_fraction` and `annotation_repeated_fraction` are of either kind alone.
"""

import argparse
import collections
import contextlib
import itertools
import json
import os
import pathlib
import re
import shutil
import tempfile
from typing import NamedTuple

import numpy as np
from faults_life import Kill, Life

PHASES = ("start", "make_student", "annotate", "select", "join", "train", "end_epoch", "promote", "record")
DAMAGED_IN = {"annotate": "round_*/pseudo_labels/*", "train": "**/*"}
MOST_REPAIRS = 3


class UnkilledRun:
    """The run that the others are compared with.

    Args:
        directory: of the run, a new one.
    """

    def __init__(self, directory):
        life = Life(directory).end()
        if life.result is None:
            raise RuntimeError(f"The run failed without a kill:\n{life.said}")
        self.events = life.events
        self.order = {event.key: index for index, event in enumerate(life.events)}
        self.start_seconds = life.events[0].seconds - life.started
        self._contents = contents(directory, life)

    def differences(self, directory, life):
        """The names of what differs in another run."""
        if life.result is None:
            return ["the run did not end"]
        found = contents(directory, life)
        names = sorted({*self._contents, *found})
        return [name for name in names if found.get(name) != self._contents.get(name)]

    def kill_in_last_round(self, phase, part):
        """The moment when a part of the steps or batches of a phase of the last round has ended."""
        last_round = self.events[-1].round_index
        indices = [self.order[e.key] for e in self.events if e.phase == phase and e.round_index == last_round]
        return Kill(indices[int(part * len(indices))], delay=0.0)


def draw_kills(events, start_seconds, num_kills, generator):
    """Moments in the order of the run: the phases in turns, in a random order."""
    kills = []
    for phase in np.resize(generator.permutation(PHASES), num_kills):
        is_start = phase == "start"
        indices = [index for index, event in enumerate(events[:-1]) if is_start or event.phase == phase]
        index = int(generator.choice(indices))
        if is_start:
            delay = generator.uniform(0, start_seconds)
        else:
            delay = generator.triangular(0, 0, events[index + 1].seconds - events[index].seconds)
        kills.append(Kill(index, delay, is_start))
    return sorted(kills)


class Fault(NamedTuple):
    """A file that is damaged in a copy of a run directory."""

    stopped: pathlib.Path
    file: str
    damage: str


def contents(directory, life):
    """What is compared, by name."""
    files = [*directory.glob("round_*/pseudo_labels/*"), *directory.glob("round_*/*.weights.h5")]
    return {**life.result, **{str(file.relative_to(directory)): file.read_bytes() for file in files}}


def killed_runs(root, unkilled, kills):
    """Runs that are killed until all kills are used, each then left to end: their directories and their lives."""
    kills = collections.deque(kills)
    for number in itertools.count():
        directory = root / f"killed_{number}"
        lives = []
        while not lives or lives[-1].was_killed:
            lives.append(Life(directory))
            if not kills:
                lives[-1].end()
            elif lives[-1].kill(kills[0], unkilled.order).was_killed:
                kills.popleft()
        yield directory, lives
        if not kills or lives[-1].result is None:
            return


def repeated_fraction(unkilled, runs, phases):
    """Work of these phases in all lives of the runs beyond that of as many unkilled runs, divided by theirs."""
    done = sum(event.examples for _, lives in runs for life in lives for event in life.events if event.phase in phases)
    needed = len(runs) * sum(event.examples for event in unkilled.events if event.phase in phases)
    return (done - needed) / needed


def make_faults(root, unkilled, phases):
    """Every damage to every needed file of a run directory that was killed in these phases of the last round."""
    directory = root / "stopped"
    faults = []
    for phase in phases:
        life = Life(directory).kill(unkilled.kill_in_last_round(phase, part=0.7), unkilled.order)
        if not life.was_killed:
            raise RuntimeError(f"The run failed before it could be stopped:\n{life.said}")
        stopped = shutil.copytree(directory, root / f"stopped_in_{phase}")
        files = needed_files(stopped, DAMAGED_IN[phase])
        faults += [Fault(stopped, file, damage) for file in files for damage in DAMAGES]
    return faults


def needed_files(directory, pattern="**/*"):
    """One file of each kind (names that differ in digits alone) without which the run cannot go on as it is.

    Of several it is the middle one, of two the last. What was trained on in a finished round is not needed any more. A
    file of a finished round is another kind than that of the round that was killed.
    """
    last_round = max(directory.glob("round_*")).name
    kinds = collections.defaultdict(list)
    for path in sorted(path for path in directory.glob(pattern) if path.is_file() and path.suffix != ".tmp"):
        file = path.relative_to(directory)
        is_of_last_round = file.parts[0] == last_round
        if len(file.parts) < 3 or is_of_last_round:
            kinds[re.sub(r"\d+", "#", str(file)), is_of_last_round].append(str(file))
    return [files[len(files) // 2] for files in kinds.values()]


def flip_bit(path, generator):
    content = np.fromfile(path, np.uint8)
    content[generator.integers(len(content))] ^= 1 << generator.integers(8)
    content.tofile(path)


def truncate(path, generator):
    os.truncate(path, generator.integers(path.stat().st_size))


def delete(path, generator):
    path.unlink()


DAMAGES = {"flip_bit": flip_bit, "truncate": truncate, "delete": delete}


def meet(fault, directory, unkilled, generator):
    """Damages the file in a copy, starts the run again until it ends, and tells what happened."""
    shutil.copytree(fault.stopped, directory)
    path = directory / fault.file
    DAMAGES[fault.damage](path, generator)
    life = Life(directory)
    is_back = False
    while life.is_running():
        is_back = is_back or (fault.damage == "delete" and path.exists())
    naming = [line for line in life.said.split("\n") if str(path) in line]
    said = naming[-1].replace(f"{directory}/", "") if naming else "it is there again" if is_back else ""
    repairs = []
    while life.result is None and len(repairs) < MOST_REPAIRS:
        repairs.append(repair(fault, directory, life.said))
        life = Life(directory).end()
    return {
        "file": fault.file,
        "stopped": fault.stopped.name,
        "damage": fault.damage,
        "detected": bool(said),
        "said": said,
        "repairs": repairs,
        "unequal": unkilled.differences(directory, life),
    }


def repair(fault, directory, said):
    """Does what the error says: deletes the directory that it names or the file, or puts the file back."""
    error = said.rpartition("Error: ")[2]
    paths = (pathlib.Path(path) for path in re.findall(rf"{re.escape(str(directory))}/[\w/.-]*\w", error))
    named = next((path for path in paths if path.is_dir()), None)
    if named is not None:
        shutil.rmtree(named)
        return f"deleted {named.relative_to(directory)}"
    if "delete the file" in error:
        (directory / fault.file).unlink()
        return f"deleted {fault.file}"
    shutil.copy(fault.stopped / fault.file, directory / fault.file)
    return f"put back {fault.file}"


def measure_kills(root, unkilled, num_kills, generator):
    """The figures of the killed runs, and what differs in them."""
    kills = draw_kills(unkilled.events, unkilled.start_seconds, num_kills, generator)
    runs = list(killed_runs(root, unkilled, kills))
    killed = [life for _, lives in runs for life in lives if life.was_killed]
    phases = collections.Counter(life.events[-1].phase if life.events else "start" for life in killed)
    return {
        "kills": len(killed),
        "kills_by_phase": dict(phases),
        "killed_runs": len(runs),
        "work_repeated_fraction": repeated_fraction(unkilled, runs, ("train", "annotate")),
        "training_repeated_fraction": repeated_fraction(unkilled, runs, ("train",)),
        "annotation_repeated_fraction": repeated_fraction(unkilled, runs, ("annotate",)),
        "unequal": {directory.name: unkilled.differences(directory, lives[-1]) for directory, lives in runs},
    }


def measure_faults(root, unkilled, is_quick, generator):
    """What happened at each fault."""
    faults = make_faults(root, unkilled, ["train"] if is_quick else DAMAGED_IN)
    if is_quick:
        faults = [faults[index] for index in generator.choice(len(faults), 2, replace=False)]
    met = []
    for number, fault in enumerate(faults):
        met.append(meet(fault, root / f"fault_{number:02d}", unkilled, generator))
        outcome = "detected" if met[-1]["detected"] else "NOT DETECTED"
        print(f"{fault.damage:<9} {fault.file:<55} {outcome}{', UNEQUAL' if met[-1]['unequal'] else ''}", flush=True)
    return met


def measure(root, arguments):
    """All figures."""
    generator = np.random.default_rng(arguments.seed)
    unkilled = UnkilledRun(root / "unkilled")
    figures = measure_kills(root, unkilled, arguments.kills, generator)
    met = measure_faults(root, unkilled, arguments.quick, generator)
    unequal = [*figures["unequal"].values(), *(fault["unequal"] for fault in met)]
    return {
        **figures,
        "bitwise_equal": not any(unequal),
        "faults": len(met),
        "faults_detected": sum(fault["detected"] for fault in met),
        "by_fault": met,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--keep", type=pathlib.Path)
    arguments = parser.parse_args()

    with contextlib.ExitStack() as stack:
        root = arguments.keep or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults_")))
        root.mkdir(parents=True, exist_ok=arguments.keep is None)
        figures = measure(root, arguments)
    for name in ("kills", "kills_by_phase", "bitwise_equal", "faults", "faults_detected", "work_repeated_fraction"):
        print(f"{name:<24}{figures[name]}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(figures, file, indent=2)


if __name__ == "__main__":
    main()
