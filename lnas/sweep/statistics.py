"""What few numbers can say: means with intervals, paired differences, and p-values of several tests at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Literal, TypeAlias

from lnas.core.errors import ConfigError

Interval: TypeAlias = tuple[float, float]
Side: TypeAlias = Literal["above", "below", "both"]

LEVEL = 0.95
"""Of every interval."""

RESAMPLES = 9_999
ROUNDING = 1e-12
"""Differences that lie no farther apart than this, as a fraction of the largest value, are equal."""


@dataclass(frozen=True)
class Mean:
    """The values of one row.

    Attributes:
        n: how many there are.
        mean: theirs; None for n = 0.
        interval: Student's, 95 %; None for n < 2 and where `equal`.
        equal: whether two or more values are all equal.  An interval without width would call the mean certain.
    """

    n: int
    mean: float | None
    interval: Interval | None
    equal: bool = False

    @property
    def half(self) -> float | None:
        """Half the width of the interval; None where there is none."""
        return None if self.interval is None else (self.interval[1] - self.interval[0]) / 2


@dataclass(frozen=True)
class Paired:
    """First minus second, seed by seed.

    Attributes:
        n: seeds that both have.
        mean: of the differences; None for n = 0.
        interval: Student's, 95 %; None for n < 2 and where `degenerate`.
        bootstrap: percentile bootstrap of the mean, 95 %; None where `interval` is.
        p: of the two-sided paired t test that the mean is `bound`; None where `interval` is.
        bound: what the mean is tested against.
        degenerate: whether the differences of two or more seeds are all equal.  The t test would call it certain (p = 0);
            but accuracies come in steps of one picture, so that a few equal ones are no proof, and more often a mistake:
            one configuration under two names.
    """

    n: int
    mean: float | None = None
    interval: Interval | None = None
    bootstrap: Interval | None = None
    p: float | None = None
    bound: float = 0.0
    degenerate: bool = False

    @property
    def disagree(self) -> bool:
        """Whether one of the two intervals excludes `bound` and the other does not."""
        return side(self.interval, self.bound) != side(self.bootstrap, self.bound)


def side(interval: Interval | None, bound: float) -> Side:
    """On which side of the bound an interval lies; "both" where it touches the bound, or there is none."""
    if interval is None or interval[0] <= bound <= interval[1]:
        return "both"
    return "above" if interval[0] > bound else "below"


def interval(values: Iterable[float]) -> Mean:
    """The mean of a row and its interval."""
    numbers = sorted(values)
    if not numbers:
        return Mean(0, None, None)
    several = len(numbers) > 1
    equal = several and _equal(numbers, numbers)
    return Mean(len(numbers), fmean(numbers), _student(numbers) if several and not equal else None, equal)


def paired(first: Mapping[int, float], second: Mapping[int, float], *, bound: float = 0.0) -> Paired:
    """The differences of the seeds that both have.

    The same differences give the same answer, whatever their order: the bootstrap draws from a stream of its own.

    Args:
        first: value by seed.
        second: value by seed.
        bound: what the mean difference is tested against.
    """
    seeds = sorted(first.keys() & second.keys())
    differences = sorted(first[seed] - second[seed] for seed in seeds)
    if not differences:
        return Paired(0, bound=bound)
    n, mean = len(differences), fmean(differences)
    if n == 1:
        return Paired(1, mean, bound=bound)
    if _equal(differences, [value for seed in seeds for value in (first[seed], second[seed])]):
        return Paired(n, mean, bound=bound, degenerate=True)
    p = _p_of_t((mean - bound) / (stdev(differences) / sqrt(n)), n - 1)
    return Paired(n, mean, _student(differences), _bootstrap(differences), p, bound)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """The p-values after Holm's step-down method (Holm 1979), in the order given.

    Those at or below 0.05 are significant together: the chance that any of them rejects what is true is at most 0.05, however
    the tests depend on each other, and they do, since many are against one baseline.  That is a promise about differences, not
    about their signs: that no difference is called by the wrong sign either is proved for independent tests (Shaffer 1980), and
    not for all others.

    Raises:
        ConfigError: where one is outside [0, 1].
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        if not 0 <= p_values[index] <= 1:
            raise ConfigError(f"p-value {p_values[index]!r} is outside [0, 1]")
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return tuple(adjusted)


def smallest(n: int, tests: int) -> float:
    """How many standard errors from its bound a mean of `n` pairs has to lie for the first of Holm's steps.

    The two-sided paired t test of the smallest of `tests` p-values is significant from there on; later steps ask for less.

    Args:
        n: pairs; with fewer than two, no difference is large enough: infinity.
        tests: that are corrected together, at least 1.
    """
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, 1 - (1 - LEVEL) / (2 * tests))) if n > 1 else float("inf")


def _equal(ascending: Sequence[float], measured: Sequence[float]) -> bool:
    """Whether they are equal but for the rounding of what they were computed from."""
    return ascending[-1] - ascending[0] <= ROUNDING * max(map(abs, measured))


def _student(values: Sequence[float]) -> Interval:
    from scipy.special import stdtrit

    n, mean = len(values), fmean(values)
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * stdev(values) / sqrt(n)
    return mean - half, mean + half


def _p_of_t(statistic: float, freedom: int) -> float:
    from scipy.special import stdtr

    return min(1.0, 2 * float(stdtr(freedom, -abs(statistic))))


def _bootstrap(differences: Sequence[float]) -> Interval:
    """Percentile, not BCa: of the few seeds that a sweep has, BCa estimates two corrections that are noisier than what they mend.

    It is too narrow for few seeds (by about sqrt((n-1)/n), and again by the normal quantile in place of Student's): of three or
    four it always lies within the t interval, since no mean that is drawn can be further off than the most extreme difference.
    It is a second opinion beside the t interval, never one in its place.
    """
    import numpy as np
    from scipy.stats import bootstrap

    drawn = bootstrap(
        (np.asarray(differences),),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)
