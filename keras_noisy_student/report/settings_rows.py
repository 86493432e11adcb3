"""Settings as the rows of a table."""

from collections.abc import Iterator, Mapping
from typing import Any


def settings_rows(settings: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """A name and a value for each innermost setting, in order; the class of an object stands at its own name.

    Args:
        settings: as `describe` returned them.
        name: what they all belong to.

    Example:
        >>> dict(settings_rows({"noise": {"class": "Noise", "dropout_rate": 0.5}, "epochs": 3}))
        {'noise': 'Noise', 'noise.dropout_rate': '0.5', 'epochs': '3'}
    """
    if isinstance(settings, Mapping) and settings:
        if "class" in settings and name:
            yield name, str(settings["class"])
        for key, value in settings.items():
            if key != "class" or not name:
                yield from settings_rows(value, f"{name}.{key}" if name else str(key))
    elif isinstance(settings, list) and any(isinstance(item, Mapping) for item in settings):
        for place, item in enumerate(settings):
            yield from settings_rows(item, f"{name}[{place}]")
    else:
        yield name, "None" if settings is None else str(settings)
