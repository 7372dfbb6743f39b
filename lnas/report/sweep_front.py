"""Accuracy against a cost: every row a point, and the rows that no other beats in both."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lnas.report import svg
from lnas.report.sweep_numbers import Quantity
from lnas.report.sweep_series import series
from lnas.report.text import line, plain
from lnas.sweep.results import Results

WIDTH, _HEIGHT = 368, 274
"""Fits the narrowest screen; two stand side by side on a wide one."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 34, 26
_CHARACTER, _LINE = 5.6, 11
_LONGEST = 22
_RATIO = 12
"""Between the highest and the lowest cost; from there on the axis is logarithmic."""
_MOST_LABELS = 40


@dataclass(frozen=True)
class Point:
    """A row: the means over its seeds.

    Attributes:
        row: its label.
        name: what stands beside the point: the sparsity, or the label where the row asks for none; the kind of a control.
        cost: mean.
        accuracy: mean.
        n: seeds.
        colour: of its series.
        marker: of its series; "x" of a control.
        control: whether it is one, and so never on the front.
    """

    row: str
    name: str
    cost: float
    accuracy: float
    n: int
    colour: str
    marker: str
    control: bool


def placed(results: Results, accuracy: Quantity, cost: Quantity) -> tuple[Point, ...]:
    """The rows of which both are known, in the order of the table; a mean is over the seeds that have both."""
    looks = {row.label: (one.colour, one.marker) for one in series(results) for row in one.rows}
    found = []
    for row in results.rows:
        accuracies, costs = accuracy.of(results, row), cost.of(results, row)
        if both := sorted(accuracies.keys() & costs.keys()):
            sparsity = None if row.sparsity is None else f"{row.sparsity:.4g}"
            name = line(row.control or sparsity or row.label, most=_LONGEST)
            cost_mean, accuracy_mean = (fmean(values[seed] for seed in both) for values in (costs, accuracies))
            colour, marker = looks.get(row.label, (svg.MUTED, "x"))
            means = (cost_mean, accuracy_mean, len(both))
            found.append(Point(row.label, svg.drawable(name), *means, colour, marker, row.control is not None))
    return tuple(found)


def front(found: Iterable[Point]) -> tuple[Point, ...]:
    """The points that no other beats: none is at least as good in both and better in one.  From the least cost to the most.

    Controls are left out: nobody would choose one.
    """
    best: list[Point] = []
    for point in sorted((point for point in found if not point.control), key=lambda point: (point.cost, -point.accuracy)):
        if not best or point.accuracy > best[-1].accuracy or (point.cost, point.accuracy) == (best[-1].cost, best[-1].accuracy):
            best.append(point)
    return tuple(best)


def draw_front(results: Results, accuracy: Quantity, cost: Quantity, *, name: str) -> str:
    """An SVG of one panel; the front is a line of steps, the best accuracy that a cost can buy.

    Args:
        results: with at least one row that has both.
        accuracy: the more, the better.
        cost: the less, the better.
        name: stands before the ids of the SVG.
    """
    found = placed(results, accuracy, cost)
    best = front(found)
    words = ", ".join(
        f"{point.row} ({accuracy.words(point.accuracy)} at {cost.words(point.cost)}, n = {point.n})" for point in best
    )
    label = plain(f"Mean {accuracy.name} against {cost.name} of {len(found)} rows. On the Pareto front: {words or 'none'}.")
    return svg.drawing(WIDTH, _HEIGHT, name=name, label=label, draw=lambda figure: _draw(figure, found, best, accuracy, cost))


def _draw(figure: Figure, found: Sequence[Point], best: Sequence[Point], accuracy: Quantity, cost: Quantity) -> None:
    figure.subplots_adjust(left=_LEFT / WIDTH, right=1 - _RIGHT / WIDTH, top=1 - _TOP / _HEIGHT, bottom=_BOTTOM / _HEIGHT)
    axes = figure.add_subplot()
    axes.set_title(cost.name, loc="left", fontsize=12, color=svg.INK)
    _scale(axes, found, cost)
    if best:
        end = axes.get_xlim()[1]
        costs, heights = [*(point.cost for point in best), end], [*(point.accuracy for point in best), best[-1].accuracy]
        axes.step(costs, heights, where="post", color=svg.INK, linewidth=1.2, alpha=0.7, zorder=1)
    for point in found:
        axes.plot([point.cost], [point.accuracy], marker=point.marker, markersize=6, linestyle="", zorder=3, color=point.colour)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: accuracy.tick(value)))
    axes.set_ylabel(accuracy.name, fontsize=11)
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=3, labelsize=11)
    _write_names(axes, found, best)


def _scale(axes: Axes, found: Sequence[Point], cost: Quantity) -> None:
    costs, heights = [point.cost for point in found], [point.accuracy for point in found]
    span = (max(heights) - min(heights)) or 0.02
    axes.set_ylim(min(heights) - 0.12 * span, max(heights) + 0.16 * span)
    least, most = min(costs), max(costs)
    if least > 0 and most / least > _RATIO:
        axes.set_xscale("log")
        margin = (most / least) ** 0.08
        axes.set_xlim(least / margin, most * margin)
        ticks = list(_round_numbers(least / margin, most * margin))
        axes.set_xticks(ticks[:: 1 + (len(ticks) - 1) // 5])
        axes.minorticks_off()
    else:
        margin = 0.1 * ((most - least) or abs(most) or 1.0)
        axes.set_xlim(least - margin, most + margin)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: cost.tick(value)))


def _round_numbers(least: float, most: float) -> Iterator[float]:
    """1, 2 and 5 of every power of ten between the two."""
    for power in range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1):
        yield from (value for digit in (1, 2, 5) if least <= (value := digit * 10.0**power) <= most)


def _write_names(axes: Axes, found: Sequence[Point], best: Sequence[Point]) -> None:
    """Beside each point, those of the front first, where no other point or name is; a name that has no place is left out."""
    width, height = WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    to_axes = axes.transData + axes.transAxes.inverted()
    places = {id(point): to_axes.transform((point.cost, point.accuracy)) * (width, height) for point in found}
    taken = [(x - 3, y - 3, x + 3, y + 3) for x, y in places.values()]
    for one, other in pairwise(best):
        (x, y), (x_other, y_other) = places[id(one)], places[id(other)]
        taken += [(x, y - 1, x_other, y + 1), (x_other - 1, y, x_other + 1, y_other)]
    chosen = {id(point) for point in best}
    for point in sorted(found, key=lambda point: (id(point) not in chosen, point.control))[:_MOST_LABELS]:
        x, y = places[id(point)]
        long = _CHARACTER * len(point.name)
        for left, bottom in (
            (5, 3),
            (-5 - long, 3),
            (5, -3 - _LINE),
            (-5 - long, -3 - _LINE),
            (-long / 2, 6),
            (-long / 2, -6 - _LINE),
        ):
            box = (x + left, y + bottom, x + left + long, y + bottom + _LINE)
            inside = box[0] >= 0 and box[2] <= width + _RIGHT - 2 and box[1] >= 0 and box[3] <= height
            if inside and not _overlaps(box, taken):
                taken.append(box)
                axes.annotate(
                    point.name, (box[0] / width, box[1] / height), xycoords="axes fraction", fontsize=10, color=svg.INK, zorder=4
                )
                break


def _overlaps(box: tuple[float, float, float, float], taken: Iterable[tuple[float, float, float, float]]) -> bool:
    return any(box[0] < right and left < box[2] and box[1] < top and bottom < box[3] for left, bottom, right, top in taken)
