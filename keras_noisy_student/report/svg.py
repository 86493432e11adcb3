"""SVG: a figure of matplotlib as a part of the page, which draws it in its own colours, light or dark."""

import io
import re
import warnings
from typing import Any

import matplotlib
from markupsafe import Markup

INK, GRID = "#010101", "#020202"
FIRST, SECOND, THIRD, FOURTH = "#030303", "#040404", "#050505", "#060606"
"""Stand for the colours of the page: matplotlib takes no CSS variable."""

_CSS = {
    INK: "currentColor",
    GRID: "var(--grid)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    THIRD: "var(--third)",
    FOURTH: "var(--fourth)",
}
STYLE: dict[str, Any] = {
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "figure.facecolor": "none",
    "font.size": 8.5,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "keras_noisy_student",
    "text.color": INK,
    # A class may be called "$".
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}
"""The settings of matplotlib that figures for `inline_svg` are made with."""


def inline_svg(figure: Any, *, name: str, label: str) -> Markup:
    """The figure as an `<svg>` element.

    Args:
        figure: made within `matplotlib.rc_context(STYLE)`.
        name: begins all ids in it, so that two figures of one page do not share them; letters, digits and hyphens.
        label: says what is to be seen, for those who do not see it.
    """
    file = io.StringIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # The browser draws the letters, in fonts of its own.
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
        figure.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    svg = file.getvalue()
    (view_box,) = re.findall(r'<svg[^>]* viewBox="([^"]*)"', svg)
    content = re.sub(r"<style.*?</style>|font-family: [^;]*;", "", svg.partition("<svg")[2].partition(">")[2])
    content = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", content)
    for stand_in, css in _CSS.items():
        content = content.replace(stand_in, css)
    opening = Markup('<svg class="plot" role="img" aria-label="{}" viewBox="{}">').format(label, view_box)
    return opening + Markup(content)
