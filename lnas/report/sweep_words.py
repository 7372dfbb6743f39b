"""A sweep in sentences: what was run, what may be concluded, and what a difference amounts to."""

from collections.abc import Sequence
from typing import Literal

from lnas.report.sweep_numbers import n_of, seconds
from lnas.report.text import line
from lnas.sweep.figures import count, signed
from lnas.sweep.results import Results
from lnas.sweep.verdicts import Verdict, why_none

Unit = Literal["points", "%"]
STATES = ("failed", "stopped", "running", "waiting")
"""Of trials that are not finished, in the order in which they are told."""


def what_was_run(results: Results) -> str:
    """Rows, seeds, trials and their states, and the time."""
    counts = {state: sum(trial.state == state for trial in results.trials) for state in ("finished", *STATES)}
    states = ", ".join(f"{number:,} {state}" for state, number in counts.items() if number or state in ("finished", "failed"))
    time = "" if results.seconds is None else f", in {seconds(results.seconds)}"
    planned = f"{count(len(results.rows), 'row')}, {_seeds(results.seeds)}, {count(len(results.trials), 'trial')}"
    return f"{planned}: {states}{time}, {count(results.workers, 'trial')} at a time."


def what_holds(results: Results, verdicts: Sequence[Verdict]) -> str:
    """How many claims hold, and with how many seeds."""
    if (reason := why_none(results)) is not None:
        return f"{line(reason)}."
    if not verdicts:
        rows = "one row has nothing" if len(results.rows) == 1 else "no row has another of the same data"
        return f"Nothing was claimed: {rows} to be held against."
    hold, fail, open_ = (sum(one.word == word for one in verdicts) for word in ("holds", "does not hold", "no verdict"))
    parts = [
        *([f"{hold} {'holds' if hold == 1 else 'hold'}"] if hold else []),
        *([f"{fail} {'does' if fail == 1 else 'do'} not hold"] if fail else []),
        *([f"{open_} {'has' if open_ == 1 else 'have'} no verdict"] if open_ else []),
    ]
    return f"Of {count(len(verdicts), 'claim')}, {', '.join(parts)}; {n_of(one.n for one in verdicts)}."


def difference(value: float | None, unit: Unit) -> str:
    """A fraction in hundredths, with its sign: "+0.41 points", "-12.00 %"."""
    return "–" if value is None else f"{signed(value)} {unit}"


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"n = 1 seed ({seeds[0]})"
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"n = {len(seeds)} seeds ({seeds[0]} to {seeds[-1]})"
    return f"n = {len(seeds)} seeds ({', '.join(map(str, seeds[:20])) or 'none'}{', …' if len(seeds) > 20 else ''})"
