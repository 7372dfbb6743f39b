"""A whole search that prunes alpha as it goes (the search of Variant 2), to a search of as many steps that does not."""

import torch

import lnas
from benchmarks.measured import Measured
from benchmarks.search import ours, strategy
from benchmarks.sizes import Size, pictures, size_of
from benchmarks.timing import progress, seconds_of

ROUNDS = 10


def pipeline(size: Size, schedule: lnas.PruningSchedule, steps: int) -> lnas.Pipeline:
    """The search stage of the recipe, alone."""
    pruning = lnas.Pruning(lnas.Alpha, schedule, lnas.probability)
    return lnas.Pipeline(lnas.Search(strategy(size, steps=steps), pruning, steps))


def measure(*, quick: bool) -> Measured:
    """variant2_search_875: 10 rounds to a sparsity of 0.875.

    All steps of both count, and with them the prune rounds.  Both searches advance by one step in turn.
    """
    each = 1 if quick else 20 if torch.cuda.is_available() else 3
    size, steps = size_of("small", quick=quick), ROUNDS * each
    warm = ours(size)
    for _ in range(2):
        warm()
    searches = {
        "plain": pipeline(size, lnas.Never(), steps),
        "variant2": pipeline(size, lnas.Iterative(0.875, rounds=ROUNDS), steps),
    }
    train, val = pictures(size, 1), pictures(size, 2)
    spent = dict.fromkeys(searches, 0.0)
    for step in range(steps):
        for name in searches if step % 2 else reversed(searches):
            search = searches[name]
            spent[name] += seconds_of(lambda search=search: search.step(train, val))  # type: ignore[misc]
    assert all(search.done for search in searches.values())
    progress(", ".join(f"{name}: {seconds:.3f} s in {steps} steps" for name, seconds in spent.items()))
    return Measured(
        ratios={"variant2_search_875": spent["variant2"] / spent["plain"]},
        figures={"steps_per_second": {name: steps / seconds for name, seconds in spent.items()}},
    )
