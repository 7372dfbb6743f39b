"""A sweep in sentences: what was run, what may be concluded, and what a difference amounts to."""

from collections.abc import Sequence
from typing import Literal

from lnas.report.sweep_numbers import seconds
from lnas.report.text import line
from lnas.sweep.results import Results
from lnas.sweep.statistics import Interval
from lnas.sweep.verdicts import Verdict, why_none

Unit = Literal["points", "%"]
STATES = ("failed", "stopped", "running", "waiting")
"""Of trials that are not finished, in the order in which they are told."""


def what_was_run(results: Results) -> str:
    """Rows, seeds, trials and their states, and the time."""
    counts = {state: sum(trial.state == state for trial in results.trials) for state in ("finished", *STATES)}
    states = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count or state in ("finished", "failed"))
    time = "" if results.seconds is None else f", in {seconds(results.seconds)}"
    planned = f"{many(len(results.rows), 'row')}, {_seeds(results.seeds)}, {many(len(results.trials), 'trial')}"
    return f"{planned}: {states}{time}, {many(results.workers, 'trial')} at a time."


def what_holds(results: Results, verdicts: Sequence[Verdict]) -> str:
    """How many claims hold, and with how many seeds."""
    if (reason := why_none(results)) is not None:
        return f"{line(reason)}."
    if not verdicts:
        return "Nothing was claimed: one row has nothing to be held against."
    hold, fail, open_ = (sum(one.word == word for one in verdicts) for word in ("holds", "does not hold", "no verdict"))
    parts = [
        *([f"{hold} {'holds' if hold == 1 else 'hold'}"] if hold else []),
        *([f"{fail} {'does' if fail == 1 else 'do'} not hold"] if fail else []),
        *([f"{open_} {'has' if open_ == 1 else 'have'} no verdict"] if open_ else []),
    ]
    numbers = sorted({one.n for one in verdicts})
    n = f"n = {numbers[0]}" if len(numbers) == 1 else f"n from {numbers[0]} to {numbers[-1]}"
    return f"Of {many(len(verdicts), 'claim')}, {', '.join(parts)}; {n}."


def difference(value: float | None, unit: Unit) -> str:
    """A fraction in hundredths, with its sign: "+0.41 points", "−12.00 %"."""
    return "–" if value is None else f"{signed(value)} {unit}"


def span(interval: Interval) -> str:
    """Of such a difference: "−2.10 to +1.30"."""
    return f"{signed(interval[0])} to {signed(interval[1])}"


def signed(fraction: float) -> str:
    """In hundredths, with a sign that is as wide as a digit; what rounds to zero has none."""
    words = f"{100 * fraction:+.2f}"
    return "0.00" if float(words) == 0 else words.replace("-", "−")


def probability(p: float | None) -> str:
    """Of an adjusted p-value."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def many(number: int, thing: str) -> str:
    """A count and its noun: "1 row", "1,200 rows"."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"n = 1 seed ({seeds[0]})"
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"n = {len(seeds)} seeds ({seeds[0]} to {seeds[-1]})"
    return f"n = {len(seeds)} seeds ({', '.join(map(str, seeds[:20])) or 'none'}{', …' if len(seeds) > 20 else ''})"
