"""A matplotlib drawing as an SVG element that can stand in an HTML page beside others, in the colours of the page."""

import io
import re
from collections.abc import Callable
from html import escape
from typing import Any

import matplotlib
import matplotlib.style
from matplotlib.figure import Figure

from lnas.report.text import plain

INK, MUTED, RULE = "#010101", "#020202", "#030303"
SEARCH, TRAIN, PRUNED, FREE = "#040404", "#050505", "#060606", "#070707"
_VARIABLES = {
    **{INK: "--ink", MUTED: "--muted", RULE: "--rule"},
    **{SEARCH: "--search", TRAIN: "--train", PRUNED: "--pruned", FREE: "--free"},
}
"""Stand-ins, each replaced by a variable of the page's style sheet, so that one drawing serves light and dark."""

_SETTINGS: dict[Any, Any] = {  # the names of settings are typed in some versions of matplotlib only
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched, and takes the page's font
    "text.parse_math": False,  # an operation may be called $x
    "font.size": 11.0,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.linewidth": 1.0,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "grid.color": RULE,
    "hatch.color": MUTED,
    "hatch.linewidth": 0.6,
}


def drawing(width: float, height: float, *, name: str, label: str, draw: Callable[[Figure], None]) -> str:
    """The SVG element, `width` by `height` CSS pixels (the same unit as font sizes), that `draw` makes on an empty figure.

    Args:
        width: in CSS pixels.
        height: in CSS pixels.
        name: stands before every id, so that ids of two drawings on one page differ; letters, digits and hyphens.
        label: what the drawing shows, for those who cannot see it.
        draw: gets the figure; its size in inches is pixels / 72.
    """
    text = io.StringIO()
    with matplotlib.style.context("default"), matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        figure.patch.set_visible(False)
        draw(figure)
        figure.savefig(text, format="svg")
    return _for_a_page(text.getvalue(), name=name, label=label)


def drawable(text: str) -> str:
    """`text` in characters that the drawing font has; others as their escapes."""
    return plain(text).encode("cp1252", "backslashreplace").decode("cp1252")


def _for_a_page(svg: str, *, name: str, label: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<[^>]*>", lambda tag: _with_own_ids(tag[0], name), svg)  # in text and attributes > is escaped
    svg = re.sub(r' (width|height)="([0-9.]+)pt"', r' \1="\2"', svg, count=2)
    return svg.replace("<svg", f'<svg class="plot" role="img" aria-label="{escape(plain(label))}"', 1)


def _with_own_ids(tag: str, name: str) -> str:
    tag = re.sub(r'(?<=\bid=")', f"{name}-", tag)
    tag = re.sub(r'(?<=href="#)|(?<=url\(#)', f"{name}-", tag)
    for colour, variable in _VARIABLES.items():
        tag = tag.replace(colour, f"var({variable})")
    return tag
