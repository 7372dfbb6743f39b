"""What a step of the search costs when a part of its paths has died, relative to a step with none dead."""

from benchmarks.measured import Measured
from benchmarks.search import ours
from benchmarks.sizes import size_of
from benchmarks.timing import interleaved, ratio, steps_per_second


def measure(*, quick: bool) -> Measured:
    """dead_50 and dead_875: the step with 50 and 87.5 % of the paths dead, to the step with none."""
    size = size_of("small", quick=quick)
    variants = {"none dead": ours(size), "dead_50": ours(size, sparsity=0.5), "dead_875": ours(size, sparsity=0.875)}
    seconds = interleaved(variants, rounds=5 if quick else 9, warmup=2)
    return Measured(
        ratios={name: ratio(seconds[name], seconds["none dead"]) for name in ("dead_50", "dead_875")},
        figures={"steps_per_second": steps_per_second(seconds)},
    )
