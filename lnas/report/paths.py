"""The probability of every path over the search, as one heat map a group."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lnas.core.errors import RunError
from lnas.report import svg
from lnas.report.documents import Group
from lnas.report.read import RunFiles
from lnas.report.text import line

WIDTH = 368
"""Fits a telephone's screen without being scaled, so that its small labels stay legible."""
_ROW, _LEFT, _RIGHT, _TOP, _BOTTOM = 11, 116, 10, 34, 26
# One hue from nearly clear to solid: it works on a light page and on a dark one.
_COLOURS = LinearSegmentedColormap.from_list("probability", [(0.23, 0.51, 0.96, 0.07), (0.23, 0.51, 0.96, 1.0)])


@dataclass(frozen=True)
class PathHistory:
    """The path probabilities of one group."""

    group: str
    edges: tuple[tuple[int, int], ...]
    operations: tuple[str, ...]
    epochs: tuple[int, ...]
    probabilities: NDArray[np.float64]
    """(edges, operations, epochs); a dead path is exactly 0."""


def path_histories(files: RunFiles) -> tuple[PathHistory, ...]:
    """One for each group of the search; none where nothing was searched.

    Raises:
        RunError: where the probabilities of an epoch do not fit the edges and operations of the space.
    """
    space = next((start.space for start in files.starts if start.space), None) or {}
    return tuple(history for name, group in space.items() if (history := _history(files, name, group)).epochs)


def draw_paths(history: PathHistory, *, name: str) -> str:
    """An SVG: rows are edge and operation, columns are epochs; a dead path is hatched from the epoch it died in.

    Args:
        history: of a group.
        name: stands before the ids of the SVG.
    """
    edges, operations, epochs = history.probabilities.shape
    rows = edges * (operations + 1) - 1
    height = rows * _ROW + _TOP + _BOTTOM
    dead = int((history.probabilities[:, :, -1] == 0).sum())
    label = (
        f"Path probabilities of {line(history.group)}: {edges} edges, {operations} operations, {epochs} epochs; "
        f"{dead} of {edges * operations} paths are dead at the end."
    )
    return svg.drawing(WIDTH, height, name=name, label=label, draw=lambda figure: _draw(figure, history, rows, height))


def _history(files: RunFiles, name: str, group: Group) -> PathHistory:
    shape = (len(group.edges), len(group.operations))
    epochs, layers = [], []
    for epoch in files.epochs:
        table = (epoch.alpha or {}).get(name)
        if table is None:
            continue
        if len(table) != shape[0] or any(len(row) != shape[1] for row in table):
            raise RunError(f"run {files.name}: alpha of {name!r} in epoch {epoch.epoch} is not {shape[0]} rows of {shape[1]}")
        epochs.append(epoch.epoch)
        layers.append(np.array(table, dtype=np.float64).reshape(shape))
    probabilities = np.stack(layers, axis=-1) if layers and 0 not in shape else np.zeros((*shape, 0))
    return PathHistory(name, group.edges, group.operations, tuple(epochs) if probabilities.size else (), probabilities)


def _draw(figure: Figure, history: PathHistory, rows: int, height: float) -> None:
    axes = figure.add_axes(
        (_LEFT / WIDTH, _BOTTOM / height, (WIDTH - _LEFT - _RIGHT) / WIDTH, (height - _TOP - _BOTTOM) / height)
    )
    # at least twice the probability that all operations share at first, so that an even choice does not look decided
    most = max(float(np.nan_to_num(history.probabilities).max()), 2 / len(history.operations))
    table = _with_gaps(history.probabilities, fill=np.nan)
    extent = (-0.5, len(history.epochs) - 0.5, rows - 0.5, -0.5)
    live = np.ma.masked_where(~(table > 0), table)
    axes.imshow(live, cmap=_COLOURS, vmin=0, vmax=most, aspect="auto", interpolation="none", extent=extent)
    if (table == 0).any():
        axes.add_patch(_hatched(table == 0))
    _label(axes, history)
    scale = figure.add_axes((_LEFT / WIDTH, 1 - 12 / height, (WIDTH - _LEFT - _RIGHT) / WIDTH, 8 / height))
    scale.imshow(np.linspace(0, 1, 64)[None], cmap=_COLOURS, aspect="auto", interpolation="none", extent=(0, most, 0, 1))
    scale.set_facecolor("none")
    scale.set_yticks([])
    scale.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    scale.tick_params(length=2, labelsize=9, pad=1)
    scale.spines[:].set_visible(False)
    figure.text(_LEFT / WIDTH - 6 / WIDTH, 1 - 8 / height, "probability", ha="right", va="center", fontsize=10, color=svg.MUTED)


def _label(axes: Axes, history: PathHistory) -> None:
    axes.set_facecolor("none")
    axes.spines[:].set_visible(False)
    names = [svg.drawable(line(operation, most=15)) for operation in history.operations]
    ticks: list[int] = []
    labels: list[str] = []
    for index, (source, node) in enumerate(history.edges):
        top = index * (len(names) + 1)
        ticks += range(top, top + len(names))
        labels += names
        axes.annotate(
            f"{source}→{node}",
            (0, top),
            xycoords=("axes fraction", "data"),
            xytext=(4 - _LEFT, 0),
            textcoords="offset points",
            va="center",
            fontsize=10,
            fontweight="bold",
            color=svg.INK,
        )
    axes.set_yticks(ticks, labels)
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.tick_params(axis="x", length=3, labelsize=10)
    shown = range(0, len(history.epochs), -(-len(history.epochs) // 6))
    axes.set_xticks(shown, [str(history.epochs[index]) for index in shown])
    axes.annotate(
        "epoch",
        (0, 0),
        xycoords="axes fraction",
        xytext=(-6, -12),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=10,
        color=svg.MUTED,
    )


def _with_gaps(values: NDArray[np.float64], *, fill: float) -> NDArray[np.float64]:
    """(edges, operations, epochs) as (rows, epochs), one empty row between two edges."""
    edges, operations, epochs = values.shape
    padded = np.full((edges, operations + 1, epochs), fill)
    padded[:, :operations] = values
    return padded.reshape(-1, epochs)[:-1]


def _hatched(cells: NDArray[np.bool_]) -> PathPatch:
    """One patch over all `cells`, of which there is at least one; a run of neighbours in a row is one rectangle."""
    rectangles = []
    for row, flags in enumerate(cells):
        turns = np.flatnonzero(np.diff(flags, prepend=False, append=False))
        for first, end in zip(turns[::2], turns[1::2], strict=True):
            corners = [(first - 0.5, row - 0.42), (end - 0.5, row - 0.42), (end - 0.5, row + 0.42), (first - 0.5, row + 0.42)]
            rectangles.append(Path([*corners, corners[0]], closed=True))
    return PathPatch(Path.make_compound_path(*rectangles), facecolor="none", edgecolor=svg.MUTED, linewidth=0.0, hatch="////")
