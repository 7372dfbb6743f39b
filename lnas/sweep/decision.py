"""From the trials of a sweep to the paired numbers of a comparison, and from those to a word."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Literal, TypeAlias

from lnas.sweep.hypothesis import Comparison, Hypothesis, Measure
from lnas.sweep.results import Results
from lnas.sweep.statistics import Paired, paired, side

Word: TypeAlias = Literal["holds", "does not hold", "no verdict"]

SEEDS_AT_LEAST = 3
"""Pairs below which nothing is concluded."""

ALPHA = 0.05
"""Of the p-values after Holm."""


def compared(results: Results, comparison: Comparison, *, measure: Measure, bound: float = 0.0) -> Paired:
    """The differences of a comparison; times as a fraction of the second side."""
    sides = [_side(results, labels, measure, comparison.of) for labels in (comparison.first, comparison.second)]
    if measure == "test":
        return paired(*sides, bound=bound)
    first, second = sides
    ratios = {seed: first[seed] / second[seed] for seed in first.keys() & second.keys() if second[seed] > 0}
    return paired(ratios, dict.fromkeys(ratios, 1.0), bound=bound)


def p_of(hypothesis: Hypothesis, pairs: Sequence[Paired]) -> tuple[float, ...]:
    """What a hypothesis brings into the family: always `hypothesis.tests` p-values, so that results cannot make it smaller.

    What cannot be tested counts with p = 1.  Of the rule "every": where all differences lie above the bound, the largest p
    (all have to be significant); else the smallest p of those below, times the number of comparisons (any of them may be).
    """
    ps = [1.0 if pair.p is None else pair.p for pair in pairs]
    if hypothesis.rule != "every":
        return tuple(ps)
    below = [p for p, pair in zip(ps, pairs, strict=True) if pair.mean is not None and pair.mean < pair.bound]
    return (min(1.0, len(pairs) * min(below)) if below else max(ps),)


def word_of(pair: Paired, adjusted: float) -> Word:
    """What one comparison says: something only where p, both intervals and the number of seeds agree."""
    found = side(pair.interval, pair.bound)
    if pair.n < SEEDS_AT_LEAST or adjusted > ALPHA or pair.disagree or found == "both":
        return "no verdict"
    return "holds" if found == "above" else "does not hold"


def word_together(hypothesis: Hypothesis, words: Sequence[Word]) -> Word:
    """What all comparisons of a hypothesis say together."""
    if hypothesis.rule == "some":
        needed, failed = any, all
    else:
        needed, failed = all, any
    if needed(word == "holds" for word in words):
        return "holds"
    return "does not hold" if failed(word == "does not hold" for word in words) else "no verdict"


def deciding(hypothesis: Hypothesis, pairs: Sequence[Paired], words: Sequence[Word]) -> int:
    """The comparison whose numbers stand for the whole: of "some" the strongest, of "every" the weakest.

    Among those that have the word of the whole, if any has; by how far they lie above the bound in standard errors.
    """
    whole = word_together(hypothesis, words)
    candidates = [index for index, word in enumerate(words) if word == whole] or list(range(len(pairs)))
    strength = {index: _strength(pairs[index]) for index in candidates}
    return (max if hypothesis.rule == "some" else min)(candidates, key=lambda index: strength[index])


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


def _strength(pair: Paired) -> float:
    if pair.mean is None:
        return float("-inf")
    above = pair.mean - pair.bound
    if pair.interval is None:
        return above
    return above / (pair.interval[1] - pair.interval[0])
