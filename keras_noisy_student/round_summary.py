"""`trainer.summary()`: what each round trains, with which noise in which layers, as a table in Keras' style."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from keras_noisy_student.constructor_calls import constructor_call
from keras_noisy_student.noise.model_noise import LayerNoise, find_model_noise, set_model_noise
from keras_noisy_student.noise.noise import Noise

_MOST_LAYERS = 4
"""Of one kind that are listed one by one; of more, the first two and the last."""
_LENGTHS = ("batch_size", "epochs", "steps_per_epoch")


@dataclasses.dataclass(frozen=True)
class RoundSummary:
    """What is shown of a round.

    Args:
        round_index: 0 for the first teacher.
        network: name and class of the network, on two lines.
        num_parameters: `None` where the network is not built.
        layer_noise: the layers with model noise, at the rates that were set.
        settings: those that are known, by the names of `RoundSettings`; empty for a teacher that came trained.
    """

    round_index: int
    network: str
    num_parameters: int | None
    layer_noise: Sequence[LayerNoise]
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, round_index: int, network: keras.Model, settings: Mapping[str, Any]) -> "RoundSummary":
        """The summary of a round whose model noise is set."""
        num_parameters = network.count_params() if network.built else None
        name = f"{network.name}\n({type(network).__name__})"
        return cls(round_index, name, num_parameters, find_model_noise(network), settings)

    @classmethod
    def of_given_teacher(cls, network: keras.Model) -> "RoundSummary":
        """The summary of round 0 where nothing is trained."""
        return dataclasses.replace(cls.of(0, network, {}), layer_noise=[])

    def noise_lines(self) -> Iterator[str]:
        """What noise is where."""
        if not self.settings:
            return
        noise: Noise = self.settings["noise"]
        where = " (in the pipeline)" if noise.augmentation is not None and noise.placement == "pipeline" else ""
        yield f"input: {'none' if noise.augmentation is None else constructor_call(noise.augmentation)}{where}"
        if noise.mixing is not None:
            yield f"mixing: {constructor_call(noise.mixing)}"
        dropout = [(each.layer_name, each.new_drop_rate) for each in self.layer_noise if each.kind == "dropout"]
        yield f"dropout rates: {_by_layer(dropout)}"
        survival = [(each.layer_name, 1 - each.new_drop_rate) for each in self.layer_noise if each.kind != "dropout"]
        yield f"survival probabilities: {_by_layer(survival)}"
        if self.num_parameters is None:
            yield "(not built: layers that `build` makes are missing)"

    def training_lines(self) -> Iterator[str]:
        """What the round trains on, and for how long."""
        if not self.settings:
            yield "given as `teacher`"
            return
        if self.round_index > 0:
            yield constructor_call(self.settings["pseudo_labeling"])
            yield f"unlabeled_ratio={self.settings['unlabeled_ratio']:g}"
        lengths = [f"{name}={self.settings[name]}" for name in _LENGTHS if name in self.settings]
        yield ", ".join(lengths) or f"{', '.join(_LENGTHS)}: given to fit_rounds"
        if self.settings["fine_tuning"] is not None:
            yield constructor_call(self.settings["fine_tuning"])


def set_noise_of_found_layers(network: keras.Model, noise: Noise) -> None:
    """Sets model noise as a student does; of a network that is not built, in the layers that are already there."""
    kinds = {found.kind for found in find_model_noise(network)}
    has_dropout, has_depth = (network.built or kind in kinds for kind in ("dropout", "stochastic depth"))
    set_model_noise(
        network,
        dropout_rate=noise.dropout_rate if has_dropout else None,
        survival_probability=noise.survival_probability if has_depth else None,
    )


def print_summaries(summaries: Sequence[RoundSummary], *, print_fn: Callable[[str], object] | None) -> None:
    """Prints the table, or gives its text to `print_fn`."""
    table = Table(show_lines=True)
    for header in ("Round", "Network", "Param #", "Noise", "Training"):
        table.add_column(header, justify="right" if header == "Param #" else "left", overflow="fold")
    for summary in summaries:
        who = "teacher" if summary.round_index == 0 else "student"
        table.add_row(
            f"{summary.round_index} ({who})",
            escape(summary.network),
            "not built" if summary.num_parameters is None else f"{summary.num_parameters:,}",
            escape("\n".join(summary.noise_lines())),
            escape("\n".join(summary.training_lines())),
        )
    title = "[bold]Noisy Student Training[/]"
    if print_fn is None:
        console = Console(highlight=False)
        console.print(title)
        console.print(table)
        return
    console = Console(highlight=False, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(title)
        console.print(table)
    print_fn(capture.get())


def _by_layer(values: Sequence[tuple[str, float]]) -> str:
    """Figures by layer, in order of depth; layers of nested networks may share a name."""
    shown = [f"{value:.4g} in {name}" for name, value in values]
    if len(shown) > _MOST_LAYERS:
        shown = [*shown[:2], "...", f"{shown[-1]} ({len(shown)} layers)"]
    return ", ".join(shown) or "no such layer"
