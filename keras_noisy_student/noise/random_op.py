"""One op of RandAugment, chosen and parametrised by uniform numbers, on one image."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from keras_noisy_student.noise import geometry, image_ops
from keras_noisy_student.noise.materialized import materialized
from keras_noisy_student.noise.op_parameters import OpParameters
from keras_noisy_student.noise.op_settings import OpSettings
from keras_noisy_student.noise.per_image import Size
from keras_noisy_student.noise.uniform_integers import uniform_integers

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
GEOMETRIC_OPS = ("Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY")
DRAWS_PER_OP = 6


class _Choice(NamedTuple):
    """What the uniform numbers of one op say; int32 scalars."""

    op: tf.Tensor
    """Index into the list of ops."""
    sign: tf.Tensor
    """0 for minus, 1 for plus."""
    row: tf.Tensor
    """Of the centre of the cut."""
    column: tf.Tensor
    """Of the centre of the cut."""
    magnitude: tf.Tensor
    """Index into the list of magnitudes."""


_ImageFunction: TypeAlias = Callable[[tf.Tensor, _Choice], tf.Tensor]


def make_random_op(
    ops: Sequence[str],
    parameters: Sequence[OpParameters],
    settings: OpSettings,
    *,
    probability: float,
    height: Size,
    width: Size,
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Makes a function of an image and `DRAWS_PER_OP` uniform numbers in [0, 1).

    The numbers choose, in this order: the op, the sign, row and column of the cut, the magnitude out of those of
    `parameters`, and whether the op is applied at all, which has `probability`. The geometric ops share one branch.
    """
    functions = _level_functions(parameters, settings, height, width)
    geometric = [op for op in ops if op in GEOMETRIC_OPS]
    if geometric:
        functions["Affine"] = _affine_function(ops, geometric, parameters, settings, height, width)
    branch_of_op = ["Affine" if op in GEOMETRIC_OPS else op for op in ops]
    branches = list(dict.fromkeys(branch_of_op))
    index_of_branch = tf.constant([branches.index(branch) for branch in branch_of_op])

    def random_op(image: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        sizes = (len(ops), 2, height, width, len(parameters))
        *draws_of_choice, draw_of_probability = tf.unstack(draws)
        choice = _Choice(*map(uniform_integers, draws_of_choice, sizes))
        branch = tf.gather(index_of_branch, choice.op)
        if probability < 1:
            branch = tf.where(draw_of_probability < probability, branch, len(branches))
        calls = [_bind(functions[name], image, choice) for name in branches]
        return tf.switch_case(branch, calls, default=lambda: image)

    return random_op


def _bind(function: _ImageFunction, image: tf.Tensor, choice: _Choice) -> Callable[[], tf.Tensor]:
    return lambda: function(image, choice)


def _level_functions(
    parameters: Sequence[OpParameters], settings: OpSettings, height: Size, width: Size
) -> dict[str, _ImageFunction]:
    def drawn(name: str) -> Callable[[_Choice], tf.Tensor]:
        values = tf.constant([getattr(of_magnitude, name) for of_magnitude in parameters])
        return lambda choice: tf.gather(values, choice.magnitude)

    factor, num_bits = drawn("enhance_factor"), drawn("num_bits")
    threshold, addition = drawn("solarize_threshold"), drawn("solarize_addition")
    half_sizes = tf.cast(_levels(parameters) * settings.cutout_half_size(height, width), tf.int32)
    contrast = image_ops.contrast if settings.contrast_mean == "image" else image_ops.contrast_of_the_paper
    return {
        "AutoContrast": lambda image, choice: image_ops.auto_contrast(image),
        "Equalize": lambda image, choice: image_ops.equalize(image),
        "Invert": lambda image, choice: image_ops.invert(image),
        "Posterize": lambda image, choice: image_ops.posterize(image, num_bits(choice)),
        "Solarize": lambda image, choice: image_ops.solarize(image, threshold(choice)),
        "Color": lambda image, choice: image_ops.color(image, factor(choice)),
        "Contrast": lambda image, choice: contrast(image, factor(choice)),
        "Brightness": lambda image, choice: image_ops.brightness(image, factor(choice)),
        "Sharpness": lambda image, choice: image_ops.sharpness(image, factor(choice)),
        "SolarizeAdd": lambda image, choice: image_ops.solarize_add(image, addition(choice)),
        "Cutout": lambda image, choice: image_ops.cutout(
            image, (choice.row, choice.column), tf.gather(half_sizes, choice.magnitude), fill=settings.fill
        ),
    }


def _affine_function(
    ops: Sequence[str],
    geometric: Sequence[str],
    parameters: Sequence[OpParameters],
    settings: OpSettings,
    height: Size,
    width: Size,
) -> _ImageFunction:
    """The branch of the geometric ops: a table of matrices, one for each op, sign and magnitude."""
    matrices = [_matrices(op, sign, parameters, settings, height, width) for op in geometric for sign in (-1, 1)]
    table = tf.reshape(tf.stack(matrices), [-1, 6])
    place_of_op = tf.constant([geometric.index(op) if op in geometric else 0 for op in ops])

    def place(choice: _Choice) -> tf.Tensor:
        return (2 * tf.gather(place_of_op, choice.op) + choice.sign) * len(parameters) + choice.magnitude

    if settings.interpolation == "bilinear":
        return lambda image, choice: geometry.interpolate_pixels(
            image, tf.gather(table, place(choice)), fill=settings.fill
        )
    if len(parameters) > 1:
        return lambda image, choice: geometry.take_pixels(
            image,
            materialized(geometry.nearest_positions(tf.gather(table, place(choice)), height, width)),
            fill=settings.fill,
        )
    # So few that they are computed once for a batch, not once for an image.
    positions = tf.stack([geometry.nearest_positions(matrix, height, width) for matrix in tf.unstack(table)])
    return lambda image, choice: geometry.take_pixels(image, tf.gather(positions, place(choice)), fill=settings.fill)


def _matrices(
    op: str, sign: int, parameters: Sequence[OpParameters], settings: OpSettings, height: Size, width: Size
) -> tf.Tensor:
    """float32 `(magnitudes, 6)`."""
    if op == "Rotate":
        return geometry.rotation(np.array([sign * at.degrees for at in parameters]), height, width)
    if op in ("ShearX", "ShearY"):
        shear = geometry.shear_x if op == "ShearX" else geometry.shear_y
        return shear(np.array([sign * at.shear for at in parameters]))
    translate = geometry.translation_x if op == "TranslateX" else geometry.translation_y
    return translate(sign * _levels(parameters) * settings.translation(height, width))


def _levels(parameters: Sequence[OpParameters]) -> tf.Tensor:
    """float64 `(magnitudes,)`: products truncate like the authors' Python numbers."""
    return tf.constant([at.level for at in parameters], tf.float64)
