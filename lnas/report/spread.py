"""The mean of a row over its seeds, with half of its interval, as words."""

from lnas.sweep.results import Results
from lnas.sweep.statistics import Mean, interval

MEASURES = (
    "half",
    "end",
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
    return interval(value for value in values if value is not None)


def half_of(mean: Mean) -> float | None:
    """Half the width of the interval; None where there is none."""
    return None if mean.interval is None else (mean.interval[1] - mean.interval[0]) / 2


def share(mean: Mean) -> str:
    """Of fractions of 1: "98.12 ± 0.41 %, n = 3", or "98.12 %, n = 1, no interval"."""
    return _words(mean, f"{100 * (mean.mean or 0):.2f}", f"{100 * (half_of(mean) or 0):.2f}", " %")


def whole(mean: Mean) -> str:
    """Of whole numbers: "170,003 ± 12, n = 3"."""
    return _words(mean, f"{mean.mean or 0:,.0f}", f"{half_of(mean) or 0:,.0f}", "")


def _words(mean: Mean, middle: str, half: str, unit: str) -> str:
    if mean.n == 0:
        return NOTHING
    return f"{middle}{unit}, n = 1, no interval" if mean.interval is None else f"{middle} ± {half}{unit}, n = {mean.n}"
