"""Validation accuracy over the epochs of both stages, with the prune rounds marked: the form of the paper's Figure 1."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lnas.report import svg
from lnas.report.read import RunFiles

MOST_LINES = 250
"""Of prune rounds in one figure; more would be one area."""
STAGES = ("search", "train")
_COLOURS = {"search": svg.SEARCH, "train": svg.TRAIN}


@dataclass(frozen=True)
class Curve:
    """One stage: accuracy at its epochs, and its prune rounds on the same axis."""

    stage: str
    epochs: tuple[int, ...]
    accuracies: tuple[float, ...]
    """Fractions of 1, one for each of `epochs`."""
    rounds: tuple[float, ...]
    """When, in epochs: step over steps per epoch."""
    sparsities: tuple[float, ...]
    """Attained, one for each of `rounds`."""

    @property
    def end(self) -> float:
        """Where the axis ends."""
        return max(1.0, *self.epochs, *self.rounds)


def curves(files: RunFiles) -> tuple[Curve, ...]:
    """The stages that have an epoch with an accuracy, in the order they ran."""
    return tuple(curve for stage in STAGES if (curve := _curve(files, stage)).epochs)


def draw_accuracy(files: RunFiles, *, width: int, name: str) -> str:
    """An SVG of one panel a stage; below it, where the run pruned, the sparsity attained over the same epochs.

    Args:
        files: with at least one epoch.
        width: in CSS pixels.
        name: stands before the ids of the SVG.
    """
    found = curves(files)
    pruned = any(curve.rounds for curve in found)
    height = 330 if pruned else 250
    label = "Validation accuracy by epoch. " + " ".join(
        f"{curve.stage}: from {curve.accuracies[0]:.1%} to {curve.accuracies[-1]:.1%} in {len(curve.epochs)} epochs, "
        f"{len(curve.rounds)} prune rounds."
        for curve in found
    )
    return svg.drawing(width, height, name=name, label=label, draw=lambda figure: _draw(figure, found, pruned, width, height))


def _curve(files: RunFiles, stage: str) -> Curve:
    epochs = [epoch for epoch in files.epochs if epoch.stage == stage]
    measured = [
        (epoch.epoch, epoch.validation_accuracy)
        for epoch in epochs
        if epoch.validation_accuracy is not None and math.isfinite(epoch.validation_accuracy)
    ]
    # the last epoch of a stage may be shorter: the most steps per epoch are those of a whole one
    steps = [epoch.step / epoch.epoch for epoch in epochs if epoch.step and epoch.epoch > 0]
    prunes = [prune for prune in files.prunes if prune.stage == stage]
    return Curve(
        stage=stage,
        epochs=tuple(epoch for epoch, _ in measured),
        accuracies=tuple(accuracy for _, accuracy in measured),
        rounds=tuple(prune.step / max(steps) for prune in prunes) if steps else (),
        sparsities=tuple(prune.attained for prune in prunes) if steps else (),
    )


def _draw(figure: Figure, found: Sequence[Curve], pruned: bool, width: int, height: int) -> None:
    figure.subplots_adjust(
        left=60 / width, right=1 - 12 / width, top=1 - 28 / height, bottom=42 / height, hspace=0.12, wspace=24 / width
    )
    longest = max(curve.end for curve in found)
    grid = figure.add_gridspec(
        2 if pruned else 1,
        len(found),
        width_ratios=[max(curve.end, 0.6 * longest) for curve in found],
        height_ratios=[3, 1] if pruned else [1],
    )
    upper: Axes | None = None
    for column, curve in enumerate(found):
        axes = figure.add_subplot(grid[0, column], sharey=upper)
        upper = upper or axes
        _draw_accuracies(axes, curve, first=column == 0)
        bottom = axes
        if pruned:
            bottom = figure.add_subplot(grid[1, column], sharex=axes)
            _draw_sparsities(bottom, curve, first=column == 0)
            axes.tick_params(labelbottom=False)
        bottom.set_xlabel("epoch", fontsize=11)


def _draw_accuracies(axes: Axes, curve: Curve, *, first: bool) -> None:
    _prepare(axes, curve, first=first)
    axes.plot(
        curve.epochs,
        [100 * accuracy for accuracy in curve.accuracies],
        color=_COLOURS[curve.stage],
        linewidth=2,
        marker="o" if len(curve.epochs) <= 40 else "",
        markersize=4,
        solid_joinstyle="round",
    )
    axes.set_title(f"{curve.stage}: {100 * curve.accuracies[-1]:.1f} %", loc="left", fontsize=12, color=_COLOURS[curve.stage])
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))


def _draw_sparsities(axes: Axes, curve: Curve, *, first: bool) -> None:
    _prepare(axes, curve, first=first)
    axes.set_ylim(0, 100)
    axes.set_yticks([0, 50, 100], ["0 %", "50 %", "100 %"])
    if curve.rounds:
        when, sparsities = [0.0, *curve.rounds, curve.end], [0.0, *curve.sparsities, curve.sparsities[-1]]
        axes.fill_between(when, [100 * s for s in sparsities], step="post", color=svg.PRUNED, alpha=0.3, linewidth=0)
        axes.step(when, [100 * s for s in sparsities], where="post", color=svg.PRUNED, linewidth=1.5)
    else:
        axes.text(0.5, 0.5, "not pruned", transform=axes.transAxes, ha="center", va="center", color=svg.MUTED)


def _prepare(axes: Axes, curve: Curve, *, first: bool) -> None:
    """What both rows share: a light grid, epochs from 0 on, and a line at each prune round."""
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=3, labelsize=11, labelleft=first)
    axes.set_xlim(0, curve.end * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    for when in curve.rounds[:: 1 + len(curve.rounds) // MOST_LINES]:
        axes.axvline(when, color=svg.PRUNED, linewidth=1, linestyle=(0, (2, 2)))
