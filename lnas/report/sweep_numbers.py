"""What the trials of a row measured, as numbers over its seeds, and those as words."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from lnas.report.table import duration
from lnas.sweep.figures import percent
from lnas.sweep.results import Results, Row, TrialResult

Reading: TypeAlias = Callable[[TrialResult], float | None]
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"))
_THOUSANDS_FROM = 1e5
"""Smaller numbers are written out."""


@dataclass(frozen=True)
class Quantity:
    """Something that each trial may have measured.

    Attributes:
        name: of an axis, "test accuracy".
        read: from a trial; None where it was not measured.
        words: of one value.
        tick: the same for an axis, without digits that say nothing.
        most: what no value exceeds; None where there is no such thing.  No value is below 0.
    """

    name: str
    read: Reading
    words: Callable[[float], str]
    tick: Callable[[float], str]
    most: float | None = None

    def of(self, results: Results, row: Row) -> dict[int, float]:
        """The values of the finished trials of a row by seed, without those that are no number."""
        values = {seed: self.read(trial) for seed, trial in results.of(row.label).items()}
        return {seed: float(value) for seed, value in sorted(values.items()) if value is not None and math.isfinite(value)}


def n_of(numbers: Iterable[int]) -> str:
    """How many seeds: "n = 3", "n from 2 to 3"."""
    known = sorted(set(numbers))
    return f"n = {known[0] if known else 0}" if len(known) < 2 else f"n from {known[0]} to {known[-1]}"


def accuracy(results: Results) -> Quantity:
    """What the accuracy of a row is in the figures: of the test set; of the validation pictures where no trial has one."""
    tested = any(trial.test is not None for trial in results.trials if trial.state == "finished")
    return TEST if tested else VALIDATION


def an_accuracy(name: str, read: Reading) -> Quantity:
    """A part of some pictures, in percent."""
    return Quantity(name, read, percent, tick, most=1.0)


def tick(fraction: float) -> str:
    """Percent for an axis: "76.5 %"."""
    return f"{100 * fraction:.6g} %"


def compact(number: float) -> str:
    """Four digits and a prefix, as costs are compared: "752.4 M"; below 100,000 all digits."""
    for size, prefix in _PREFIXES:
        if abs(number) >= size:
            return f"{number / size:.4g} {prefix}"
    if abs(number) >= _THOUSANDS_FROM:
        return f"{number / 1e3:.4g} k"
    return f"{number:,.0f}" if number == round(number) or abs(number) >= 1000 else f"{number:,.1f}"


def seconds(value: float) -> str:
    """As the table of a run says it; of a short time, milliseconds can be seen."""
    return f"{value:.2f} s" if value < 1 else duration(value)


TEST = an_accuracy("test accuracy", lambda trial: trial.test)
VALIDATION = an_accuracy("validation accuracy", lambda trial: trial.validation)
"""Both of the last weights."""
