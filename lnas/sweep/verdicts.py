"""What may be concluded from a sweep, claim by claim, and what may not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lnas.sweep.decision import (
    ALPHA,
    SEEDS_AT_LEAST,
    Word,
    adjusted_of_each,
    compared,
    deciding,
    p_of,
    word_of,
    word_together,
)
from lnas.sweep.figures import count
from lnas.sweep.hypotheses import hypotheses
from lnas.sweep.hypothesis import MARGIN, Hypothesis, at_most_below
from lnas.sweep.results import Results
from lnas.sweep.sentences import Judged, sentence
from lnas.sweep.sizes import about_as_many, ratios
from lnas.sweep.statistics import Interval, Paired, holm, smallest


@dataclass(frozen=True)
class Detail:
    """One of several contrasts that a verdict rests on, or that stand beside it.

    Attributes:
        label: what is compared: "p=0.25".
        n: pairs.
        difference: mean of the paired differences, first minus second; a fraction of 1, as in `Verdict`.
        interval: Student's 95 %, or None.
        bootstrap: percentile bootstrap 95 %, or None.
        adjusted: p after Holm; None where the contrast has none of its own: it is only shown, or the claim is about every one
            of several, which is a single test.
        word: of this contrast; None where it has no test of its own.
    """

    label: str
    n: int
    difference: float | None
    interval: Interval | None
    bootstrap: Interval | None
    adjusted: float | None
    word: Word | None


@dataclass(frozen=True)
class Verdict:
    """What the pairs say of one claim.

    Attributes:
        key: of the claim, in a few plain characters: "variant2 tickets", "variant1 random-mask".
        claim: in words.
        word: "no verdict" unless all that was asked for is there.
        n: pairs, in the contrast that decides: seeds that finished in all of its rows.
        missing: planned seeds that are not in `n`.
        difference: mean of the paired differences, first minus second: accuracies as fractions of 1, times as a fraction of
            the second.  None for n = 0.
        interval: Student's 95 %; None for n < 2, and where all differences are equal.
        bootstrap: percentile bootstrap, 95 %; None where `interval` is.
        p: of the claim; two-sided, that the difference is `bound`; None where `interval` is.
        adjusted: p after Holm over all that is tested of the sweep; None where `p` is.
        bound: what the difference is held against: 0, or minus the margin.
        unit: "points" (percentage points of accuracy) or "%" (of time); both are hundredths of the fractions above.
        sentence: the verdict in words, with its numbers; begins with `word`.
        details: the contrasts it rests on where they are several, and those that stand beside it.
    """

    key: str
    claim: str
    word: Word
    n: int
    missing: int
    difference: float | None
    interval: Interval | None
    bootstrap: Interval | None
    p: float | None
    adjusted: float | None
    bound: float
    unit: Literal["points", "%"]
    sentence: str
    details: tuple[Detail, ...] = ()


def verdicts(results: Results, *, margin: float = MARGIN) -> tuple[Verdict, ...]:
    """A verdict on every claim that the rows of the sweep can be asked; none at all where `why_none` says why.

    Args:
        results: of the sweep.
        margin: how far below the baseline a winning ticket may be, as a fraction.
    """
    if why_none(results) is not None:
        return ()
    asked = hypotheses(results.rows, table1=results.kind == "table1", margin=margin)
    pairs = [tuple(compared(results, one, measure=ask.measure, bound=ask.bound) for one in ask.contrasts) for ask in asked]
    ps = [p_of(ask, found) for ask, found in zip(asked, pairs, strict=True)]
    adjusted = iter(holm([p for several in ps for p in several]))
    return tuple(
        _verdict(results, ask, found, p, tuple(next(adjusted) for _ in p), family=sum(map(len, ps)))
        for ask, found, p in zip(asked, pairs, ps, strict=True)
    )


def why_none(results: Results) -> str | None:
    """Why a sweep gets no verdicts, in a sentence; None where it gets some."""
    if results.stopped_early is None:
        return None
    return (
        f"No verdicts: trials were stopped early ({results.stopped_early}), by how they stood, so that those which are left"
        " were chosen by their results"
    )


def method(results: Results, *, margin: float = MARGIN) -> str:
    """How the verdicts were come by, in sentences, to be printed beside them."""
    tests = sum(ask.tests for ask in hypotheses(results.rows, table1=results.kind == "table1", margin=margin))
    return (
        "Accuracy is that of the test set, which was read once, after the last step: nothing was chosen by it."
        " Two trials with the same seed are a pair; the seed sets the first weights, the order of the data and what is held out."
        " Intervals are 95 %: of Student's t, and of a percentile bootstrap as a second opinion, which can only take a verdict"
        " back: it is too narrow for few seeds, and of three or four it always lies within the other."
        f" Claims follow from the rows of the sweep, not from its results; the p-values of all {tests} tests (paired t,"
        " two-sided) are corrected together by Holm's method."
        f" A claim holds, or does not, where its corrected p is at most {ALPHA:g}, both intervals agree and there are at least"
        f" {SEEDS_AT_LEAST} pairs; everything else is no verdict, which is not a proof of no difference."
        f"{_how_large(_seeds(results), tests)}"
        f" A winning ticket is {at_most_below('the baseline', margin)}."
        " All of it speaks of this data set and these settings, and of seeds as the only chance."
    )


def _how_large(n: int, tests: int) -> str:
    """What the first verdict asks for, so that a reader sees what so many seeds can tell."""
    if not tests:
        return ""
    if n < SEEDS_AT_LEAST:
        return f" With n = {n} there can be no verdict."
    alone = f" ({smallest(n, 1):.3g} if it were the only test)" if tests > 1 else ""
    return (
        f" With n = {n} and {count(tests, 'test')}, no claim has a verdict unless one lies at least"
        f" {smallest(n, tests):.3g} standard errors from what it is held against{alone}."
    )


def _verdict(
    results: Results, ask: Hypothesis, pairs: Sequence[Paired], p: Sequence[float], adjusted: Sequence[float], *, family: int
) -> Verdict:
    of_each = adjusted_of_each(ask, pairs, adjusted)
    left, sizes = _left(results), ratios(results, ask.contrasts[0]) if ask.about_as_many else None
    open_ = left or (ask.about_as_many and not about_as_many(sizes))
    words: list[Word] = ["no verdict" if open_ else word_of(pair, value) for pair, value in zip(pairs, of_each, strict=True)]
    word, index = word_together(ask, words), deciding(ask, pairs, words)
    pair, single = pairs[index], len(adjusted) == 1
    seeds = _seeds(results)
    tested = pair.p is not None
    judged = Judged(
        word=word,
        pair=pair,
        adjusted=of_each[index],
        family=family,
        seeds=seeds,
        held=sum(one == "holds" for one in words),
        left=left,
        shared=results.workers,
        sizes=sizes,
    )
    return Verdict(
        key=ask.key,
        claim=ask.claim,
        word=word,
        n=pair.n,
        missing=seeds - pair.n,
        difference=pair.mean,
        interval=pair.interval,
        bootstrap=pair.bootstrap,
        p=p[0 if single else index] if tested else None,
        adjusted=of_each[index] if tested else None,
        bound=ask.bound,
        unit="points" if ask.measure == "test" else "%",
        sentence=sentence(ask, judged, ask.contrasts[index]),
        details=tuple(_details(results, ask, pairs, words, adjusted)),
    )


def _details(
    results: Results, ask: Hypothesis, pairs: Sequence[Paired], words: Sequence[Word], adjusted: Sequence[float]
) -> Iterator[Detail]:
    alone = ask.rule == "some"
    if len(pairs) > 1:
        for index, (contrast, pair) in enumerate(zip(ask.contrasts, pairs, strict=True)):
            p = adjusted[index] if alone and pair.p is not None else None
            yield _detail(contrast.label, pair, p, words[index] if alone else None)
    for contrast in ask.details:
        yield _detail(contrast.label, compared(results, contrast, measure=ask.measure), None, None)


def _detail(label: str, pair: Paired, adjusted: float | None, word: Word | None) -> Detail:
    return Detail(label, pair.n, pair.mean, pair.interval, pair.bootstrap, adjusted, word)


def _seeds(results: Results) -> int:
    """How many seeds were planned."""
    return len({*results.seeds, *(trial.seed for trial in results.trials)})


def _left(results: Results) -> int:
    """Trials that may still finish.  A verdict before the end would let whoever looks choose when to stop."""
    return sum(trial.state in ("waiting", "running", "stopped") for trial in results.trials)
