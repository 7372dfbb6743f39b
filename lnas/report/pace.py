"""How long the epochs of a search took, and with how many live paths: a pruned path costs nothing, and here that is seen."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from lnas.report.documents import Epoch
from lnas.report.read import RunFiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEIGHT = 200
_MOST_LINES = 250
"""Of prune rounds; more would be one area."""
_UNITS = ((3600, "hours"), (60, "minutes"), (1, "seconds"))
"""(seconds, name), the longest first."""


@dataclass(frozen=True)
class Pace:
    """One whole epoch of the search."""

    epoch: int
    seconds: float
    """Of this epoch alone, with its validation."""
    live_paths: int
    """When the epoch began, over all groups."""


def paces(files: RunFiles) -> tuple[Pace, ...]:
    """The epochs of the search in order; one is left out where its time or its paths cannot be told.

    That is: where the epoch before it is missing, where the journal lacks the seconds or the paths or they make no sense, and
    where it has fewer steps than the epoch before it, as the last one of a stage may.
    """
    rows = {epoch.epoch: epoch for epoch in files.epochs if epoch.stage == "search"}
    rows[0] = Epoch(stage="search", epoch=0, step=0, seconds=0.0, live_paths=_live_at_first(files, rows.get(1)))
    found = []
    steps_before = None
    for earlier, row in pairwise(rows[number] for number in sorted(rows)):
        if row.epoch > earlier.epoch + 1:
            steps_before = None
            continue
        steps = None if row.step is None or earlier.step is None else row.step - earlier.step
        shorter = steps is not None and steps_before is not None and steps < steps_before
        steps_before = steps
        seconds = math.nan if row.seconds is None or earlier.seconds is None else row.seconds - earlier.seconds
        if not shorter and math.isfinite(seconds) and seconds >= 0 and earlier.live_paths is not None:
            found.append(Pace(row.epoch, seconds, earlier.live_paths))
    return tuple(found)


def medians(found: Sequence[Pace]) -> tuple[tuple[int, float], ...]:
    """(live paths, median seconds) of the epochs that began with the most paths, then of those with the fewest.

    One entry where the number never changed, none where there is no epoch.
    """
    numbers = {pace.live_paths for pace in found}
    extremes = sorted({max(numbers), min(numbers)}, reverse=True) if numbers else []
    return tuple((number, statistics.median(pace.seconds for pace in found if pace.live_paths == number)) for number in extremes)


def draw_pace(files: RunFiles, *, width: int, name: str) -> str:
    """An SVG of one bar an epoch, which ends where the epoch does, and a dashed line at each prune round of the search.

    Args:
        files: with at least one epoch in `paces`.
        width: in CSS pixels.
        name: stands before the ids of the SVG.
    """
    from lnas.report import svg  # matplotlib takes longer to import than the table of a run, which reads `paces`, to print

    found, rounds = paces(files), _rounds(files)
    medians_in_words = ", ".join(f"{seconds:.3g} seconds with {number:,} live paths" for number, seconds in medians(found))
    label = f"Time per epoch of the search, median: {medians_in_words}. {len(found)} epochs, {len(rounds)} prune rounds."
    return svg.drawing(width, _HEIGHT, name=name, label=label, draw=lambda figure: _draw(figure, found, rounds, width))


def _live_at_first(files: RunFiles, first: Epoch | None) -> int | None:
    """Paths alive when the first epoch began; None where that is not known."""
    if any(prune.stage == "search" and prune.step == 0 for prune in files.prunes):
        # rounds before the first step are all the rounds there are, so that the first epoch ends with as many
        return None if first is None else first.live_paths
    space = next((start.space for start in files.starts if start.stage == "search"), None)
    return sum(len(group.edges) * len(group.operations) for group in space.values()) if space else None


def _rounds(files: RunFiles) -> tuple[float, ...]:
    """When the search was pruned, in epochs: step over steps per epoch."""
    # the last epoch may be shorter: the most steps per epoch are those of a whole one
    steps = [epoch.step / epoch.epoch for epoch in files.epochs if epoch.stage == "search" and epoch.step and epoch.epoch > 0]
    return tuple(prune.step / max(steps) for prune in files.prunes if prune.stage == "search") if steps else ()


def _draw(figure: "Figure", found: Sequence[Pace], rounds: Sequence[float], width: int) -> None:
    from lnas.report import svg

    figure.subplots_adjust(left=46 / width, right=1 - 12 / width, top=1 - 28 / _HEIGHT, bottom=42 / _HEIGHT)
    axes = figure.add_subplot()
    longest = max(pace.seconds for pace in found)
    size, unit = next((unit for unit in _UNITS if longest >= 2 * unit[0]), _UNITS[-1])
    begins, ends = [pace.epoch - 1 for pace in found], [pace.epoch for pace in found]
    heights = [pace.seconds / size for pace in found]
    axes.bar(begins, heights, width=1.0, align="edge", color=svg.SEARCH, alpha=0.3, linewidth=0)
    axes.hlines(heights, begins, ends, color=svg.SEARCH, linewidth=2)
    for when in rounds[:: 1 + len(rounds) // _MOST_LINES]:
        axes.axvline(when, color=svg.PRUNED, linewidth=1, linestyle=(0, (2, 2)))
    axes.set_title(f"search: {unit} per epoch", loc="left", fontsize=12, color=svg.SEARCH)
    axes.set_xlabel("epoch", fontsize=11)
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=3, labelsize=11)
    axes.set_xlim(0, 1.02 * max([*ends, *rounds]))
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", nbins=5, integer=True)
    axes.locator_params(axis="y", nbins=5)
