from dataclasses import replace
from typing import Literal

import pytest

from lnas.report.sweep_words import difference, what_holds, what_was_run
from lnas.sweep.results import Results, Row, TrialResult, TrialState
from lnas.sweep.verdicts import Verdict

ROWS = (Row("baseline", "baseline"), Row("variant1 p=0.5", "variant1", 0.5))


def sweep(*states: TrialState, seeds: tuple[int, ...] = (0, 1)) -> Results:
    trials = tuple(TrialResult(f"t{index}", "baseline", index, state) for index, state in enumerate(states))
    return Results("s", ROWS, trials, seeds=seeds, seconds=3725.0)


def verdict(word: Literal["holds", "does not hold", "no verdict"], n: int) -> Verdict:
    return Verdict("k", "c", word, n, 0, None, None, None, None, None, 0.0, "points", word)


def test_what_was_run_counts_rows_seeds_trials_and_their_states() -> None:
    assert what_was_run(sweep("finished", "failed", "finished", "waiting")) == (
        "2 rows, n = 2 seeds (0, 1), 4 trials: 2 finished, 1 failed, 1 waiting, in 1 h 2 min, 1 trial at a time."
    )
    one = replace(sweep(seeds=(7,)), rows=ROWS[:1], seconds=None, workers=4)
    assert what_was_run(one) == "1 row, n = 1 seed (7), 0 trials: 0 finished, 0 failed, 4 trials at a time."


@pytest.mark.parametrize(
    ("seeds", "words"),
    [((), "n = 0 seeds (none)"), ((0, 1, 2, 3), "n = 4 seeds (0 to 3)"), ((1, 3, 4), "n = 3 seeds (1, 3, 4)")],
)
def test_seeds_are_named(seeds: tuple[int, ...], words: str) -> None:
    assert words in what_was_run(sweep(seeds=seeds))


def test_claims_are_counted_by_verdict_and_n_is_always_told() -> None:
    many = [*[verdict("holds", 5)] * 2, verdict("does not hold", 5), *[verdict("no verdict", 5)] * 6]
    assert what_holds(sweep(), many) == "Of 9 claims, 2 hold, 1 does not hold, 6 have no verdict; n = 5."
    assert what_holds(sweep(), [verdict("no verdict", 1), verdict("holds", 4)]) == (
        "Of 2 claims, 1 holds, 1 has no verdict; n from 1 to 4."
    )


def test_a_sweep_without_claims_says_why() -> None:
    assert what_holds(sweep(), []) == "Nothing was claimed: no row has another of the same data to be held against."
    alone = replace(sweep(), rows=ROWS[:1])
    assert what_holds(alone, []) == "Nothing was claimed: one row has nothing to be held against."
    assert what_holds(replace(sweep(), stopped_early="asha"), []).startswith("No verdicts: trials were stopped early (asha)")


def test_a_difference_has_its_unit() -> None:
    assert [difference(value, "points") for value in (None, 0.01)] == ["–", "+1.00 points"]
