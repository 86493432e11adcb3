"""Draws `accuracy_by_round.svg`, the picture of the README, from the tables of `results.md`.

    python docs/accuracy_by_round.py [PATH]

Needs matplotlib.
"""

import pathlib
import re
import sys

import matplotlib
from matplotlib import pyplot

HERE = pathlib.Path(__file__).parent
INK, PALE, STUDENTS = "#1f2933", "#9aa5b1", "#c2410c"
LOOP = "teacher and students: mean and each seed"
BASELINE = "supervised, noised, as many steps: mean and range"
STYLE = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "font.size": 11,
    "svg.hashsalt": "the same file for the same figures",
    "text.color": INK,
}


def accuracies(text, section):
    """The mean accuracy and that of every seed, by row of the table under a heading of `results.md`."""
    table = text.split(f"## {section}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.+) \| ([\d.]+) \| .+ \| ([\d. ]+) \|$", table.replace("**", ""), flags=re.MULTILINE)
    return {name: (float(mean), [float(value) for value in seeds.split()]) for name, mean, seeds in rows}


def draw(axes, title, rows):
    """One data set: the rounds from left to right, over the range of the baseline."""
    baseline, of_seeds = next(row for name, row in rows.items() if "honest baseline" in name)
    axes.axhspan(min(of_seeds), max(of_seeds), color=PALE, alpha=0.25, linewidth=0)
    axes.axhline(baseline, color=INK, linestyle="--", label=BASELINE)
    rounds = {name.split(",")[0]: row for name, row in rows.items() if name.startswith(("teacher", "student"))}
    means, seeds = zip(*rounds.values(), strict=True)
    axes.plot(list(rounds), seeds, color=STUDENTS, alpha=0.3, linewidth=1)
    axes.plot(list(rounds), means, color=STUDENTS, linewidth=2.5, marker="o", label=LOOP)
    for place, mean in enumerate(means):
        axes.annotate(f"{mean:.1f}", (place, mean), (-4, 8), textcoords="offset points", ha="center", weight="bold")
    axes.margins(x=0.12, y=0.12)
    axes.set_title(f"{title}, {len(of_seeds)} seeds")
    axes.spines[["top", "right"]].set_visible(False)


def main(path):
    """Draws both data sets side by side."""
    text = (HERE / "results.md").read_text()
    with matplotlib.rc_context(STYLE):
        figure, panels = pyplot.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
        for axes, title in zip(panels, ("Digits, 50 labels", "CIFAR-10, 1,000 labels"), strict=True):
            draw(axes, title, accuracies(text, title))
        panels[0].set_ylabel("test accuracy, %")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
        figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else HERE / "accuracy_by_round.svg")
