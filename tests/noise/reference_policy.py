"""The authors' RandAugment, stated slowly: one op on one uint8 image `(height, width, channels)`.

Written from the formulas of the released policy (Cubuk et al. 2019, arXiv 1909.13719), in NumPy, with TensorFlow's own
ops where the authors rely on how these round: the projective transform, the grey image and the depthwise convolution.
What the library corrects is an argument; the sizes of shifts and cuts between 64 and 224 pixels are the library's too.
"""

import math

import numpy as np
import tensorflow as tf

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
SIGNED_OPS = ("Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY")
_GREY = 128


def augment(image, op, magnitude, *, sign=1, overflow="clamp", **choices):
    """Applies one op to a uint8 array `(height, width, channels)` of 1 or 3 channels.

    Args:
        image: the array.
        op: one of `OPS`.
        magnitude: 10 is full scale.
        sign: of the ops in `SIGNED_OPS`, -1 or 1.
        overflow: as of `parameter`.
        **choices: as of `apply`.
    """
    number = parameter(op, magnitude, size=min(image.shape[:2]), overflow=overflow)
    return apply(image, op, sign * number if op in SIGNED_OPS else number, **choices)


def parameter(op, magnitude, *, size, overflow="clamp"):
    """What the magnitude means to an op, on an image whose smaller side is `size`; None to an op without parameter.

    `overflow` is `"clamp"`, or `"paper"` for what the authors' code makes of too many bits and too high thresholds.
    """
    level = magnitude / 10
    factor = level * 1.8 + 0.1
    parameters = {
        "Rotate": level * 30,
        "Posterize": _num_bits(int(level * 4), overflow),
        "Solarize": int(level * 256) % 256 if overflow == "paper" else min(int(level * 256), 256),
        "SolarizeAdd": int(level * 110),
        **dict.fromkeys(("Color", "Contrast", "Brightness", "Sharpness"), factor),
        **dict.fromkeys(("ShearX", "ShearY"), level * 0.3),
        **dict.fromkeys(("TranslateX", "TranslateY"), level * _constant(size, at_224=100)),
        "Cutout": int(level * _constant(size, at_224=40)),
    }
    return parameters.get(op)


def apply(image, op, number, *, center=(0, 0), contrast_mean="image", smooth_sum="exact"):
    """Applies an op of a given parameter.

    Args:
        image: uint8 array `(height, width, channels)`.
        op: one of `OPS`.
        number: degrees of Rotate, bits kept by Posterize, first level inverted by Solarize, levels added by
            SolarizeAdd, pixels per pixel of a shear, pixels of a translation, half the side of the cut, or a factor.
        center: row and column of the centre of the cut.
        contrast_mean: `"image"` for the mean of PIL's grey image, or `"paper"` for the constant that the authors use.
        smooth_sum: of Sharpness, `"exact"`, or `"float32"` for that of the authors, one level too low in places.
    """
    functions = {
        "AutoContrast": lambda: _auto_contrast(image),
        "Equalize": lambda: _equalize(image),
        "Invert": lambda: 255 - image,
        "Rotate": lambda: _rotate(image, number),
        "Posterize": lambda: image >> (8 - number) << (8 - number),
        "Solarize": lambda: np.where(image < number, image, 255 - image),
        "Color": lambda: _blend(_grey(image), image, number),
        "Contrast": lambda: _blend(_mean(image, contrast_mean), image, number),
        "Brightness": lambda: _blend(0, image, number),
        "Sharpness": lambda: _blend(_smooth(image, smooth_sum), image, number),
        "ShearX": lambda: _warp(image, [1, number, 0, 0, 1, 0]),
        "ShearY": lambda: _warp(image, [1, 0, 0, number, 1, 0]),
        "TranslateX": lambda: _warp(image, [1, 0, number, 0, 1, 0]),
        "TranslateY": lambda: _warp(image, [1, 0, 0, 0, 1, number]),
        "SolarizeAdd": lambda: np.where(image < 128, np.minimum(np.int64(image) + number, 255), image),
        "Cutout": lambda: _cutout(image, center, number),
    }
    return functions[op]().astype(np.uint8)


def _num_bits(num_bits, overflow):
    """The authors shift by `8 - num_bits` as a uint8: below 0 it wraps round, and TensorFlow shifts by 7 at most."""
    if num_bits > 8:
        return 1 if overflow == "paper" else 8
    return max(num_bits, 1)


def _constant(size, at_224):
    """The authors' `size // 8` and `at_224`; a straight line between 64 and 224 pixels, where they have none."""
    if size <= 64:
        return size // 8
    return 8 + (min(size, 224) - 64) * (at_224 - 8) / (224 - 64)


def _auto_contrast(image):
    stretched = image.copy()
    for channel in range(image.shape[-1]):
        levels = np.float32(image[..., channel])
        low, high = levels.min(), levels.max()
        if high > low:
            scale = np.float32(255) / (high - low)
            stretched[..., channel] = np.clip(levels * scale + (-low * scale), 0, 255).astype(np.uint8)
    return stretched


def _equalize(image):
    equalized = image.copy()
    for channel in range(image.shape[-1]):
        levels = image[..., channel]
        histogram = [int((levels == level).sum()) for level in range(256)]
        highest_count = [count for count in histogram if count][-1]
        step = (levels.size - highest_count) // 255
        if step:
            table = [(sum(histogram[:level]) + step // 2) // step for level in range(256)]
            equalized[..., channel] = np.minimum(table, 255)[levels]
    return equalized


def _blend(degenerate, image, factor):
    degenerate, image = np.float32(degenerate), np.float32(image)
    return np.clip(degenerate + np.float32(factor) * (image - degenerate), 0, 255)


def _grey(image):
    return image if image.shape[-1] == 1 else tf.image.rgb_to_grayscale(image).numpy()


def _mean(image, contrast_mean):
    if contrast_mean == "paper":
        # The authors sum the counts of the histogram, not the levels.
        height, width, _ = image.shape
        return int(min(height * width / 256, 255))
    levels = np.int64(image)
    if image.shape[-1] == 3:
        red, green, blue = np.moveaxis(levels, -1, 0)
        levels = (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16
    return math.floor(levels.mean() + 0.5)


def _smooth(image, smooth_sum):
    """The truncated mean of the 3x3 neighbourhood, centre weighted 5; the border is kept."""
    smooth = image.copy()
    smooth[1:-1, 1:-1] = _exact_mean(image) if smooth_sum == "exact" else _float32_mean(image)
    return smooth


def _exact_mean(image):
    windows = np.lib.stride_tricks.sliding_window_view(np.int64(image), (3, 3), axis=(0, 1))
    return (windows.sum((-2, -1)) + 4 * windows[..., 1, 1]) // 13


def _float32_mean(image):
    kernel = np.float32([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / np.float32(13)
    kernel = np.repeat(kernel[:, :, None, None], image.shape[-1], axis=2)
    means = tf.nn.depthwise_conv2d(np.float32(image)[None], kernel, [1, 1, 1, 1], "VALID")[0].numpy()
    return np.clip(means, 0, 255).astype(np.uint8)


def _rotate(image, degrees):
    height, width, _ = image.shape
    angle = np.float32(degrees) * np.float32(math.pi / 180)
    cosine, sine, right, bottom = np.cos(angle), np.sin(angle), np.float32(width - 1), np.float32(height - 1)
    offset_x = (right - (cosine * right - sine * bottom)) / np.float32(2)
    offset_y = (bottom - (sine * right + cosine * bottom)) / np.float32(2)
    return _warp(image, [cosine, -sine, offset_x, sine, cosine, offset_y])


def _warp(image, matrix):
    """The pixel `(x, y)` comes from `(a x + b y + c, d x + e y + f)`, rounded; from outside the image it is grey."""
    with_alpha = np.concatenate([image, np.ones_like(image[..., :1])], -1)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=with_alpha[None],
        transforms=np.float32([[*matrix, 0, 0]]),
        output_shape=image.shape[:2],
        fill_value=0.0,
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )[0].numpy()
    return np.where(warped[..., -1:] == 0, _GREY, warped[..., :-1])


def _cutout(image, center, half_size):
    (row, column), cut = center, image.copy()
    cut[max(row - half_size, 0) : row + half_size, max(column - half_size, 0) : column + half_size] = _GREY
    return cut
