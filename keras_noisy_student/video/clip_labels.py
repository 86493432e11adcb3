"""What is known of clips beside their pixels: labels and other columns, from sub-folders or from a CSV file."""

import csv
import dataclasses
import functools
import os
import posixpath
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

_MOST_NAMES = 10


@dataclasses.dataclass(frozen=True)
class ClipLabels:
    """Labels and other columns, a row per clip.

    Args:
        labels: places in `class_names`, int32 `(clips,)`.
        class_names: sorted.
        columns: other columns by name, arrays of strings `(clips,)`.
    """

    labels: np.ndarray
    class_names: tuple[str, ...]
    columns: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, names: Sequence[str], columns: dict[str, np.ndarray]) -> "ClipLabels":
        """From the name of the class of each clip."""
        class_names, labels = np.unique(np.asarray(names, str), return_inverse=True)
        return cls(labels.astype(np.int32), tuple(class_names.tolist()), columns)


def folder_labels(paths: Sequence[str]) -> ClipLabels:
    """The class of a clip is the name of the sub-folder that it is in.

    Args:
        paths: of the clips, relative to the directory, with forward slashes.

    Raises:
        ValueError: for clips that are in none.
    """
    if without := [path for path in paths if "/" not in path]:
        raise ValueError(
            '`directory` must hold every clip in a sub-folder named after its class, as labels="folders" says. '
            f"Received: {listed(without)} in no such folder. Move them, or have `labels` name a CSV file. (A folder "
            "that holds images is itself a clip.)"
        )
    return ClipLabels.of([path.split("/")[0] for path in paths], {})


def csv_labels(csv_path: str, directory: str, paths: Sequence[str]) -> ClipLabels:
    """The classes of clips, and other columns, from the columns `path` and `label` and others of a CSV file.

    Args:
        csv_path: of the file, whose column `path` is relative to its own folder.
        directory: rows of clips elsewhere are left out.
        paths: of the clips, relative to `directory`, with forward slashes.

    Raises:
        ValueError: for another file, a row of no clip, and a clip of no row or label.
    """
    rows = _rows_below(csv_path, directory)
    if none := sorted(rows.keys() - set(paths)):
        raise ValueError(
            f"Every row of {csv_path} must name a clip: a video, or a folder of images. Received: {listed(none)} below "
            f"{directory}, which are none. Mend the column `path`, which is relative to the folder of the CSV file."
        )
    if without := [path for path in paths if not rows.get(path, {}).get("label")]:
        raise ValueError(
            f"Every clip below {directory} must have a row with a label in {csv_path}. Received: none for "
            f"{listed(without)}. Add the rows, or name a directory without these clips."
        )
    others = [name for name in rows[paths[0]] if name not in ("path", "label")]
    columns = {name: np.asarray([rows[path][name] for path in paths], str) for name in others}
    return ClipLabels.of([rows[path]["label"] for path in paths], columns)


def listed(names: Iterable[str]) -> str:
    """The first names, and how many follow."""
    names = list(names)
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _rows_below(csv_path: str, directory: str) -> dict[str, dict[str, str]]:
    """The rows by path relative to the directory."""
    root, base = os.path.realpath(directory), os.path.realpath(os.path.dirname(csv_path))
    # Folders may be links, as `directory` may be; a clip that is one keeps its name. Many rows share a folder.
    resolved = functools.cache(os.path.realpath)
    rows: dict[str, dict[str, str]] = {}
    for row in _read(csv_path):
        folder, name = os.path.split(os.path.normpath(os.path.join(base, row["path"])))
        relative = os.path.relpath(os.path.join(resolved(folder), name), root).replace(os.sep, "/")
        if posixpath.normpath(relative).split("/")[0] == "..":
            continue
        if relative in rows:
            raise ValueError(f"Every clip must have one row in {csv_path}. Received: several of {row['path']!r}.")
        rows[relative] = row
    return rows


def _read(csv_path: str) -> list[dict[str, Any]]:
    if not os.path.isfile(csv_path):
        raise ValueError(
            f'`labels` must be None, "folders" or the path of a CSV file. Received: labels={csv_path!r}, where there '
            "is no file."
        )
    try:
        # The mark that spreadsheets put before UTF-8 would become part of the name of the first column.
        with open(csv_path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True, restval="")
            rows, names = list(reader), reader.fieldnames or []
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"`labels` must name a CSV file in UTF-8. Received: {csv_path}: {error}.") from error
    if not {"path", "label"} <= set(names):
        raise ValueError(
            f"`labels` must name a CSV file with the columns `path` and `label`. Received: {csv_path} with the columns "
            f"{list(names)}."
        )
    if too_long := [row["path"] for row in rows if None in row]:
        raise ValueError(
            f"Every row of {csv_path} must have as many cells as its head. Received: more for {listed(too_long)}. "
            "Quote cells that hold commas."
        )
    return rows
