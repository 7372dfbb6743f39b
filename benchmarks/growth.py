"""How the cost of a first-order step grows with channels, cells, batch and live paths: four points each, a table and a plot."""

from dataclasses import replace
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from benchmarks.measured import Measured
from benchmarks.search import ours, reference
from benchmarks.sizes import Size, size_of
from benchmarks.timing import Call, interleaved, progress, ratio

OURS, REFERENCE = "ours", "reference"
LIVE = {0.125: 0.875, 0.5: 0.5, 0.75: 0.25, 1.0: 0.0}
"""Sparsity by the share of live paths."""
Curves = dict[str, dict[str, dict[float, float]]]
"""axis -> variant -> point -> cost, in steps of ours at the size that all axes share."""


def points(base: Size) -> dict[str, dict[float, tuple[Size, float]]]:
    """axis -> point -> (size, sparsity); each axis leaves the others as they are in `base`."""
    return {
        "channels": {n: (replace(base, channels=n), 0.0) for n in (4, 8, 12, 16)},
        "cells": {n: (replace(base, layers=n), 0.0) for n in (3, 5, 7, 9)},
        "batch": {n * base.batch // 4: (replace(base, batch=n * base.batch // 4), 0.0) for n in (1, 2, 4, 8)},
        "live paths": {share: (base, sparsity) for share, sparsity in LIVE.items()},
    }


def curves(*, quick: bool) -> Curves:
    """Each point is measured beside our step at the shared size, so that a busy minute moves neither axis nor point.

    A quick run leaves out the reference.
    """
    base, rounds = size_of("small", quick=quick), 1 if quick else 3
    yardstick = ours(base)
    shared = {OURS: 1.0}
    if not quick:
        seconds = interleaved({"base": yardstick, REFERENCE: reference(base)}, rounds=rounds)
        shared[REFERENCE] = ratio(seconds[REFERENCE], seconds["base"])
    found: Curves = {}
    for axis, places in points(base).items():
        found[axis] = {variant: {} for variant in shared}
        for point, (size, sparsity) in places.items():
            costs = dict(shared)
            variants: dict[str, Call] = {}
            if (size, sparsity) != (base, 0.0):
                variants[OURS] = ours(size, sparsity=sparsity)
            if REFERENCE in shared and size != base:  # the reference computes all paths, dead or alive
                variants[REFERENCE] = reference(size)
            if variants:
                progress(f"{axis}: {point:g}")
                seconds = interleaved({"base": yardstick, **variants}, rounds=rounds)
                costs |= {variant: ratio(seconds[variant], seconds["base"]) for variant in variants}
            for variant, cost in costs.items():
                found[axis][variant][point] = cost
    return found


def measure(*, quick: bool, plot: Path | None = None) -> Measured:
    """The curves as figures; with `plot`, also as a drawing."""
    found = curves(quick=quick)
    if plot is not None:
        draw(found, plot)
    return Measured(
        figures={
            f"growth with {axis}, {variant}": {f"{point:g}": cost for point, cost in costs.items()}
            for axis, variants in found.items()
            for variant, costs in variants.items()
        }
    )


def draw(found: Curves, path: Path) -> None:
    """Write an SVG: an axis a panel, both searches in each; costs in steps of ours at the shared size."""
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "growth", "font.size": 9.0}):
        figure = Figure(figsize=(9, 2.6), layout="constrained")
        (panels,) = figure.subplots(1, len(found), squeeze=False)
        for panel, (axis, variants) in zip(panels, found.items(), strict=True):
            for variant, costs in variants.items():
                colour = {OURS: "#0b6e99", REFERENCE: "#8a8a8a"}[variant]
                panel.plot(list(costs), list(costs.values()), marker="o", markersize=4, color=colour, label=variant)
            panel.set_xlabel(axis)
            panel.set_xticks(list(variants[OURS]), [f"{point:g}" for point in variants[OURS]])
            panel.set_ylim(bottom=0)
            panel.spines[["top", "right"]].set_visible(False)
        panels[0].set_ylabel("cost of a step")
        panels[0].legend(frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})
