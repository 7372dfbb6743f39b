"""Interleaved timing: every variant once per round, so that a busy moment of the machine hits all of them."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TypeAlias

import click
import torch

Call: TypeAlias = Callable[[], object]
Seconds: TypeAlias = dict[str, list[float]]
"""Of each variant, one entry a round: entries with the same index were measured side by side."""


def seconds_of(call: Call) -> float:
    """Seconds of one call, with the work that it left queued on an accelerator; no older garbage is collected in it."""
    gc.collect()
    _wait()
    began = time.perf_counter()
    call()
    _wait()
    return time.perf_counter() - began


def interleaved(variants: Mapping[str, Call], *, rounds: int, warmup: int = 1) -> Seconds:
    """Seconds of each variant in `rounds` rounds, after `warmup` rounds that do not count.

    Every other round goes through the variants backwards, so that none always comes after the same other.  On a GPU, whose
    steps are short and begin by choosing kernels or capturing graphs, there are at least 20 rounds and 5 before them.
    """
    if torch.cuda.is_available():
        rounds, warmup = max(rounds, 20), max(warmup, 5)
    found: Seconds = {name: [] for name in variants}
    for round in range(-warmup, rounds):
        for name in list(variants)[:: 1 if round % 2 == 0 else -1]:
            spent = seconds_of(variants[name])
            progress(f"{name}: {spent:.3f} s{'' if round >= 0 else ' (warm-up)'}")
            if round >= 0:
                found[name].append(spent)
    return found


def ratio(these: Sequence[float], those: Sequence[float]) -> float:
    """The median over the rounds of this variant's seconds to that one's."""
    return median(this / that for this, that in zip(these, those, strict=True))


def steps_per_second(seconds: Seconds) -> dict[str, float]:
    """One over the median of each variant."""
    return {name: 1 / median(spent) for name, spent in seconds.items()}


def progress(text: str) -> None:
    """A line on stderr."""
    click.echo(f"  {text}", err=True)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
