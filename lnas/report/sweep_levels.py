"""Something against the sparsity that was asked: a line and a band for each recipe, every seed a dot, the baseline across."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from lnas.report import svg
from lnas.report.spread import mean_of
from lnas.report.sweep_numbers import Quantity
from lnas.report.sweep_series import Series, series
from lnas.report.text import plain
from lnas.sweep.results import Results, Row
from lnas.sweep.statistics import Interval

_HEIGHT, _LEGEND_ROW, _CHARACTER = 300, 18, 6.4
_MOST_NAMED = 12
"""Lines of a figure that its legend names."""
_APART, _AROUND = 0.006, 0.05
"""Between the dots of two lines at one sparsity, and on both sides of all."""
_BEYOND = 1.0
"""How far a band may widen the picture, as a part of what the dots span: an interval of two seeds is 13 times their distance."""


@dataclass(frozen=True)
class _Point:
    sparsity: float | None
    values: tuple[float, ...]
    mean: float
    band: Interval | None


@dataclass(frozen=True)
class _Line:
    series: Series
    levels: tuple[_Point, ...]
    across: tuple[_Point, ...]
    """Of rows that ask for no sparsity."""


def has_levels(results: Results, quantity: Quantity) -> bool:
    """Whether there is something to draw."""
    return any(line.levels for line in _lines(results, quantity))


def not_drawn(results: Results, quantity: Quantity) -> tuple[Row, ...]:
    """Rows that prune, and ask for no one sparsity: they have no place on the axis."""
    return tuple(
        row
        for one in series(results)
        for row in one.rows
        if row.sparsity is None and not one.baseline and quantity.of(results, row)
    )


def draw_levels(results: Results, quantity: Quantity, *, width: int, name: str) -> str:
    """An SVG of the quantity; a band is a 95 % interval over the seeds, where the row has one.

    Args:
        results: with something to draw (`has_levels`).
        quantity: of each trial.
        width: in CSS pixels.
        name: stands before the ids of the SVG.
    """
    lines = _lines(results, quantity)
    columns = max(1, int((width - 80) / (40 + _CHARACTER * max(len(line.series.name) for line in lines))))
    legend = _LEGEND_ROW * -(-min(len(lines), _MOST_NAMED) // columns)
    height = _HEIGHT + legend

    def draw(figure: Figure) -> None:
        figure.subplots_adjust(left=78 / width, right=1 - 12 / width, top=1 - (12 + legend) / height, bottom=42 / height)
        axes = figure.add_subplot()
        _draw(axes, lines, quantity)
        _name(axes, lines, columns)

    return svg.drawing(width, height, name=name, label=_label(lines, quantity), draw=draw)


def _lines(results: Results, quantity: Quantity) -> list[_Line]:
    found = []
    for one in series(results):
        measured = [(row, tuple(quantity.of(results, row).values())) for row in one.rows]
        points = [
            _Point(row.sparsity, values, fmean(values), mean_of(results, values).interval) for row, values in measured if values
        ]
        levels = tuple(point for point in points if point.sparsity is not None)
        across = tuple(point for point in points if point.sparsity is None and one.baseline)
        if levels or across:
            found.append(_Line(one, levels, across))
    return found


def _draw(axes: Axes, lines: Sequence[_Line], quantity: Quantity) -> None:
    for index, line in enumerate(lines):
        colour, shift = line.series.colour, _APART * (index - (len(lines) - 1) / 2) * min(1, 6 / len(lines))
        for point in line.across:
            axes.axhline(point.mean, color=colour, linewidth=1.5, linestyle=(0, (4, 3)), zorder=2)
            if point.band is not None:
                axes.axhspan(*point.band, color=colour, alpha=0.15, linewidth=0, zorder=1)
        if line.levels:
            _draw_levels(axes, line, shift)
    axes.set_ylim(*_limits(lines, quantity))
    if _spans_most([point.sparsity for line in lines for point in line.levels if point.sparsity is not None]):
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    else:  # seeds stand beside their level, which must not look like another level
        left, right = axes.get_xlim()
        axes.set_xlim(left - _AROUND, right + _AROUND)
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=3, labelsize=11)
    axes.locator_params(axis="y", nbins=6)
    axes.set_ylabel(quantity.name, fontsize=11)
    axes.set_xlabel("sparsity: part that is removed", fontsize=11)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: quantity.tick(value)))


def _spans_most(sparsities: Sequence[float]) -> bool:
    """Whether they are so far apart that the axis can have its whole length."""
    return max(sparsities) - min(sparsities) >= 0.4


def _draw_levels(axes: Axes, line: _Line, shift: float) -> None:
    colour = line.series.colour
    where = [point.sparsity or 0.0 for point in line.levels]
    known = [(x, *point.band) for x, point in zip(where, line.levels, strict=True) if point.band is not None]
    if known:
        bands = [point.band or (math.nan, math.nan) for point in line.levels]  # a gap where there is no interval
        low, high = [band[0] for band in bands], [band[1] for band in bands]
        axes.fill_between(where, low, high, color=colour, alpha=0.15, linewidth=0, zorder=1)
        axes.vlines(*zip(*known, strict=True), color=colour, alpha=0.2, linewidth=1.5, zorder=1)
    dots = [(x + shift, value) for x, point in zip(where, line.levels, strict=True) for value in point.values]
    axes.plot(*zip(*dots, strict=True), color=colour, linestyle="", marker="o", markersize=3.5, alpha=0.4, markeredgewidth=0)
    means = [point.mean for point in line.levels]
    axes.plot(where, means, color=colour, linewidth=2, marker=line.series.marker, markersize=5.5, zorder=3)


def _limits(lines: Sequence[_Line], quantity: Quantity) -> tuple[float, float]:
    """All dots; the bands as far as values can go and the dots stay far enough apart; and a margin."""
    points = [point for line in lines for point in (*line.levels, *line.across)]
    values = [value for point in points for value in point.values]
    highest = math.inf if quantity.most is None else quantity.most
    bands = [min(max(0.0, edge), highest) for point in points for edge in point.band or ()]
    least, most = min(values), max(values)
    span = (most - least) or abs(most) * 0.02 or 1.0
    low = max(min([least, *bands]), least - _BEYOND * span)
    high = min(max([most, *bands]), most + _BEYOND * span)
    return low - 0.06 * span, high + 0.06 * span


def _name(axes: Axes, lines: Sequence[_Line], columns: int) -> None:
    named = lines[:_MOST_NAMED]
    handles = [
        Line2D([], [], color=line.series.colour, linewidth=2, marker=line.series.marker, markersize=5.5)
        if line.levels
        else Line2D([], [], color=line.series.colour, linewidth=1.5, linestyle=(0, (4, 3)))
        for line in named
    ]
    axes.legend(
        handles,
        [line.series.name for line in named],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        frameon=False,
        fontsize=11,
        borderpad=0,
        borderaxespad=0.3,
        columnspacing=1.5,
        labelspacing=0.3,
    )


def _label(lines: Sequence[_Line], quantity: Quantity) -> str:
    words = [
        f"{line.series.name}: "
        + ", ".join(
            f"{quantity.words(point.mean)} (n = {len(point.values)})"
            + (f" at {point.sparsity:.4g}" if point.sparsity is not None else " without pruning")
            for point in (*line.across, *line.levels)
        )
        for line in lines
    ]
    return plain(f"Mean {quantity.name} over the seeds by sparsity. {'; '.join(words)}.")
