"""Interleaved timing: every variant once per round, so that a busy moment of the machine hits all of them."""

import time
from collections.abc import Callable, Mapping
from statistics import median


def medians(variants: Mapping[str, Callable[[], object]], *, rounds: int, warmup: int = 2) -> dict[str, float]:
    """Seconds of each variant: the median over `rounds`, after `warmup` rounds that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for round in range(warmup + rounds):
        for name, call in variants.items():
            began = time.perf_counter()
            call()
            if round >= warmup:
                seconds[name].append(time.perf_counter() - began)
    return {name: median(values) for name, values in seconds.items()}
