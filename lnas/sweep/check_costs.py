"""Costs never rise with sparsity, where the masks of a sparser row are within those of a denser one."""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from statistics import fmean

from lnas.host.prune_lines import RECIPES, short
from lnas.sweep.findings import Finding
from lnas.sweep.results import COSTS, Results, Row

FALLING = ("parameters", "macs_nonzero", "macs_structural")
"""Costs that sparsity may only lower; dense multiply-adds do not see a mask."""


_ALPHA = re.compile(r"(?<![\w-])alpha:")
_IN_ROUNDS = re.compile(r"(?<![\w-])[\w-]+:(?!one-shot(?![\w-]))[\w-]")
_OTHER_NETWORK = "; alpha is pruned, so that each sparsity has a search of its own, which may keep operations that cost more"
_OTHER_MASKS = "; weights are pruned in rounds, with a training in between, so that each sparsity has masks of its own"


def costs(results: Results) -> Iterator[Finding]:
    """Of the rows of one recipe, a sparser one costs at most as much: means over the seeds that both have.

    Where alpha is pruned the networks are others, and it may be right; and where weights are pruned in rounds, fewer weights may
    lie where they cost more multiply-adds.
    """
    for rows in _series(results):
        for cost in FALLING:
            for denser, sparser in pairwise(rows):
                before, after = _means(results, denser, sparser, cost)
                if after > before:
                    what = f"{COSTS[cost]} rise with sparsity: {before:,.0f} at p={denser.sparsity:g},"
                    what += f" {after:,.0f} at p={sparser.sparsity:g}"
                    lines = [line for row in (denser, sparser) for line in _lines(results, row)]
                    if any(map(_ALPHA.search, lines)):
                        yield Finding("noted", "costs", sparser.label, what + _OTHER_NETWORK)
                    elif cost != "parameters" and any(map(_IN_ROUNDS.search, lines)):
                        yield Finding("noted", "costs", sparser.label, what + _OTHER_MASKS)
                    else:
                        yield Finding("violated", "costs", sparser.label, what)


def _lines(results: Results, row: Row) -> list[str]:
    """What the row prunes, as it was configured; where nothing says so, by its recipe."""
    lines = [trial.config["prune"] for trial in results.trials if trial.row == row.label and "prune" in trial.config]
    return lines or [str(spec) for spec in RECIPES.get(short(row.recipe), ())]


def _series(results: Results) -> Iterator[list[Row]]:
    """Rows that differ in their sparsity alone, from the densest."""
    found: dict[tuple[str, str | None, tuple[tuple[str, str], ...]], list[Row]] = {}
    for row in results.rows:
        if row.sparsity is not None and row.control != "dense":  # whose width is what it is: no sparsity
            found.setdefault((row.recipe, row.control, tuple(sorted(row.varied.items()))), []).append(row)
    for rows in found.values():
        yield sorted(rows, key=lambda row: row.sparsity or 0.0)


def _means(results: Results, first: Row, second: Row, cost: str) -> tuple[float, float]:
    """Over the same seeds, so that a trial that failed does not look like a cost."""
    values = [_costs(results, row, cost) for row in (first, second)]
    seeds = values[0].keys() & values[1].keys()
    return (fmean(values[0][seed] for seed in seeds), fmean(values[1][seed] for seed in seeds)) if seeds else (0.0, 0.0)


def _costs(results: Results, row: Row, cost: str) -> Mapping[int, int]:
    return {seed: value for seed, trial in results.of(row.label).items() if (value := getattr(trial, cost)) is not None}
