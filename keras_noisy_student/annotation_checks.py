"""What a round must have to annotate as its settings say, checked before anything is trained."""

from typing import Any

import keras
import tensorflow as tf

from keras_noisy_student.networks import check_network
from keras_noisy_student.pseudo_labels.averaging import View
from keras_noisy_student.round_settings import RoundSettings
from keras_noisy_student.run_data import RunData
from keras_noisy_student.tasks.task import Task


def check_annotation(settings: RoundSettings, data: RunData, *, teacher: keras.Model, task: Task) -> None:
    """Checks the corrections and the views of a round after round 0.

    Args:
        settings: of the round.
        data: what `fit_rounds` was given.
        teacher: a network like the one that will annotate.
        task: checks what it says of the views.

    Raises:
        ValueError: for a correction that lacks its data, or a view that loses examples or that the teacher cannot take.
    """
    for correction in settings.pseudo_labeling.corrections:
        if correction.needs_validation and data.validation is None:
            raise ValueError(
                f"{type(correction).__name__} is fitted to held-out labelled data. Received: validation_data=None, "
                f"corrections={settings.pseudo_labeling.corrections!r} in round {settings.index}. Pass "
                "`validation_data` to `fit_rounds`, or leave it out of `corrections`."
            )
    for view in settings.pseudo_labeling.averaging.views:
        check_network(teacher, _viewed(data.first_examples(), view), task)


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
