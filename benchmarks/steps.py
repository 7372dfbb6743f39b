"""A step of our search to a step of the reference: first order, unrolled, with checkpointing, with one path an edge."""

from collections.abc import Mapping

from benchmarks.launches import launches
from benchmarks.measured import Measured
from benchmarks.search import ours, reference
from benchmarks.sizes import size_of
from benchmarks.timing import Call, interleaved, ratio, steps_per_second

ONE_PATH = 7 / 8
"""The sparsity that leaves one of the eight paths of each edge."""


def first_order_big(*, quick: bool) -> Measured:
    """first_order_big, and with every cell computed again in the backward pass."""
    size = size_of("big", quick=quick)
    variants = {
        "reference": reference(size),
        "first_order_big": ours(size),
        "first_order_big_checkpointed": ours(size, checkpointing=True),
    }
    return to_reference(variants, rounds=2 if quick else 3)


def first_order_small(*, quick: bool) -> Measured:
    """first_order_small, and one_path_small: an edge with one live path."""
    size = size_of("small", quick=quick)
    variants = {
        "reference": reference(size),
        "first_order_small": ours(size),
        "one_path_small": ours(size, sparsity=ONE_PATH),
    }
    return to_reference(variants, rounds=3 if quick else 9, warmup=1 if quick else 2)


def unrolled_big(*, quick: bool) -> Measured:
    """unrolled_big: both by finite differences."""
    size = size_of("big", quick=quick)
    variants = {"reference": reference(size, unrolled=True), "unrolled_big": ours(size, unrolled="finite")}
    return to_reference(variants, rounds=1 if quick else 2)


def to_reference(variants: Mapping[str, Call], *, rounds: int, warmup: int = 1) -> Measured:
    """The ratio of each variant to the one named "reference", steps a second, and on a GPU the launches of a step."""
    seconds = interleaved(variants, rounds=rounds, warmup=warmup)
    return Measured(
        ratios={name: ratio(spent, seconds["reference"]) for name, spent in seconds.items() if name != "reference"},
        figures={"steps_per_second": steps_per_second(seconds), **launches(variants)},
    )
