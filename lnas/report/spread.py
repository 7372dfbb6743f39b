"""The mean of a row over its seeds, with half of its interval, as words."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from lnas.sweep.figures import percent
from lnas.sweep.results import Results
from lnas.sweep.statistics import Mean, interval

MEASURES = (
    "half",
    "end",
    "ticket",
    "validation",
    "test",
    "parameters",
    "macs_dense",
    "macs_nonzero",
    "macs_structural",
    "nni_compat",
    "search_seconds",
    "train_seconds",
)
"""What is measured of a trial: the fields of a `TrialResult` that have a mean."""

NOTHING = "–"


def measured(results: Results, row: str, measure: str) -> Mean:
    """One of `MEASURES` over the finished trials of a row that have it."""
    assert measure in MEASURES, measure
    values = (getattr(trial, measure) for trial in results.of(row).values())
    return mean_of(results, (value for value in values if value is not None))


def mean_of(results: Results, values: Iterable[float]) -> Mean:
    """The mean of some seeds of a sweep; without an interval where trials were stopped early, for those left were chosen."""
    known = interval(values)
    return known if results.stopped_early is None else replace(known, interval=None)


def around(mean: Mean, words: Callable[[float], str] = percent) -> str:
    """The mean, and half of its interval where there is one: "98.12 ± 0.41"."""
    if mean.mean is None:
        return NOTHING
    return words(mean.mean) if mean.half is None else f"{words(mean.mean)} ± {words(mean.half)}"


def share(mean: Mean) -> str:
    """Of fractions of 1: "98.12 ± 0.41 %, n = 3", or "98.12 %, n = 1, no interval"."""
    return _with_n(f"{around(mean)} %", mean)


def whole(mean: Mean) -> str:
    """Of whole numbers: "170,003 ± 12, n = 3", or "170,003, n = 3, all equal"."""
    return _with_n(around(mean, lambda number: f"{number:,.0f}"), mean)


def _with_n(words: str, mean: Mean) -> str:
    if mean.n == 0:
        return NOTHING
    return f"{words}, n = {mean.n}" + (", all equal" if mean.equal else ", no interval" if mean.interval is None else "")
