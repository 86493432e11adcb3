"""`ClipFolder`: the clips of a folder, in arrays."""

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ClipFolder:
    """The clips of a folder, as `clips_from_folder` returns them.

    `(folder.clips, folder.labels)` is labelled data for `NoisyStudentTrainer.fit_rounds`, and `folder.clips` a pool.

    Args:
        clips: uint8 `(clips, num_frames, height, width, 3)`.
        labels: places in `class_names`, int32 `(clips,)`; `None` where there are none.
        class_names: sorted; empty where there are no labels.
        paths: of the clips, relative to their folder, an array of strings `(clips,)`.
        columns: other columns of the CSV file by name, arrays of strings `(clips,)`.
        skipped: why a clip was left out, by its path.

    Raises:
        ValueError: for arrays of other shapes, or without a clip, and labels that are no places in `class_names`.

    Example:
        >>> folder = kns.video.ClipFolder(
        ...     clips=np.zeros((3, 8, 32, 32, 3), "uint8"),
        ...     labels=np.array([0, 1, 1], "int32"),
        ...     class_names=("calm", "glad"),
        ...     paths=np.array(["a.mp4", "b.mp4", "c.mp4"]),
        ...     columns={"subject": np.array(["ann", "ann", "bob"])},
        ... )
        >>> folder
        ClipFolder: 3 clips of 8 frames of 32 x 32, 2 classes, columns subject, 0 skipped
        >>> bob = folder.subset(folder.columns["subject"] == "bob")
        >>> bob.paths, bob.labels, bob.class_names
        (array(['c.mp4'], dtype='<U5'), array([1], dtype=int32), ('calm', 'glad'))
    """

    clips: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    paths: np.ndarray
    columns: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.clips.dtype != np.uint8 or self.clips.ndim != 5 or not len(self.clips) or self.clips.shape[-1] != 3:
            raise ValueError(
                "`clips` must be uint8 `(clips, num_frames, height, width, 3)`, of one clip or more. Received: "
                f"{self.clips.dtype} {self.clips.shape}."
            )
        rows = {"paths": self.paths, **self.columns} | ({} if self.labels is None else {"labels": self.labels})
        for name, values in rows.items():
            if np.shape(values) != self.clips.shape[:1]:
                raise ValueError(
                    f"`{name}` must have one entry for each of the {len(self.clips)} clips. Received: shape "
                    f"{np.shape(values)}."
                )
        if self.labels is not None:
            _check_labels(np.asarray(self.labels), len(self.class_names))

    def __len__(self) -> int:
        return len(self.clips)

    def __repr__(self) -> str:
        _, num_frames, height, width, _ = self.clips.shape
        classes = "no labels" if self.labels is None else f"{len(self.class_names)} classes"
        columns = f", columns {', '.join(self.columns)}" if self.columns else ""
        return (
            f"ClipFolder: {len(self)} clips of {num_frames} frames of {height} x {width}, {classes}{columns}, "
            f"{len(self.skipped)} skipped"
        )

    def subset(self, is_wanted: Any) -> "ClipFolder":
        """Some of the clips, such as those of some subjects, with the same class ids. Their pixels are copied.

        Args:
            is_wanted: a bool for each clip, or the places of the wanted ones.

        Raises:
            ValueError: for anything else, and where nothing is left.
        """
        wanted = np.asarray(is_wanted)
        is_mask = wanted.dtype == bool and wanted.shape == self.paths.shape
        is_places = np.issubdtype(wanted.dtype, np.integer) and wanted.ndim == 1
        if not is_mask and not (is_places and np.all((wanted >= -len(self)) & (wanted < len(self)))):
            raise ValueError(
                f"`is_wanted` must be {len(self)} bools, one for each clip, or places below {len(self)}. Received: "
                f"{wanted.dtype} of shape {wanted.shape}."
            )
        if not wanted.size or (is_mask and not wanted.any()):
            raise ValueError("`is_wanted` must leave a clip. Received: none.")
        return dataclasses.replace(
            self,
            clips=self.clips[wanted],
            labels=None if self.labels is None else self.labels[wanted],
            paths=self.paths[wanted],
            columns={name: values[wanted] for name, values in self.columns.items()},
        )


def _check_labels(labels: np.ndarray, num_classes: int) -> None:
    if not np.issubdtype(labels.dtype, np.integer):
        received = f"dtype {labels.dtype}"
    elif labels.min() < 0 or labels.max() >= num_classes:
        received = f"labels from {labels.min()} to {labels.max()}"
    else:
        return
    raise ValueError(
        f"`labels` must be places in the {num_classes} `class_names`, integers in [0, {num_classes}). Received: "
        f"{received}. Of the name of each clip's class, `np.unique(names, return_inverse=True)` makes both."
    )
