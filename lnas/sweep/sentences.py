"""A verdict in words that say what is known and no more."""

from collections.abc import Iterator
from dataclasses import dataclass

from lnas.sweep.decision import ALPHA, SEEDS_AT_LEAST, Word
from lnas.sweep.hypothesis import Hypothesis, count
from lnas.sweep.statistics import Interval, Paired, side


@dataclass(frozen=True)
class Judged:
    """What was found of a claim.

    Attributes:
        word: of the whole.
        pair: the numbers that stand for the whole.
        adjusted: its p after Holm; 1 where there is none.
        family: tests that were corrected together.
        seeds: planned.
        held: comparisons that hold by themselves.
        left: trials of the sweep that may still finish.
        shared: trials that ran at a time.
    """

    word: Word
    pair: Paired
    adjusted: float
    family: int
    seeds: int
    held: int
    left: int
    shared: int


def sentence(ask: Hypothesis, judged: Judged, *, label: str) -> str:
    """The verdict on a claim in one line, beginning with its word.

    Args:
        ask: the claim.
        judged: what was found.
        label: of the comparison whose numbers are said.
    """
    return f"{judged.word}: {'; '.join(_parts(ask, judged, label))}"


def _parts(ask: Hypothesis, judged: Judged, label: str) -> Iterator[str]:
    pair, unit = judged.pair, "points" if ask.measure == "test" else "%"
    if judged.left:
        yield f"the sweep is not at its end ({count(judged.left, 'trial')} left), and what is looked at early is not judged"
    if ask.rule == "some" and len(ask.comparisons) > 1:
        if judged.word == "holds":
            yield f"at {judged.held} of {count(len(ask.comparisons), 'level')}, most clearly {label}"
        else:
            yield f"at none of {count(len(ask.comparisons), 'level')}; the nearest is {label}"
    elif ask.rule == "every" and len(ask.comparisons) > 1:
        yield f"the weakest of {count(len(ask.comparisons), 'comparison')} is {label}"
    yield _numbers(pair, unit)
    if judged.word == "no verdict":
        yield from _reasons(ask, judged, unit)
    else:
        yield f"p {_p(judged.adjusted)} after Holm's correction for {count(judged.family, 'test')}"
    if pair.n < judged.seeds:
        yield f"{count(judged.seeds - pair.n, 'seed')} of {judged.seeds} missing, which may not be by chance"
    if ask.note:
        yield ask.note if judged.shared == 1 else f"{ask.note}, and here {judged.shared} ran at a time"


def _numbers(pair: Paired, unit: str) -> str:
    """n, the difference and its intervals."""
    if pair.mean is None:
        return "n = 0, no seed finished on both sides"
    if pair.n == 1:
        return f"n = 1, no interval (difference {_signed(pair.mean)} {unit})"
    known = f"n = {pair.n} seeds, difference {_signed(pair.mean)} {unit}"
    if pair.interval is None or pair.bootstrap is None:
        return f"{known} in every pair, no interval"
    return f"{known}, 95 % interval {_interval(pair.interval)} (bootstrap {_interval(pair.bootstrap)})"


def _reasons(ask: Hypothesis, judged: Judged, unit: str) -> Iterator[str]:
    """Why there is no verdict: the first thing that is missing."""
    pair = judged.pair
    against = f"{_signed(pair.bound)} {unit}" if pair.bound else "no difference"
    if pair.n < SEEDS_AT_LEAST:
        if pair.n > 1:
            yield f"at least {SEEDS_AT_LEAST} seeds are needed"
    elif pair.degenerate:
        yield "differences that are all equal show no spread to judge by"
    elif pair.disagree:
        yield f"the two intervals disagree on whether {against} is possible"
    elif side(pair.interval, pair.bound) == "both":
        yield f"this cannot be told from {against}"
    elif judged.adjusted > ALPHA:
        yield f"p {_p(judged.adjusted)} after Holm's correction for {count(judged.family, 'test')}"
    elif not judged.left:
        yield "not all comparisons say the same"


def _interval(interval: Interval) -> str:
    return f"{_signed(interval[0])} to {_signed(interval[1])}"


def _signed(fraction: float) -> str:
    """In hundredths, with a sign; never "-0.0"."""
    return f"{100 * fraction:+.1f}" if round(100 * fraction, 1) else "0.0"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3g}"
