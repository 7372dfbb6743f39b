"""From the trials of a sweep to the paired numbers of a contrast, and from those to a word."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Literal, TypeAlias

from lnas.sweep.hypothesis import Contrast, Hypothesis, Measure
from lnas.sweep.results import Results
from lnas.sweep.statistics import Paired, paired, side

Word: TypeAlias = Literal["holds", "does not hold", "no verdict"]

SEEDS_AT_LEAST = 3
"""Pairs below which nothing is concluded."""

ALPHA = 0.05
"""Of the p-values after Holm."""


def compared(results: Results, contrast: Contrast, *, measure: Measure, bound: float = 0.0) -> Paired:
    """The differences of a contrast; times as a fraction of the second side."""
    sides = [_side(results, labels, measure, contrast.of) for labels in (contrast.first, contrast.second)]
    if measure == "test":
        return paired(*sides, bound=bound)
    first, second = sides
    ratios = {seed: first[seed] / second[seed] for seed in first.keys() & second.keys() if second[seed] > 0}
    return paired(ratios, dict.fromkeys(ratios, 1.0), bound=bound)


def p_of(hypothesis: Hypothesis, pairs: Sequence[Paired]) -> tuple[float, ...]:
    """What a hypothesis brings into the family: always `hypothesis.tests` p-values, so that results cannot make it smaller.

    What cannot be tested counts with p = 1.  Of the rule "every": where a contrast could say that the claim fails, the smallest
    of the p-values of such, each times the number of contrasts (any of them may be the one); else the largest of all, as all
    have to be significant, of which one that does not lie above the bound has p = 1.
    """
    if hypothesis.rule != "every":
        return tuple(1.0 if pair.p is None else pair.p for pair in pairs)
    failing = [_corrected(pair, len(pairs)) for pair in pairs if _may_fail(pair)]
    return (min(failing) if failing else max(map(_p_above, pairs)),)


def adjusted_of_each(hypothesis: Hypothesis, pairs: Sequence[Paired], adjusted: Sequence[float]) -> tuple[float, ...]:
    """The p of each contrast after Holm.

    Of the rule "every", where a contrast could say that the claim fails, each has its own p, times the number of contrasts,
    raised by as much as Holm's method raised the smallest of them; what cannot say it has 1.

    Args:
        hypothesis: the claim.
        pairs: of its contrasts.
        adjusted: what Holm's method made of `p_of`.
    """
    if hypothesis.rule == "some":
        return tuple(adjusted)
    (whole,) = adjusted
    (least,) = p_of(hypothesis, pairs)
    if hypothesis.rule == "one" or not any(map(_may_fail, pairs)):
        return (whole,) * len(pairs)
    own = [_corrected(pair, len(pairs)) if _may_fail(pair) else None for pair in pairs]
    return tuple(1.0 if p is None else whole if p == least else min(1.0, whole * p / least) if least else 1.0 for p in own)


def word_of(pair: Paired, adjusted: float) -> Word:
    """What one contrast says: something only where p, both intervals and the number of seeds agree."""
    found = side(pair.interval, pair.bound)
    if pair.n < SEEDS_AT_LEAST or adjusted > ALPHA or pair.disagree or found == "both":
        return "no verdict"
    return "holds" if found == "above" else "does not hold"


def word_together(hypothesis: Hypothesis, words: Sequence[Word]) -> Word:
    """What all contrasts of a hypothesis say together."""
    if hypothesis.rule == "some":
        needed, failed = any, all
    else:
        needed, failed = all, any
    if needed(word == "holds" for word in words):
        return "holds"
    return "does not hold" if failed(word == "does not hold" for word in words) else "no verdict"


def deciding(hypothesis: Hypothesis, pairs: Sequence[Paired], words: Sequence[Word]) -> int:
    """The contrast whose numbers stand for the whole.

    Of "some", the one that is nearest to holding, or holds most clearly, among those that have the word of the whole if any has:
    of those above the bound the one that lies highest in widths of its interval; where none is, the one of the largest
    difference.  What has no interval comes last.  Of "every", the one that gave `p_of`; of several, the one that lies lowest.
    """
    places = range(len(pairs))
    if hypothesis.rule == "some":
        whole = word_together(hypothesis, words)
        candidates = [place for place in places if words[place] == whole] or list(places)
        return max(candidates, key=lambda place: _nearness(pairs[place]))
    failing = [place for place in places if _may_fail(pairs[place])]
    if failing:
        return min(failing, key=lambda place: (_corrected(pairs[place], len(pairs)), _height(pairs[place])))
    return min(places, key=lambda place: (-_p_above(pairs[place]), _height(pairs[place])))


def _may_fail(pair: Paired) -> bool:
    """Whether it lies below the bound so that a small p alone would make it "does not hold"."""
    return (
        pair.p is not None and pair.n >= SEEDS_AT_LEAST and not pair.disagree and pair.mean is not None and pair.mean < pair.bound
    )


def _corrected(pair: Paired, contrasts: int) -> float:
    """Bonferroni's, within one claim."""
    return 1.0 if pair.p is None else min(1.0, contrasts * pair.p)


def _p_above(pair: Paired) -> float:
    return pair.p if pair.p is not None and pair.mean is not None and pair.mean > pair.bound else 1.0


def _side(results: Results, labels: Sequence[str], measure: Measure, of: Literal["mean", "sum"]) -> dict[int, float]:
    """The value of one side by seed; a seed that is missing in one of its rows is missing."""
    values = [_values(results, label, measure) for label in labels]
    seeds = set.intersection(*map(set, values))
    share = len(values) if of == "mean" else 1
    return {seed: sum(row[seed] for row in values) / share for seed in seeds}


def _values(results: Results, label: str, measure: Measure) -> Mapping[int, float]:
    found = {}
    for seed, trial in results.of(label).items():
        value = trial.test if measure == "test" else trial.search_seconds
        if value is not None and isfinite(value):
            found[seed] = value
    return found


def _nearness(pair: Paired) -> tuple[bool, bool, float]:
    """A key to sort by: the last is nearest to holding."""
    sure, height = _height(pair)
    above = pair.mean is not None and pair.mean > pair.bound
    return sure, above, height if above or pair.mean is None else pair.mean


def _height(pair: Paired) -> tuple[bool, float]:
    """A key to sort by: how far it lies above the bound in widths of its interval; first what has none."""
    above = float("-inf") if pair.mean is None else pair.mean - pair.bound
    return pair.interval is not None, above if pair.interval is None else above / (pair.interval[1] - pair.interval[0])
