"""Learning curves: the logs of all epochs of a round, those of one quantity together."""

from collections.abc import Mapping, Sequence

_PREFIXES = {
    "fine_tune_": "fine-tuning",
    "val_": "validation",
    "labeled_": "labelled",
    "pseudo_labeled_": "pseudo-labelled",
}

Curves = dict[str, dict[str, Sequence[float]]]
"""By quantity, then by what it is measured on."""


def learning_curves(epochs: Mapping[str, Sequence[float]]) -> Curves:
    """Sorts logs by quantity, the loss first.

    Args:
        epochs: the values of every epoch, by the name of the log.

    Example:
        >>> learning_curves({"accuracy": [0.5], "loss": [2.0], "val_loss": [3.0], "pseudo_labeled_loss": [1.0]})
        {'loss': {'training': [2.0], 'validation': [3.0], 'pseudo-labelled': [1.0]}, 'accuracy': {'training': [0.5]}}
    """
    curves: Curves = {}
    for name, values in epochs.items():
        quantity, measured_on = _split(name)
        curves.setdefault(quantity, {})[measured_on] = values
    return dict(sorted(curves.items(), key=lambda item: item[0] != "loss"))


def _split(name: str) -> tuple[str, str]:
    measured_on = []
    while prefix := next((prefix for prefix in _PREFIXES if name.startswith(prefix) and name != prefix), None):
        measured_on.append(_PREFIXES[prefix])
        name = name.removeprefix(prefix)
    return name, ", ".join(measured_on) or "training"
