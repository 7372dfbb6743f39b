"""What a step of the search costs when a part of its paths has died, relative to a step with none dead."""

from collections.abc import Callable

import torch

import lnas
from benchmarks.timing import medians

SIZES = {"small": (8, 5, 32, 32), "quick": (4, 3, 16, 16)}
"""channels, layers, batch, side of the pictures."""


def step_with(sparsity: float, size: str) -> Callable[[], object]:
    """One first-order DARTS step on random pictures, after pruning alpha to `sparsity`."""
    channels, layers, batch, side = SIZES[size]
    torch.manual_seed(0)
    space = lnas.CellSpace(lnas.Task((3, side, side), 10), channels=channels, layers=layers)
    strategy = lnas.Darts(space, lnas.cross_entropy)
    lnas.prune(lnas.Alpha(strategy), sparsity, importance=lnas.probability)
    x, y = torch.randn(batch, 3, side, side), torch.randint(0, 10, (batch,))
    return lambda: strategy.step((x, y), (x, y))


def measure(*, quick: bool) -> dict[str, float]:
    """dead_50 and dead_875: the step with 50 and 87.5 % of the paths dead, to the step with none."""
    size, rounds = ("quick", 5) if quick else ("small", 7)
    seconds = medians({str(s): step_with(s, size) for s in (0.0, 0.5, 0.875)}, rounds=rounds)
    return {"dead_50": seconds["0.5"] / seconds["0.0"], "dead_875": seconds["0.875"] / seconds["0.0"]}
