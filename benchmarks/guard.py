"""A step of our search whose losses and gradients are looked at before every update, to the same step unwatched."""

from functools import partial

from torch import Tensor

import lnas
from benchmarks.measured import Measured
from benchmarks.search import strategy
from benchmarks.sizes import device, pictures, size_of
from benchmarks.timing import Call, interleaved, ratio, steps_per_second
from lnas.host.guard import Guard


def measure(*, quick: bool) -> Measured:
    """guard_big and guard_small."""
    ratios, figures = {}, {}
    for name, rounds in (("big", 3), ("small", 15)):
        size = size_of(name, quick=quick)
        pair = pictures(size, 1), pictures(size, 2)
        plain, watched, guard = strategy(size), strategy(size), Guard.on(device())

        variants: dict[str, Call] = {
            "plain": partial(plain.step, *pair),
            f"guard_{name}": partial(_guarded, guard, watched, pair),
        }
        seconds = interleaved(variants, rounds=rounds, warmup=1)
        ratios[f"guard_{name}"] = ratio(seconds[f"guard_{name}"], seconds["plain"])
        figures[f"steps_per_second, {name}"] = steps_per_second(seconds)
    return Measured(ratios=ratios, figures=figures)


def _guarded(guard: Guard, strategy: lnas.SearchStrategy, pair: tuple[tuple[Tensor, Tensor], ...]) -> None:
    guard.before(strategy, "search", 0)
    strategy.step(*pair)
