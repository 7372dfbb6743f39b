import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from lnas.sweep import statistics
from lnas.sweep.hypotheses import hypotheses
from lnas.sweep.results import Results, Row, TrialResult
from lnas.sweep.verdicts import Verdict, method, verdicts, why_none

Values = Mapping[str, Sequence[float | None]]
SPREAD = (0.001, -0.002, 0.0, 0.002, -0.001)
"""Seeds differ by so much around a mean of 0; the deviation is 0.00158, and 0.00196 the half width of the t interval."""


def row(label: str) -> Row:
    recipe, *words = label.split()
    level = next((float(word[2:]) for word in words if word.startswith("p=")), None)
    control = words[-1] if words and not words[-1].startswith("p=") else None
    return Row(label, recipe, level, control=control, of=label.rpartition(" ")[0] if control else None)


def sweep(values: Values, *, kind: str = "table1", seconds: Values | None = None) -> Results:
    """By label, the test accuracy with each seed; None where the trial failed."""
    trials = [
        TrialResult(
            f"{label} {seed}",
            label,
            seed,
            "failed" if value is None else "finished",
            test=value,
            search_seconds=None if seconds is None else seconds[label][seed],
        )
        for label, several in values.items()
        for seed, value in enumerate(several)
    ]
    seeds = tuple(range(max(map(len, values.values()))))
    return Results("s", tuple(map(row, values)), tuple(trials), kind="table1" if kind == "table1" else "sweep", seeds=seeds)


def around(mean: float, spread: Sequence[float] = SPREAD) -> list[float]:
    return [mean + one for one in spread]


def flat(mean: float, n: int = 5) -> list[float]:
    return [mean] * n


def found(results: Results) -> dict[str, Verdict]:
    return {one.key: one for one in verdicts(results)}


def test_n_1_has_no_interval_and_no_verdict() -> None:
    one = found(sweep({"baseline": [0.9], "variant1 p=0.5": [0.95]}))["variant1 tickets"]
    assert (one.word, one.n, one.difference, one.interval, one.p, one.adjusted) == (
        "no verdict",
        1,
        pytest.approx(0.05),
        None,
        None,
        None,
    )
    assert one.sentence == "no verdict: variant1 p=0.5 minus baseline is +5.00 points (n = 1, no interval)"


def test_two_seeds_are_too_few_however_clear_they_look() -> None:
    one = found(sweep({"baseline": [0.5, 0.5], "variant1 p=0.5": [0.9, 0.9001]}))["variant1 above"]
    assert one.p is not None and one.p < 0.05
    assert (one.word, one.n) == ("no verdict", 2)
    assert "n = 2 seeds" in one.sentence and one.sentence.endswith("at least 3 seeds are needed")


def test_what_cannot_be_told_apart_is_no_verdict() -> None:
    one = found(sweep({"baseline": flat(0.9, 3), "variant1 p=0.5": [0.90, 0.88, 0.91]}))["variant1 above"]
    assert one.word == "no verdict"
    # mean -0.00333, deviation 0.01528: half width 4.303 * 0.01528 / sqrt(3) = 0.0379
    assert one.sentence == (
        "no verdict: variant1 p=0.5 minus baseline is -0.33 points (n = 3 seeds), 95 % interval -4.13 to +3.46,"
        " bootstrap -2.00 to +1.00; both intervals include 0, so that it may be either way"
    )


def test_a_winning_ticket_is_not_below_and_need_not_be_above() -> None:
    asked = found(sweep({"baseline": flat(0.9), "variant1 p=0.5": around(0.9)}))
    assert (asked["variant1 tickets"].word, asked["variant1 above"].word) == ("holds", "no verdict")
    assert asked["variant1 tickets"].bound == -0.01
    assert "p = " in asked["variant1 tickets"].sentence or "p < " in asked["variant1 tickets"].sentence


def test_a_ticket_below_the_margin_does_not_hold() -> None:
    asked = found(sweep({"baseline": flat(0.9), "variant1 p=0.5": around(0.85)}))
    assert asked["variant1 tickets"].word == asked["variant1 above"].word == "does not hold"
    assert asked["variant1 tickets"].difference == pytest.approx(-0.05)


def test_a_ticket_a_little_below_is_neither_above_nor_a_loser() -> None:
    asked = found(sweep({"baseline": flat(0.9), "variant1 p=0.5": around(0.895)}))
    assert (asked["variant1 tickets"].word, asked["variant1 above"].word) == ("holds", "does not hold")


def test_the_margin_can_be_set() -> None:
    results = sweep({"baseline": flat(0.9), "variant1 p=0.5": around(0.88)})
    words = [next(one.word for one in verdicts(results, margin=margin)) for margin in (0.0, 0.01, 0.05)]
    assert words == ["does not hold", "does not hold", "holds"]


def test_one_level_is_enough_to_find_a_ticket_and_its_details_say_which() -> None:
    one = found(sweep({"baseline": flat(0.9), "variant2 p=0.25": around(0.8), "variant2 p=0.5": around(0.95)}))[
        "variant2 tickets"
    ]
    assert one.word == "holds"
    assert [(detail.label, detail.word) for detail in one.details] == [("p=0.25", "does not hold"), ("p=0.5", "holds")]
    assert one.difference == pytest.approx(0.05)
    assert one.sentence.startswith("holds: at 1 of 2 levels, most clearly p=0.5; variant2 p=0.5 minus baseline is +5.00 points")


def test_all_levels_have_to_lose_before_no_ticket_was_found() -> None:
    values = {"baseline": flat(0.9), "variant2 p=0.25": around(0.8), "variant2 p=0.5": around(0.89)}
    one = found(sweep(values))["variant2 tickets"]
    assert one.word == "no verdict"
    assert one.sentence.startswith("no verdict: at none of 2 levels; the nearest is p=0.5;")
    assert found(sweep({**values, "variant2 p=0.5": around(0.85)}))["variant2 tickets"].word == "does not hold"


def test_the_adjusted_p_is_holms_over_the_whole_family() -> None:
    """By hand: two levels, each with its margin and without; both recipes are asked nothing else but which level is best."""
    values = {"baseline": flat(0.9), "variant2 p=0.25": around(0.893), "variant2 p=0.5": around(0.902)}
    p = {}
    for label, bound in itertools.product(("variant2 p=0.25", "variant2 p=0.5"), (-0.01, 0.0)):
        p[label, bound] = scipy.stats.ttest_1samp([value - 0.9 for value in values[label]], bound).pvalue
    asked = found(sweep(values))
    assert set(asked) == {"variant2 tickets", "variant2 above", "variant2 search slower", "variant2 highest best"}
    # the time was not measured, and the two levels differ by the same with every seed: both count with p = 1
    family = sorted([*p.values(), 1.0, 1.0])
    below = asked["variant2 tickets"].details[0]
    rank = family.index(p["variant2 p=0.25", -0.01])
    highest = max((6 - place) * family[place] for place in range(rank + 1))
    assert below.adjusted == pytest.approx(min(1.0, highest), rel=1e-6)


def test_more_questions_make_each_verdict_harder() -> None:
    values: dict[str, Sequence[float | None]] = {"baseline": flat(0.9), "variant1 p=0.5": around(0.9023)}
    alone = found(sweep(values))["variant1 above"]
    many = found(sweep(values | {f"variant1 p=0.{digit}": around(0.9, (0.02, -0.02, 0.01, 0.0, -0.01)) for digit in "123467"}))
    above = next(detail for detail in many["variant1 above"].details if detail.label == "p=0.5")
    assert alone.word == "holds" and alone.adjusted is not None and above.adjusted is not None
    assert (above.word, above.difference) == ("no verdict", alone.difference)
    assert above.adjusted > 0.05 > alone.adjusted


def test_what_fails_only_after_holm_says_so() -> None:
    values = {f"variant1 p=0.{digit}": around(0.9023) for digit in "12345678"}
    one = found(sweep({"baseline": flat(0.9), **values}))["variant1 above"]
    assert one.word == "no verdict" and one.p is not None and one.p < 0.05
    assert f"p = {one.adjusted:.3g} after Holm's correction for 17 tests" in one.sentence


def test_where_the_intervals_disagree_both_are_shown_and_nothing_is_concluded() -> None:
    one = found(sweep({"baseline": flat(0.9, 3), "variant1 p=0.5": [0.91, 0.92, 0.95]}))["variant1 above"]
    assert one.word == "no verdict"
    # mean 2.67, half the width 4.303 * 2.08 / sqrt(3) = 5.17; the bootstrap reaches from the lowest to the highest
    assert one.sentence == (
        "no verdict: variant1 p=0.5 minus baseline is +2.67 points (n = 3 seeds), 95 % interval -2.50 to +7.84,"
        " bootstrap +1.00 to +5.00; the two intervals disagree: Student's includes 0, the bootstrap does not, which is too narrow"
        " for so few seeds as 3"
    )


def test_equal_differences_show_no_spread() -> None:
    one = found(sweep({"baseline": flat(0.8), "variant1 p=0.5": flat(0.9)}))["variant1 above"]
    assert (one.word, one.p, one.adjusted, one.interval) == ("no verdict", None, None, None)
    assert one.sentence == (
        "no verdict: variant1 p=0.5 minus baseline is +10.00 points in every pair (n = 5 seeds, no interval);"
        " differences that are all equal show no spread to judge by"
    )


def test_failed_trials_leave_the_other_pairs_and_are_counted() -> None:
    values = {"baseline": [0.9, 0.9, 0.9, 0.9, None], "variant1 p=0.5": [None, 0.951, 0.949, 0.95, 0.95]}
    one = found(sweep(values))["variant1 above"]
    assert (one.word, one.n, one.missing) == ("holds", 3, 2)
    assert "2 seeds of 5 missing" in one.sentence
    nothing = found(sweep({"baseline": [0.9, None], "variant1 p=0.5": [None, 0.9]}))["variant1 above"]
    assert (nothing.word, nothing.n, nothing.difference) == ("no verdict", 0, None)
    assert nothing.sentence == (
        "no verdict: n = 0, no seed finished on both sides of variant1 p=0.5 minus baseline;"
        " 2 seeds of 2 missing, which may not be by chance"
    )


@pytest.mark.parametrize("state", ["waiting", "running", "stopped"])
def test_before_the_end_nothing_is_judged(state: str) -> None:
    results = sweep({"baseline": flat(0.9), "variant1 p=0.5": around(0.95)})
    assert found(results)["variant1 above"].word == "holds"
    left = TrialResult("more", "variant1 p=0.5", 5, state)  # type: ignore[arg-type]
    one = found(replace(results, trials=(*results.trials, left)))["variant1 above"]
    assert one.word == "no verdict" and "the sweep is not at its end (1 trial left)" in one.sentence
    assert one.sentence.endswith("1 seed of 6 missing so far")


def test_trials_that_were_stopped_early_allow_no_verdicts() -> None:
    results = sweep({"baseline": flat(0.9), "variant1 p=0.5": around(0.95)})
    assert why_none(results) is None
    stopped = replace(results, stopped_early="halving,eta=3")
    assert verdicts(stopped) == ()
    assert "stopped early (halving,eta=3)" in (why_none(stopped) or "")


def test_sensitivity_of_variant_1() -> None:
    values = {
        "variant1 p=0.125": around(0.9),
        "variant1 p=0.95": flat(0.6),
        "variant2 p=0.125": flat(0.9),
        "variant2 p=0.95": around(0.85),
    }
    asked = found(sweep(values))
    assert (asked["variant1 sensitive"].word, asked["variant1 more sensitive"].word) == ("holds", "holds")
    assert asked["variant1 sensitive"].difference == pytest.approx(0.3)
    assert asked["variant1 more sensitive"].difference == pytest.approx(0.3 - 0.05)
    turned = {**values, "variant1 p=0.95": flat(0.95)}
    assert found(sweep(turned))["variant1 sensitive"].word == "does not hold"


def generalized(first: float, second: float) -> dict[str, Sequence[float | None]]:
    """Generalized LNAS by so much above Variant 1 and above Variant 2, as a mean over two levels."""
    return {
        "variant1 p=0.25": around(0.8 - first, (0.002, 0.001, 0.0, -0.001, -0.002)),
        "variant1 p=0.5": around(0.9 - first),
        "variant2 p=0.25": around(0.8 - second, (0.0, 0.002, -0.002, 0.001, -0.001)),
        "variant2 p=0.5": around(0.9 - second),
        "generalized p=0.25": flat(0.8),
        "generalized p=0.5": flat(0.9),
    }


@pytest.mark.parametrize(
    ("above", "word"),
    [
        ((0.05, 0.1), "holds"),
        ((0.05, 0.0002), "no verdict"),
        ((0.05, -0.05), "does not hold"),
        ((-0.05, -0.05), "does not hold"),
    ],
)
def test_generalized_has_to_beat_both(above: tuple[float, float], word: str) -> None:
    one = found(sweep(generalized(*above)))["generalized beats both"]
    assert one.word == word
    assert [detail.difference for detail in one.details] == pytest.approx(above)
    assert one.difference == pytest.approx(min(above))  # the weakest stands for the whole
    assert [detail.word for detail in one.details] == [None, None]


def test_the_p_of_beating_both_is_the_larger_one_and_of_failing_twice_the_smaller() -> None:
    values = generalized(0.05, 0.003)
    mean = [
        [sum(pair) / 2 for pair in zip(values[f"{name} p=0.25"], values[f"{name} p=0.5"], strict=True)]  # type: ignore[arg-type]
        for name in ("generalized", "variant1", "variant2")
    ]
    ps = [scipy.stats.ttest_rel(mean[0], other).pvalue for other in mean[1:]]
    assert found(sweep(values))["generalized beats both"].p == pytest.approx(max(ps), rel=1e-6)
    values = generalized(0.05, -0.003)
    mean[2] = [sum(pair) / 2 for pair in zip(values["variant2 p=0.25"], values["variant2 p=0.5"], strict=True)]  # type: ignore[arg-type]
    lost = scipy.stats.ttest_rel(mean[0], mean[2]).pvalue
    assert found(sweep(values))["generalized beats both"].p == pytest.approx(2 * lost, rel=1e-6)


def test_a_mean_over_levels_takes_only_seeds_that_have_all_of_them() -> None:
    values = generalized(0.05, 0.1)
    values["variant1 p=0.25"] = [None, *values["variant1 p=0.25"][1:]]
    details = found(sweep(values))["generalized beats both"].details
    assert [detail.n for detail in details] == [4, 5]


def test_the_highest_level_is_best_only_if_it_beats_every_other() -> None:
    values = {"variant2 p=0.25": around(0.8), "variant2 p=0.5": around(0.85), "variant2 p=0.95": flat(0.9)}
    assert found(sweep(values))["variant2 highest best"].word == "holds"
    one = found(sweep({**values, "variant2 p=0.5": around(0.95)}))["variant2 highest best"]
    assert (one.word, one.difference) == ("does not hold", pytest.approx(-0.05))
    assert "the weakest of 2 comparisons is against p=0.5" in one.sentence


def test_a_slower_search_is_a_fraction_of_the_baselines_and_says_that_times_are_rough() -> None:
    accuracy = {"baseline": flat(0.9), "variant2 p=0.25": flat(0.9), "variant2 p=0.5": flat(0.9)}
    seconds = {
        "baseline": [100.0, 200.0, 100.0, 50.0, 100.0],
        "variant2 p=0.25": [110.0, 222.0, 111.0, 54.5, 110.0],
        "variant2 p=0.5": [130.0, 260.0, 130.0, 65.0, 130.0],
    }
    results = sweep(accuracy, seconds=seconds)
    one = found(replace(results, workers=4))["variant2 search slower"]
    assert (one.word, one.unit) == ("holds", "%")
    # mean over levels and seeds of 0.1, 0.11, 0.11, 0.09, 0.1 and five times 0.3
    assert one.difference == pytest.approx((0.51 / 5 + 0.3) / 2)
    assert [detail.difference for detail in one.details] == pytest.approx([0.51 / 5, 0.3])
    assert "search time of Variant 2 (mean over 2 levels) minus that of baseline is +20.10 % of the latter" in one.sentence
    assert one.sentence.endswith(
        "times are wall-clock, and rough where trials shared a machine or ran on several; here 4 trials ran at a time"
    )


def test_controls_are_judged_over_their_levels_and_shown_by_level() -> None:
    values = {
        "variant1 p=0.25": around(0.9),
        "variant1 p=0.25 reinit": flat(0.85),
        "variant1 p=0.5": around(0.9, (0.002, 0.001, 0.0, -0.001, -0.002)),
        "variant1 p=0.5 reinit": flat(0.89),
    }
    one = found(sweep(values, kind="sweep"))["variant1 reinit"]
    assert one.word == "holds" and "theta_0 matters" in one.claim
    assert one.difference == pytest.approx(0.03)
    assert [(detail.label, detail.difference, detail.adjusted) for detail in one.details] == [
        ("variant1 p=0.25", pytest.approx(0.05), None),
        ("variant1 p=0.5", pytest.approx(0.01), None),
    ]


def test_results_change_no_claim_and_no_number_of_tests() -> None:
    names = ("baseline", "variant1 p=0.25", "variant1 p=0.5", "variant2 p=0.25", "variant2 p=0.5", "variant1 p=0.5 dense")
    good, bad = sweep({name: around(0.9) for name in names}), sweep({name: [None] * 5 for name in names})
    assert [one.claim for one in verdicts(good)] == [one.claim for one in verdicts(bad)]
    assert {one.word for one in verdicts(bad)} == {"no verdict"}
    tests = sum(ask.tests for ask in hypotheses(good.rows, table1=True))
    assert f"all {tests} tests" in method(good) and method(good) == method(bad)


def test_the_method_says_what_accuracy_is_and_what_a_verdict_is_not() -> None:
    words = method(sweep({"baseline": [0.9]}), margin=0.02)
    assert "test set, which was read once" in words
    assert "A winning ticket is at most 2 percentage points below the baseline." in words
    assert "not a proof of no difference" in words
    assert "at least 3 pairs" in words


def test_the_method_says_how_large_a_difference_has_to_be() -> None:
    values = {"baseline": flat(0.9, 3), "variant1 p=0.5": flat(0.9, 3)}
    # two tests: Student's t of 2 degrees of freedom at 1 - 0.05 / 4 and at 1 - 0.05 / 2
    assert "With n = 3 and 2 tests, no claim has a verdict unless one lies at least 6.21 standard errors" in method(sweep(values))
    assert "(4.3 if it were the only test)" in method(sweep(values))
    assert "With n = 2 there can be no verdict." in method(sweep({label: several[:2] for label, several in values.items()}))
    assert "With n" not in method(sweep({"baseline": flat(0.9, 3)}))
    assert "of three or four it always lies within the other" in method(sweep(values))


def test_where_one_may_lose_more_than_the_margin_or_less_it_says_so() -> None:
    spread = (0.01, -0.01, 0.0, 0.01, -0.01)
    one = found(sweep({"baseline": flat(0.9), "variant1 p=0.5": around(0.89, spread)}))["variant1 tickets"]
    assert one.sentence.endswith(
        "both intervals include -1.00 points, so that the loss may be more than 1 percentage point, or less"
    )


@pytest.mark.parametrize(
    ("parameters", "word", "words"),
    [
        ((100, 100), "holds", "the control has 1.00 times as many parameters; p"),
        ((80, 120), "holds", "the control has 0.80 to 1.20 times as many parameters; p"),
        (
            (79, 100),
            "no verdict",
            "the control has 0.79 to 1.00 times as many parameters, which is not about as many (0.8 to 1.25)",
        ),
        (
            (100, 126),
            "no verdict",
            "the control has 1.00 to 1.26 times as many parameters, which is not about as many (0.8 to 1.25)",
        ),
        ((100, None), "no verdict", "how many parameters the control has is not known"),
    ],
)
def test_a_dense_network_has_about_as_many_parameters(parameters: tuple[int | None, ...], word: str, words: str) -> None:
    values = {"variant1 p=0.25": around(0.9), "variant1 p=0.5": around(0.9)}
    dense = {f"{label} dense": flat(0.8) for label in values}
    results = sweep({**values, **dense}, kind="sweep")
    counts = {**dict.fromkeys(values, 100), **dict(zip(dense, parameters, strict=True))}
    trials = tuple(replace(one, parameters=counts[one.row]) for one in results.trials)
    one = found(replace(results, trials=trials))["variant1 dense"]
    assert (one.word, one.claim) == (word, "Variant 1, the ticket beats a dense network with about as many parameters")
    assert words in one.sentence and one.sentence.startswith(
        f"{word}: Variant 1 minus its control dense (mean over 2 rows) is +10.00"
    )


def test_a_verdict_begins_with_its_word_in_one_line() -> None:
    values = generalized(0.05, -0.05) | {"baseline": around(0.9, (0.01, 0.0, 0.02, -0.01, 0.0))}
    for one in verdicts(sweep(values)):
        assert one.sentence.startswith(f"{one.word}: ") and "\n" not in one.sentence


def test_where_nothing_differs_hardly_a_sweep_finds_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 5 % of sweeps, however many claims each has, and many claims share their rows."""
    monkeypatch.setattr(statistics, "_bootstrap", statistics._student)  # which only ever takes a verdict back
    draw = np.random.default_rng(0)
    labels = ["baseline", *(f"{recipe} p=0.{digit}" for recipe in ("variant1", "variant2") for digit in "25")]
    wrong = 0
    for _ in range(60):
        values = {label: list(0.9 + 0.02 * draw.standard_normal(5)) for label in labels}
        asked = found(sweep(values))
        wrong += any(one.word != "no verdict" for key, one in asked.items() if not key.endswith("tickets"))
    assert wrong <= 8  # of 60, more has a chance below 1 % at 5 %
