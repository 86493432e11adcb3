"""What a round must have to annotate as its settings say, checked before anything is trained."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.networks import check_network
from keras_noisy_student.pseudo_labels.averaging import View
from keras_noisy_student.round_settings import RoundSettings
from keras_noisy_student.run_data import RunData
from keras_noisy_student.tasks.task import Task


def check_annotation(settings: RoundSettings, data: RunData, *, teacher: keras.Model, task: Task) -> None:
    """Checks what a round after round 0 asks of task, data and teacher.

    Args:
        settings: of the round.
        data: what `fit_rounds` was given.
        teacher: a network like the one that will annotate.
        task: checks what it says of the views.

    Raises:
        ValueError: for pseudo-labels of another kind, a correction that lacks its data, or a view that loses examples
            or that the teacher cannot take.
    """
    labeling = settings.pseudo_labeling
    labeling.check_task(task)
    for name in labeling.needs_validation if data.validation is None else ():
        raise ValueError(
            f"{name} is fitted to held-out labelled data. Received: validation_data=None, pseudo_labeling={labeling!r} "
            f"in round {settings.index}. Pass `validation_data` to `fit_rounds`, or leave it out of `pseudo_labeling`."
        )
    for view in labeling.averaging.views:
        check_network(teacher, _viewed(data.first_examples, view), task)


def check_audit(rounds: Sequence[RoundSettings], data: RunData) -> None:
    """Raises a `ValueError` when there are audit labels, and no round stores pseudo-labels that they could judge."""
    are_online = [settings.pseudo_labeling.annotate == "online" for settings in rounds[1:]]
    if data.audit_labels is not None and are_online and all(are_online):
        raise ValueError(
            "`audit_labels` judge stored pseudo-labels, and online annotation stores none. Received: `audit_labels`, "
            'annotate="online" in every round. Leave them out, or use annotate="stored".'
        )


def _viewed(x: Any, view: View) -> Any:
    viewed = view(x)
    num_examples = len(tf.nest.flatten(x)[0])
    if any(not hasattr(part, "shape") or part.shape[:1] != [num_examples] for part in tf.nest.flatten(viewed)):
        received = tf.nest.map_structure(lambda part: tuple(getattr(part, "shape", ())), viewed)
        raise ValueError(
            f"`views` must keep the batch size. Received: {getattr(view, '__name__', view)}, which makes of "
            f"{num_examples} examples a batch of shape {received}."
        )
    return viewed
