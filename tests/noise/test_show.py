import builtins
import itertools

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot

import keras_noisy_student as kns
from keras_noisy_student.noise.random_op import OPS

matplotlib.use("agg")


def _image(channels=3, dtype="uint8"):
    return np.random.default_rng(0).integers(0, 256, (24, 16, channels)).astype(dtype)


def _pixels(axes):
    return np.asarray(axes.get_images()[0].get_array())


def test_by_default_every_op_has_a_row_and_every_magnitude_a_column():
    figure = kns.noise.show(_image())
    assert len(figure.axes) == 16 * 5
    assert [axes.get_ylabel() for axes in figure.axes[::5]] == list(OPS)
    assert [axes.get_title() for axes in figure.axes[:5]] == [f"magnitude {m}" for m in (1, 5, 9, 10, 27)]
    assert not any(axes.get_ylabel() for axes in figure.axes if axes not in figure.axes[::5])
    assert not any(axes.get_title() for axes in figure.axes[5:])


@pytest.mark.parametrize(("channels", "seed"), [(1, 0), (3, 3)])
def test_each_cell_holds_what_rand_augment_makes_of_the_image(channels, seed):
    image, ops, magnitudes = _image(channels), ["Rotate", "Solarize", "Contrast", "Cutout"], (4, 13.5)
    settings = kns.OpSettings(fill=7)
    figure = kns.noise.show(image, ops=ops, magnitudes=magnitudes, overflow="paper", op_settings=settings, seed=seed)
    cells = iter(figure.axes)
    for op in ops:
        for magnitude in magnitudes:
            layer = kns.RandAugment(1, magnitude, ops=[op], overflow="paper", op_settings=settings, jit_compile=False)
            expected = layer(image, noise_seed=seed).numpy()
            np.testing.assert_array_equal(_pixels(next(cells)), expected[:, :, 0] if channels == 1 else expected)


def test_floats_are_rounded_to_whole_levels():
    figure = kns.noise.show(_image(dtype="float32") + 0.3, ops=["Invert"], magnitudes=[1])
    np.testing.assert_array_equal(_pixels(figure.axes[0]), 255 - _image())


def test_grey_levels_are_not_stretched_to_black_and_white():
    figure = kns.noise.show(_image(1) // 2 + 50, ops=["Brightness"], magnitudes=[5])
    drawn = figure.axes[0].get_images()[0]
    assert (drawn.get_clim(), drawn.get_cmap().name) == ((0, 255), "gray")


@pytest.mark.parametrize("font_size", [10, 20])
def test_no_label_is_cut_off(font_size):
    with matplotlib.rc_context({"font.size": font_size}):
        figure = kns.noise.show(_image())
        figure.draw_without_rendering()
    width, height = figure.canvas.get_width_height()
    for axes in figure.axes:
        for text in (axes.yaxis.label, axes.title):
            box = text.get_window_extent()
            assert not text.get_text() or (box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height)


def test_titles_do_not_overlap():
    figure = kns.noise.show(_image(), ops=["Invert"])
    figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in figure.axes]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_no_figure_is_left_open():
    before = pyplot.get_fignums()
    kns.noise.show(_image(), ops=["Invert"], magnitudes=[1])
    assert pyplot.get_fignums() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": _image()[None]}, r"`image` must be one image .* Received: image of shape \(1, 24, 16, 3\)"),
        ({"image": _image()[:, :, 0]}, r"`image` must be one image .*A grey image needs .* `image\[\.\.\., None\]`"),
        ({"image": _image(2)}, r"`images` must have 1 or 3 channels"),
        ({"image": _image(dtype="int64")}, r"`images` must be uint8, or float"),
        ({"magnitudes": []}, r"`magnitudes` must hold one magnitude or more\. Received: magnitudes=\[\]"),
        ({"magnitudes": [-1]}, r"`magnitude` must be a finite number, 0 or more\. Received: magnitude=-1"),
        ({"ops": []}, r"`ops` must be a list or tuple of one or more op names\. Received: ops=\[\]"),
        ({"ops": ["Blur"]}, r"`ops` must be names .* Received: ops with the unknown \['Blur'\]"),
        ({"overflow": "wrap"}, r"`overflow` must be .* Received: overflow='wrap'"),
        ({"op_settings": 3}, r"`op_settings` must be an `OpSettings`\. Received: op_settings=3"),
        ({"seed": 0.5}, r"`seed` must be an integer\. Received: seed=0\.5"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        kns.noise.show(**{"image": _image(), "ops": ["Invert"], "magnitudes": [1], **arguments})


def test_a_missing_matplotlib_is_named_with_what_to_do(monkeypatch):
    import_module = builtins.__import__

    def import_without_matplotlib(name, *arguments, **keywords):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return import_module(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", import_without_matplotlib)
    message = r'`show` needs matplotlib: pip install matplotlib, or "keras-noisy-student\[examples\]"\.'
    with pytest.raises(ImportError, match=message):
        kns.noise.show(_image())
