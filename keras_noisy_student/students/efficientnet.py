"""`efficientnet`: the paper's teachers and students, B0 to B7 and L0 to L2."""

import copy
import importlib
import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_noisy_student.argument_checks import check_count, is_number
from keras_noisy_student.students.scaling import scaling_of

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_SMALLEST_IMAGE_SIZE = 32
_STAGES_WITHOUT_STRIDE = (1, 2)
# The functions that `keras.applications` makes public stop at B7, and fix the strides.
_KERAS_MODULE = "keras.src.applications.efficientnet"
_RECURSION_LIMIT = 5000


def efficientnet(
    name: str,
    *,
    num_classes: int,
    image_size: int | None = None,
    small_images: bool = False,
    pixel_mean: Sequence[float] = IMAGENET_MEAN,
    pixel_std: Sequence[float] = IMAGENET_STD,
    from_logits: bool = False,
) -> keras.Model:
    """Builds an EfficientNet of a published size, newly initialised.

    The network takes images of any size, `(batch, height, width, 3)`, uint8 or float in [0, 255]. It resizes them to
    `image_size` by its one `keras.layers.Resizing`, normalises them itself, and returns `(batch, num_classes)`. Its
    blocks end in dropout of whole branches, its last layer in dropout, with the rates of the paper: `Noise` sets both.

    B0 to B7 are those of `keras.applications`, weight by weight; L0 (140M parameters), L1 (273M) and L2 (480M) follow
    from the same scaling rule. In float32 the weights of L2 take 1.9 GB, and training it needs accelerators with much
    memory. Building L2 raises Python's recursion limit to 5000 for good: Keras builds, copies and loads a network by
    recursion, one call for each layer of its longest path.

    Args:
        name: `"B0"` to `"B7"`, `"L0"`, `"L1"` or `"L2"`.
        num_classes: number of classes, at least 2.
        image_size: side of the images in pixels, 32 or more. Default: that which the network of this name is trained
            at (224 for B0, 600 for B7, 380 for L0 and L1, 475 for L2).
        small_images: leaves out the strides of the second and third stage, as the released code does for images of 32
            pixels: they shrink to 4 x 4 instead of 1 x 1.
        pixel_mean: of red, green and blue, levels divided by 255. Default: that of ImageNet.
        pixel_std: standard deviation of red, green and blue, above 0, levels divided by 255. Default: that of ImageNet.
        from_logits: whether to return logits, for `Classification(..., from_logits=True)`, instead of probabilities.

    Raises:
        ValueError: for an unknown name, or a value out of range.
        ImportError: for a Keras that no longer has what B0 to B7 are made of.

    Example:
        >>> network = efficientnet("B0", num_classes=10, image_size=32, small_images=True)
        >>> network(np.zeros((2, 40, 48, 3), np.uint8)).shape
        TensorShape([2, 10])

    Reference:
        Tan and Le 2019, arXiv 1905.11946; L0 to L2: Xie et al. 2019, arXiv 1911.04252.
    """
    scaling = scaling_of(name)
    check_count("num_classes", num_classes, at_least=2)
    image_size = scaling.image_size if image_size is None else image_size
    check_count("image_size", image_size, at_least=_SMALLEST_IMAGE_SIZE)
    for argument, flag in (("small_images", small_images), ("from_logits", from_logits)):
        if not isinstance(flag, bool):
            raise ValueError(f"`{argument}` must be True or False. Received: {argument}={flag!r}.")
    mean = np.array(_checked_colors("pixel_mean", pixel_mean, above=-np.inf))
    std = np.array(_checked_colors("pixel_std", pixel_std, above=0))

    if name == "L2":
        sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION_LIMIT))
    build, stages = _of_keras()
    images = keras.Input((None, None, 3))
    # Keras takes a missing `training` for `True` here, and for all layers behind it too.
    x = keras.layers.Resizing(int(image_size), int(image_size), dtype="float32")(images, training=False)
    # What follows divides by 255. Its own normalisation knows no statistics unless ImageNet weights are loaded.
    x = keras.layers.Rescaling(scale=(1 / std).tolist(), offset=(-255 * mean / std).tolist(), dtype="float32")(x)
    outputs = build(
        width_coefficient=scaling.width,
        depth_coefficient=scaling.depth,
        default_size=int(image_size),
        dropout_rate=scaling.dropout_rate,
        blocks_args=_without_strides(stages) if small_images else stages,
        weights=None,
        input_tensor=x,
        classes=int(num_classes),
        classifier_activation=None,
    ).output
    if not from_logits:
        outputs = keras.layers.Softmax(dtype="float32")(outputs)
    return keras.Model(images, outputs, name=f"efficientnet_{name.lower()}")


def _of_keras() -> tuple[Any, list[dict[str, Any]]]:
    """The function that builds any EfficientNet, and the stages of B0, which are no public part of Keras."""
    try:
        module = importlib.import_module(_KERAS_MODULE)
        return module.EfficientNet, copy.deepcopy(module.DEFAULT_BLOCKS_ARGS)
    except (ImportError, AttributeError) as error:
        raise ImportError(
            f"`efficientnet` needs `EfficientNet` and `DEFAULT_BLOCKS_ARGS` of {_KERAS_MODULE}, as Keras 3.15 has "
            f"them. Received: Keras {keras.__version__}, of which Python says: {error}. Install keras 3.15, or pass a "
            "network of your own as `student`."
        ) from error


def _without_strides(stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [stage | {"strides": 1} if place in _STAGES_WITHOUT_STRIDE else stage for place, stage in enumerate(stages)]


def _checked_colors(name: str, values: Sequence[float], *, above: float) -> tuple[float, ...]:
    is_triple = isinstance(values, Sequence) and len(values) == 3 and all(is_number(value) for value in values)
    if not is_triple or min(values) <= above:
        limit = "" if above == -np.inf else f" above {above}"
        raise ValueError(f"`{name}` must be three finite numbers{limit}. Received: {name}={values!r}.")
    return tuple(float(value) for value in values)
