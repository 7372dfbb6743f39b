"""Validation accuracy over the epochs of the training, a line for each sparsity: the two panels of the paper's Figure 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from lnas.report import svg
from lnas.report.sweep_numbers import n_of
from lnas.report.sweep_series import Series, series
from lnas.report.text import line, plain
from lnas.sweep.figures import percent
from lnas.sweep.hypothesis import recipe_of
from lnas.sweep.results import Results, Row

WIDTH, _HEIGHT = 368, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 58, 30, 42
_LABEL = 12.5
"""Height of a line's name at its end."""
_MOST_NAMED = 18


@dataclass(frozen=True)
class Curve:
    """A row: the means over its seeds after each epoch, up to the last that all of them have.

    Attributes:
        name: its sparsity, or its recipe where it asks for none.
        sparsity: asked.
        own: accuracy of each epoch.
        best: the highest up to each epoch.
        seeds: how many.
    """

    name: str
    sparsity: float | None
    own: tuple[float, ...]
    best: tuple[float, ...]
    seeds: int


@dataclass(frozen=True)
class Panel:
    """A recipe: its levels, and the baselines to hold them against."""

    title: str
    colour: str
    levels: tuple[Curve, ...]
    baselines: tuple[Curve, ...]


def panels(results: Results) -> tuple[Panel, ...]:
    """In the order of the table; a baseline has a panel of its own only where there is nothing else."""
    drawn = [(one, _curves(results, one)) for one in series(results)]
    baselines = tuple(curve for one, curves in drawn if one.baseline for curve in curves)
    others = [(one, curves) for one, curves in drawn if not one.baseline and curves]
    if others:
        return tuple(Panel(one.name, one.colour, curves, baselines) for one, curves in others)
    return tuple(Panel(one.name, one.colour, curves, ()) for one, curves in drawn if curves)


def draw_panel(panel: Panel, *, name: str) -> str:
    """An SVG: a strong line is the accuracy of each epoch, a faint one the highest up to it; dashed is the baseline.

    Args:
        panel: of a recipe.
        name: stands before the ids of the SVG.
    """
    words = ", ".join(
        f"{curve.name} ends at {percent(curve.own[-1])}, its highest is {percent(curve.best[-1])} (n = {curve.seeds})"
        for curve in (*panel.baselines, *panel.levels)
    )
    label = plain(f"{panel.title}: validation accuracy of each epoch, in percent. {words}.")
    return svg.drawing(WIDTH, _HEIGHT, name=name, label=label, draw=lambda figure: _draw(figure, panel))


def _curves(results: Results, one: Series) -> tuple[Curve, ...]:
    return tuple(curve for row in one.rows if (curve := _curve(results, row)) is not None)


def _curve(results: Results, row: Row) -> Curve | None:
    courses = [trial.course for _, trial in sorted(results.of(row.label).items()) if trial.course]
    if not courses:
        return None
    own = tuple(sum(values) / len(courses) for values in zip(*courses, strict=False))  # up to the shortest
    best = tuple(sum(values) / len(courses) for values in zip(*(accumulate(course, max) for course in courses), strict=False))
    name = recipe_of(row) if row.sparsity is None else f"{row.sparsity:.4g}"
    return Curve(svg.drawable(line(name, most=9)), row.sparsity, own, best, len(courses))


def _draw(figure: Figure, panel: Panel) -> None:
    figure.subplots_adjust(left=_LEFT / WIDTH, right=1 - _RIGHT / WIDTH, top=1 - _TOP / _HEIGHT, bottom=_BOTTOM / _HEIGHT)
    axes = figure.add_subplot()
    for curve in panel.baselines:
        axes.plot(_epochs(curve), curve.best, color=svg.MUTED, linewidth=0.9, alpha=0.5, linestyle=(0, (4, 3)), zorder=1)
        axes.plot(_epochs(curve), curve.own, color=svg.MUTED, linewidth=1.5, linestyle=(0, (4, 3)), zorder=2)
    for curve, strength in zip(panel.levels, _strengths(len(panel.levels)), strict=True):
        axes.plot(_epochs(curve), curve.best, color=panel.colour, linewidth=0.9, alpha=0.35 * strength, zorder=1)
        one = len(curve.own) == 1
        axes.plot(
            *(_epochs(curve), curve.own),
            color=panel.colour,
            linewidth=0.8 + 1.4 * strength,
            alpha=strength,
            zorder=3,
            marker="o" if one else "",
            markersize=5,
        )
    longest = max(len(curve.best) for curve in (*panel.levels, *panel.baselines))
    axes.set_xlim(*((1, longest) if longest > 1 else (0.5, 1.5)))
    seeds = n_of(curve.seeds for curve in (*panel.baselines, *panel.levels))
    axes.set_title(f"{panel.title}, {seeds}", loc="left", fontsize=12, color=panel.colour)
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=3, labelsize=11)
    axes.set_xlabel("epoch of the training", fontsize=11)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True) if longest > 1 else FixedLocator([1]))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    _write_names(axes, panel)


def _epochs(curve: Curve) -> range:
    return range(1, len(curve.best) + 1)


def _strengths(count: int) -> list[float]:
    """The more is pruned, the stronger the line."""
    return [0.35 + 0.65 * (index + 1) / count for index in range(count)]


def _write_names(axes: Axes, panel: Panel) -> None:
    """At the end of each line its sparsity; where two would touch, they are moved apart, and a thin line leads to each."""
    curves = [*((curve, svg.MUTED) for curve in panel.baselines), *((curve, panel.colour) for curve in panel.levels)]
    curves = curves[:: 1 + (len(curves) - 1) // _MOST_NAMED]
    height = _HEIGHT - _TOP - _BOTTOM
    low, high = axes.get_ylim()
    curves.sort(key=lambda pair: pair[0].own[-1])
    ends = [height * (curve.own[-1] - low) / (high - low) for curve, _ in curves]
    (left, right), width = axes.get_xlim(), WIDTH - _LEFT - _RIGHT
    for (curve, colour), end, place in zip(curves, ends, _apart(ends, _LABEL, height), strict=True):
        stop = (len(curve.best) - left) / (right - left)
        axes.plot(
            [stop, 1 + 4 / width, 1 + 9 / width],
            [end / height, place / height, place / height],
            transform=axes.transAxes,
            color=colour,
            linewidth=0.6,
            alpha=0.7,
            clip_on=False,
        )
        axes.text(1 + 11 / width, place / height, curve.name, transform=axes.transAxes, fontsize=10, color=colour, va="center")


def _apart(places: Sequence[float], distance: float, height: float) -> list[float]:
    """Ascending places, moved as little as a sweep from below and one from above need, so that none touch."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + distance) if moved else place)
    limit = height
    for index in reversed(range(len(moved))):
        moved[index] = min(moved[index], limit)
        limit = moved[index] - distance
    return moved
