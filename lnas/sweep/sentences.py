"""A verdict in words that say what is known and no more."""

from collections.abc import Iterator
from dataclasses import dataclass

from lnas.sweep.decision import ALPHA, SEEDS_AT_LEAST, Word
from lnas.sweep.figures import count, percentage_points, probability, signed, span
from lnas.sweep.hypothesis import Contrast, Hypothesis
from lnas.sweep.sizes import about_as_many, sizes_in_words
from lnas.sweep.statistics import Paired, side


@dataclass(frozen=True)
class Judged:
    """What was found of a claim.

    Attributes:
        word: of the whole.
        pair: the numbers that stand for the whole.
        adjusted: its p after Holm; 1 where there is none.
        family: tests that were corrected together.
        seeds: planned.
        held: contrasts that hold by themselves.
        left: trials of the sweep that may still finish.
        shared: trials that ran at a time.
        sizes: the parameters of the second side by those of the first, where the claim is about as many; None if not known.
    """

    word: Word
    pair: Paired
    adjusted: float
    family: int
    seeds: int
    held: int
    left: int
    shared: int
    sizes: tuple[float, ...] | None = None


def sentence(ask: Hypothesis, judged: Judged, contrast: Contrast) -> str:
    """The verdict on a claim in one line, beginning with its word.

    Args:
        ask: the claim.
        judged: what was found.
        contrast: whose numbers are said.
    """
    return f"{judged.word}: {'; '.join(_parts(ask, judged, contrast))}"


def _parts(ask: Hypothesis, judged: Judged, contrast: Contrast) -> Iterator[str]:
    pair, unit = judged.pair, "points" if ask.measure == "test" else "% of the latter"
    if judged.left:
        yield f"the sweep is not at its end ({count(judged.left, 'trial')} left), and what is looked at early is not judged"
    if ask.rule == "some" and len(ask.contrasts) > 1:
        if judged.word == "holds":
            yield f"at {judged.held} of {count(len(ask.contrasts), 'level')}, most clearly {contrast.label}"
        else:
            yield f"at none of {count(len(ask.contrasts), 'level')}; the nearest is {contrast.label}"
    elif ask.rule == "every" and len(ask.contrasts) > 1:
        yield f"the weakest of {count(len(ask.contrasts), 'comparison')} is {contrast.label}"
    yield _numbers(pair, contrast.subtraction, unit)
    if ask.about_as_many:
        yield sizes_in_words(judged.sizes)
    if judged.word == "no verdict":
        yield from _reasons(ask, judged)
    else:
        yield _p(judged)
    if pair.n < judged.seeds:
        missing = f"{count(judged.seeds - pair.n, 'seed')} of {judged.seeds} missing"
        yield f"{missing} so far" if judged.left else f"{missing}, which may not be by chance"
    if ask.note:
        yield ask.note if judged.shared == 1 else f"{ask.note}; here {judged.shared} trials ran at a time"


def _numbers(pair: Paired, subtraction: str, unit: str) -> str:
    """What minus what, n, and the intervals."""
    if pair.mean is None:
        return f"n = 0, no seed finished on both sides of {subtraction}"
    known = f"{subtraction} is {signed(pair.mean)} {unit}"
    if pair.n == 1:
        return f"{known} (n = 1, no interval)"
    if pair.interval is None or pair.bootstrap is None:
        return f"{known} in every pair (n = {pair.n} seeds, no interval)"
    return f"{known} (n = {pair.n} seeds), 95 % interval {span(pair.interval)}, bootstrap {span(pair.bootstrap)}"


def _reasons(ask: Hypothesis, judged: Judged) -> Iterator[str]:
    """Why there is no verdict: the first thing that is missing."""
    pair = judged.pair
    if pair.n < SEEDS_AT_LEAST:
        if pair.n > 1:
            yield f"at least {SEEDS_AT_LEAST} seeds are needed"
    elif pair.degenerate:
        yield "differences that are all equal show no spread to judge by"
    elif pair.disagree:
        yield _disagreement(pair)
    elif side(pair.interval, pair.bound) == "both":
        yield f"both intervals include {_bound(pair)}, so that {_either(pair)}"
    elif judged.adjusted > ALPHA:
        yield _p(judged)
    elif not judged.left and (about_as_many(judged.sizes) or not ask.about_as_many):
        yield "not all comparisons say the same"


def _disagreement(pair: Paired) -> str:
    if side(pair.interval, pair.bound) != "both":
        return f"the two intervals disagree: the bootstrap includes {_bound(pair)}, Student's does not"
    return (
        f"the two intervals disagree: Student's includes {_bound(pair)}, the bootstrap does not, which is too narrow for so few"
        f" seeds as {pair.n}"
    )


def _bound(pair: Paired) -> str:
    return f"{signed(pair.bound)} points" if pair.bound else "0"


def _either(pair: Paired) -> str:
    """What an interval that includes the bound leaves open; only accuracies have one that is not 0."""
    return f"the loss may be more than {percentage_points(-pair.bound)}, or less" if pair.bound else "it may be either way"


def _p(judged: Judged) -> str:
    words = probability(judged.adjusted)
    return f"p {words if words[0] == '<' else f'= {words}'} after Holm's correction for {count(judged.family, 'test')}"
