"""One op of RandAugment, chosen and parametrised by uniform numbers, on one image."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from keras_noisy_student.noise import geometry, image_ops
from keras_noisy_student.noise.op_parameters import OpParameters

OPS = (
    "AutoContrast",
    "Equalize",
    "Invert",
    "Rotate",
    "Posterize",
    "Solarize",
    "Color",
    "Contrast",
    "Brightness",
    "Sharpness",
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "SolarizeAdd",
    "Cutout",
)
DRAWS_PER_OP = 4
_GEOMETRIC_OPS = ("Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY")

_ImageFunction = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def make_random_op(
    ops: Sequence[str], parameters: OpParameters, height: int | tf.Tensor, width: int | tf.Tensor
) -> _ImageFunction:
    """Makes a function of an image and `DRAWS_PER_OP` uniform numbers in [0, 1): op, sign, row and column of the cut.

    The geometric ops share one branch, which takes its matrix from a table of (op, sign).
    """
    functions = _level_functions(parameters, height, width)
    geometric = [op for op in ops if op in _GEOMETRIC_OPS]
    if geometric:
        functions["Affine"] = _affine_function(ops, geometric, parameters, height, width)
    branch_of_op = ["Affine" if op in _GEOMETRIC_OPS else op for op in ops]
    branches = list(dict.fromkeys(branch_of_op))

    def random_op(image: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        branch = tf.gather([branches.index(name) for name in branch_of_op], _index(draws[0], len(ops)))
        return tf.switch_case(branch, [_bind(functions[name], image, draws) for name in branches])

    return random_op


def _bind(function: _ImageFunction, image: tf.Tensor, draws: tf.Tensor) -> Callable[[], tf.Tensor]:
    return lambda: function(image, draws)


def _index(draw: tf.Tensor, size: int | tf.Tensor) -> tf.Tensor:
    """Maps a number in [0, 1) to an index below `size`."""
    return tf.cast(draw * tf.cast(size, tf.float32), tf.int32)


def _level_functions(
    parameters: OpParameters, height: int | tf.Tensor, width: int | tf.Tensor
) -> dict[str, _ImageFunction]:
    factor = parameters.enhance_factor
    half_size = parameters.cutout_half_size(height, width)
    return {
        "AutoContrast": lambda image, draws: image_ops.auto_contrast(image),
        "Equalize": lambda image, draws: image_ops.equalize(image),
        "Invert": lambda image, draws: image_ops.invert(image),
        "Posterize": lambda image, draws: image_ops.posterize(image, parameters.num_bits),
        "Solarize": lambda image, draws: image_ops.solarize(image, parameters.solarize_threshold),
        "Color": lambda image, draws: image_ops.color(image, factor),
        "Contrast": lambda image, draws: image_ops.contrast(image, factor),
        "Brightness": lambda image, draws: image_ops.brightness(image, factor),
        "Sharpness": lambda image, draws: image_ops.sharpness(image, factor),
        "SolarizeAdd": lambda image, draws: image_ops.solarize_add(image, parameters.solarize_addition),
        "Cutout": lambda image, draws: image_ops.cutout(
            image, (_index(draws[2], height), _index(draws[3], width)), half_size
        ),
    }


def _affine_function(
    ops: Sequence[str],
    geometric: Sequence[str],
    parameters: OpParameters,
    height: int | tf.Tensor,
    width: int | tf.Tensor,
) -> _ImageFunction:
    table = tf.stack([_matrix(op, sign, parameters, height, width) for op in geometric for sign in (-1, 1)])
    row_of_op = [2 * geometric.index(op) if op in geometric else 0 for op in ops]

    def affine(image: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        row = tf.gather(row_of_op, _index(draws[0], len(ops))) + _index(draws[1], 2)
        return geometry.affine(image, tf.gather(table, row))

    return affine


def _matrix(op: str, sign: int, parameters: OpParameters, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    if op == "Rotate":
        return geometry.rotation(sign * parameters.degrees, height, width)
    if op == "ShearX":
        return geometry.shear_x(sign * parameters.shear)
    if op == "ShearY":
        return geometry.shear_y(sign * parameters.shear)
    translate = geometry.translation_x if op == "TranslateX" else geometry.translation_y
    return translate(sign * parameters.translation(height, width))
