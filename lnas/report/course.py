"""How a search went, epoch by epoch: how decided it was, how much of its architecture had no weights, how long that stood."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lnas.report import svg
from lnas.report.documents import Diagnosis, Group
from lnas.report.read import RunFiles
from lnas.report.text import line

WIDTH = 368
_TALL, _LOW = 250, 130


@dataclass(frozen=True)
class Course:
    """Of one group, or of all groups that are a single edge together; what an epoch does not tell is None."""

    name: str
    most: float
    """The entropy of an even choice among all operations, in nats."""
    epochs: tuple[int, ...]
    entropies: tuple[tuple[float, float, float] | None, ...]
    """Mean, least and most over the edges, in nats."""
    free: tuple[tuple[int, int] | None, ...]
    """(operations without weights, operations) of the architecture."""
    collapsed: tuple[bool, ...]
    architecture_still: int | None
    """At the last epoch, for how many epochs nothing had changed."""
    ranking_still: int | None
    """The same of alpha's ranking on the edge that moved last; None where there is nothing to rank."""
    rounds: tuple[float, ...]
    """When the search was pruned, in epochs."""

    @property
    def collapsed_epochs(self) -> int:
        """How many epochs ended with a collapsed architecture."""
        return sum(self.collapsed)

    @property
    def since(self) -> int | None:
        """The epoch from which on all epochs ended with a collapsed architecture."""
        last = None
        for epoch, collapsed in zip(reversed(self.epochs), reversed(self.collapsed), strict=True):
            if not collapsed:
                break
            last = epoch
        return last

    def sentences(self) -> tuple[str, ...]:
        """What the drawing shows."""
        return tuple(self._sentences())

    def _sentences(self) -> Iterator[str]:
        known = [entropy for entropy in self.entropies if entropy is not None]
        if known:
            (first, *_), (last, least, most) = known[0], known[-1]
            yield (
                f"Entropy of an edge: {first:.3f} nats on the average after the first epoch, {last:.3f} at the end"
                f" (from {least:.3f} to {most:.3f}); an even choice of all operations would have {self.most:.3f}."
            )
        counts = [(count, of, epoch) for epoch, pair in zip(self.epochs, self.free, strict=True) if pair for count, of in [pair]]
        if counts:
            count, of, _ = counts[-1]
            highest, _, when = max(counts, key=lambda entry: entry[0])
            peak = f"; the most were {highest}, after epoch {when}" if highest > count else ""
            yield f"Parameter-free: {count} of {_many(of, 'operation')} at the end{peak}."
        if self.architecture_still is not None:
            yield f"The architecture {_stood(self.architecture_still)}."
        if self.ranking_still is not None:
            yield f"The ranking of the operations on its edges {_stood(self.ranking_still)}."


def courses(files: RunFiles) -> tuple[Course, ...]:
    """One for each group with several edges, then one for all single choices together; none where the journal says nothing."""
    space = next((start.space for start in files.starts if start.stage == "search"), None) or {}
    epochs = [epoch for epoch in files.epochs if epoch.stage == "search" and epoch.diagnosis]
    if not epochs:
        return ()
    steps = [epoch.step / epoch.epoch for epoch in epochs if epoch.step and epoch.epoch > 0]
    prunes = [prune for prune in files.prunes if prune.stage == "search"]
    rounds = tuple(prune.step / max(steps) for prune in prunes) if steps else ()
    told = [(epoch.epoch, epoch.diagnosis or {}) for epoch in epochs]
    single = {name: group for name, group in space.items() if len(group.edges) == 1}
    found = [_course(name, {name: group}, told, rounds) for name, group in space.items() if name not in single]
    if single:
        name = next(iter(single)) if len(single) == 1 else f"{len(single)} choices"
        found.append(_course(name, single, told, rounds))
    return tuple(course for course in found if any(course.entropies) or any(course.free))


def draw_course(course: Course, *, name: str) -> str:
    """An SVG of entropy over epochs, and below it the number of operations without weights.

    Args:
        course: of a group.
        name: stands before the ids of the SVG.
    """
    label = f"{line(course.name)}: {' '.join(course.sentences())}"
    height = _TALL if any(course.entropies) else _LOW
    return svg.drawing(WIDTH, height, name=name, label=label, draw=lambda figure: _draw(figure, course, height))


def _course(
    name: str, groups: Mapping[str, Group], told: Sequence[tuple[int, Mapping[str, Diagnosis]]], rounds: tuple[float, ...]
) -> Course:
    rows = [[diagnosis[group] for group in groups if group in diagnosis] for _, diagnosis in told]
    stills = [[still for one in row for still in one.ranking_still or () if still is not None] for row in rows]
    architectures = [one.architecture_still for one in rows[-1] if one.architecture_still is not None]
    return Course(
        name,
        max(math.log(max(len(group.operations), 1)) for group in groups.values()),
        tuple(epoch for epoch, _ in told),
        tuple(_spread([value for one in row for value in one.entropy or ()]) for row in rows),
        tuple(_counts(row) for row in rows),
        tuple(any(one.collapsed for one in row) for row in rows),
        min(architectures, default=None),
        min(stills[-1], default=None),
        rounds,
    )


def _spread(values: Sequence[float]) -> tuple[float, float, float] | None:
    values = [value for value in values if math.isfinite(value)]
    return (math.fsum(values) / len(values), min(values), max(values)) if values else None


def _counts(row: Sequence[Diagnosis]) -> tuple[int, int] | None:
    pairs = [(one.parameter_free, one.operations) for one in row if one.parameter_free is not None and one.operations is not None]
    return (sum(count for count, _ in pairs), sum(of for _, of in pairs)) if pairs else None


def _draw(figure: Figure, course: Course, height: float) -> None:
    figure.subplots_adjust(left=46 / WIDTH, right=1 - 12 / WIDTH, top=1 - 10 / height, bottom=42 / height, hspace=0.16)
    if any(course.entropies):
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        _draw_entropies(upper, course)
    else:
        lower = figure.add_subplot()
    _draw_counts(lower, course)


def _draw_entropies(axes: Axes, course: Course) -> None:
    known = [(epoch, *entropy) for epoch, entropy in zip(course.epochs, course.entropies, strict=True) if entropy is not None]
    epochs, mean, least, most = zip(*known, strict=True)
    _prepare(axes, course)
    axes.fill_between(epochs, least, most, color=svg.SEARCH, alpha=0.2, linewidth=0)
    axes.plot(epochs, mean, color=svg.SEARCH, linewidth=2, marker="o" if len(epochs) <= 40 else "", markersize=4)
    axes.set_ylim(0, 1.05 * max(course.most, *most, 0.1))
    axes.locator_params(axis="y", nbins=4)
    axes.set_ylabel("nats", fontsize=11)


def _draw_counts(axes: Axes, course: Course) -> None:
    _prepare(axes, course)
    for collapsed, colour in ((False, svg.FREE), (True, svg.PRUNED)):
        chosen = [
            (epoch, pair[0])
            for epoch, pair, flag in zip(course.epochs, course.free, course.collapsed, strict=True)
            if pair is not None and flag is collapsed
        ]
        axes.bar([epoch for epoch, _ in chosen], [count for _, count in chosen], width=0.8, color=colour, linewidth=0)
    axes.set_ylim(0, max([1, *(of for pair in course.free if pair for _, of in [pair])]))
    axes.locator_params(axis="y", nbins=4, integer=True)
    axes.set_xlabel("epoch", fontsize=11)
    axes.set_ylabel("operations", fontsize=11)


def _prepare(axes: Axes, course: Course) -> None:
    """A light grid, whole epochs, and a line at each prune round."""
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=3, labelsize=11)
    axes.set_xlim(min(course.epochs) - 0.6, max(course.epochs) + 0.6)
    axes.locator_params(axis="x", nbins=6, integer=True)
    for when in course.rounds:
        axes.axvline(when, color=svg.PRUNED, linewidth=1, linestyle=(0, (2, 2)))


def _stood(epochs: int) -> str:
    return "changed in the last epoch" if not epochs else f"has stood still for {_many(epochs, 'epoch')}"


def _many(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"
