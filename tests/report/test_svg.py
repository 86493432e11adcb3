import re
from xml.etree import ElementTree

import pytest

matplotlib = pytest.importorskip("matplotlib")
pytest.importorskip("markupsafe")

from matplotlib.figure import Figure  # noqa: E402

from keras_noisy_student.report.svg import FIRST, STYLE, inline_svg  # noqa: E402


@pytest.fixture
def svg():
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2, 1))
        axes = figure.subplots()
        axes.plot([1, 2], color=FIRST, marker="o")
        axes.set_title("<b>$ & co")
        return str(inline_svg(figure, name="plot-1", label='of "x" < 1'))


def test_colours_are_those_of_the_page(svg):
    assert "stroke: var(--first)" in svg
    assert "currentColor" in svg
    assert "var(--grid)" in svg
    assert re.findall(r"#0[0-9a-f]{5}\b", svg) == []


def test_it_is_an_element_with_a_label_and_without_a_size_of_its_own(svg):
    root = ElementTree.fromstring(svg.replace("xlink:href", "href"))
    assert root.attrib == {"class": "plot", "role": "img", "aria-label": 'of "x" < 1', "viewBox": "0 0 144 72"}
    assert any(element.text == "<b>$ & co" for element in root.iter())


def test_ids_and_what_refers_to_them_begin_with_the_name(svg):
    ids = re.findall(r'\bid="([^"]*)"', svg)
    references = re.findall(r'(?:href="#|url\(#)([^")]*)', svg)
    assert all(name.startswith("plot-1-") for name in ids)
    assert references
    assert set(references) <= set(ids)


def test_letters_that_the_font_of_the_drawing_lacks_are_text_all_the_same():
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2, 1))
        figure.subplots().set_title("猫")
        assert "猫" in inline_svg(figure, name="plot", label="")


def test_nothing_outside_is_asked_for(svg):
    assert not re.search(r"https?:|<style|<metadata|<script", svg)
