"""A picture of RandAugment's 16 ops at five magnitudes, on a photograph.

    pip install -e ".[examples]" && python examples/noise_grid.py

Writes docs/rand_augment.png: a row for each op, a column for each magnitude. Expect every op to leave the pagoda to be
recognised up to magnitude 10, apart from Posterize and Solarize, which are strongest at 1. At 27, which the paper's
largest models take, TranslateX and TranslateY leave nothing of it, and Brightness, Contrast and ShearX little.

    --image FILE    another photograph (JPEG or PNG); its middle square is taken
    --output PNG    where to write

On two CPU cores, TensorFlow 2.21: 9 s. The photograph is `china.jpg` of scikit-learn, the middle of it at 224 x 224
pixels, the size of ImageNet.
"""

import argparse
import io
import pathlib

import numpy as np
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_image

import keras_noisy_student as kns

SIZE = 224
OUTPUT = pathlib.Path(__file__).parents[1] / "docs" / "rand_augment.png"


def load_image(path):
    """The middle square of a photograph, or of `china.jpg`: uint8 `(224, 224, 3)`."""
    if path is None:
        image = tf.convert_to_tensor(load_sample_image("china.jpg"))
    else:
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
    side = tf.minimum(*tf.unstack(tf.shape(image)[:2]))
    square = tf.image.resize_with_crop_or_pad(image, side, side)
    return tf.cast(tf.round(tf.image.resize(square, (SIZE, SIZE), antialias=True)), tf.uint8)


def in_few_levels(pixels):
    """32 levels of each colour, no more than 4 of 255 off, make the file less than half as large."""
    return np.round(np.round(pixels * (31 / 255)) * (255 / 31)).astype("uint8")


def main():
    """Draws the grid and writes it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", metavar="FILE")
    parser.add_argument("--output", metavar="PNG", default=str(OUTPUT))
    arguments = parser.parse_args()

    figure = kns.noise.show(load_image(arguments.image))
    with io.BytesIO() as file:
        figure.savefig(file, dpi=80)
        pixels = np.asarray(Image.open(file).convert("RGB"))
    Image.fromarray(in_few_levels(pixels)).save(arguments.output, optimize=True)
    print(f"Wrote {arguments.output}.")


if __name__ == "__main__":
    main()
