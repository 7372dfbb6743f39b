import pytest

from lnas.sweep.decision import adjusted_of_each, compared, deciding, p_of, word_of, word_together
from lnas.sweep.hypothesis import Contrast, Hypothesis
from lnas.sweep.results import Results, Row, TrialResult
from lnas.sweep.statistics import Paired

ABOVE = Paired(3, 0.05, (0.01, 0.09), (0.02, 0.08), 0.02)
BELOW = Paired(3, -0.05, (-0.09, -0.01), (-0.08, -0.02), 0.03)
OPEN = Paired(3, 0.01, (-0.03, 0.05), (-0.01, 0.04), 0.4)
NOTHING = Paired(0)
PAIR = Contrast("x", ("a",), ("b",))


@pytest.mark.parametrize(
    ("pair", "adjusted", "word"),
    [
        (ABOVE, 0.05, "holds"),
        (ABOVE, 0.0501, "no verdict"),  # after Holm
        (BELOW, 0.05, "does not hold"),
        (OPEN, 0.01, "no verdict"),
        (NOTHING, 0.01, "no verdict"),
        (Paired(2, 0.05, (0.01, 0.09), (0.02, 0.08), 0.02), 0.02, "no verdict"),
        (Paired(3, 0.05, (0.01, 0.09), (-0.01, 0.08), 0.02), 0.02, "no verdict"),  # the bootstrap alone includes 0
        (Paired(3, 0.05, (-0.01, 0.09), (0.01, 0.08), 0.06), 0.02, "no verdict"),  # t alone includes 0
        (Paired(3, -0.005, (-0.009, -0.001), (-0.008, -0.002), 0.02, bound=-0.01), 0.02, "holds"),  # below 0, not below -0.01
        (Paired(3, 0.05, degenerate=True), 0.0, "no verdict"),
    ],
)
def test_the_word_of_one_comparison(pair: Paired, adjusted: float, word: str) -> None:
    assert word_of(pair, adjusted) == word


@pytest.mark.parametrize(
    ("words", "some", "every"),
    [
        (("holds", "holds"), "holds", "holds"),
        (("holds", "no verdict"), "holds", "no verdict"),
        (("holds", "does not hold"), "holds", "does not hold"),
        (("no verdict", "does not hold"), "no verdict", "does not hold"),
        (("does not hold", "does not hold"), "does not hold", "does not hold"),
        (("no verdict", "no verdict"), "no verdict", "no verdict"),
    ],
)
def test_the_word_of_several(words: tuple[str, ...], some: str, every: str) -> None:
    assert word_together(Hypothesis("k", "c", (PAIR, PAIR), rule="some"), words) == some  # type: ignore[arg-type]
    assert word_together(Hypothesis("k", "c", (PAIR, PAIR), rule="every"), words) == every  # type: ignore[arg-type]


def test_the_p_values_that_go_into_the_family() -> None:
    def ask(rule: str) -> Hypothesis:
        return Hypothesis("k", "c", (PAIR, PAIR, PAIR), rule=rule)  # type: ignore[arg-type]

    assert p_of(ask("some"), (ABOVE, BELOW, NOTHING)) == (0.02, 0.03, 1.0)
    assert p_of(ask("every"), (ABOVE, ABOVE, OPEN)) == (0.4,)  # all lie above: the largest
    assert p_of(ask("every"), (ABOVE, BELOW, OPEN)) == (pytest.approx(0.09),)  # one lies below: three times its own
    assert p_of(ask("every"), (ABOVE, ABOVE, NOTHING)) == (1.0,)


def test_below_the_bound_each_contrast_has_its_own_p_and_too_few_seeds_have_none() -> None:
    """A has two seeds and looks certain; B has five, and twice its p is above 0.05: the claim does not fail."""
    ask = Hypothesis("k", "c", (PAIR, PAIR), rule="every")
    few = Paired(2, -0.05, (-0.051, -0.049), (-0.0501, -0.0499), 0.0006)
    own = Paired(5, -0.05, (-0.0999, -0.0001), (-0.09, -0.01), 0.049)
    for pairs in ((few, own), (own, few)):
        (p,) = p_of(ask, pairs)
        assert p == pytest.approx(0.098)
        of_each = adjusted_of_each(ask, pairs, (p,))
        words = [word_of(pair, value) for pair, value in zip(pairs, of_each, strict=True)]
        assert words == ["no verdict", "no verdict"] and word_together(ask, words) == "no verdict"
        assert pairs[deciding(ask, pairs, words)] is own


def test_holm_raises_the_p_of_every_contrast_below_the_bound_alike() -> None:
    ask = Hypothesis("k", "c", (PAIR, PAIR, PAIR), rule="every")
    one, other = (Paired(5, -0.05, (-0.09, -0.01), (-0.08, -0.02), p) for p in (0.001, 0.004))
    assert p_of(ask, (other, one, ABOVE)) == (pytest.approx(0.003),)
    # Holm took it four times: 0.012, and so 0.048 for the other; what lies above says nothing of a failure
    assert adjusted_of_each(ask, (other, one, ABOVE), (0.012,)) == pytest.approx((0.048, 0.012, 1.0))
    assert deciding(ask, (other, one, ABOVE), ["no verdict"] * 3) == 1


def test_a_contrast_that_is_not_above_and_cannot_fail_leaves_every_without_a_p() -> None:
    ask = Hypothesis("k", "c", (PAIR, PAIR), rule="every")
    few = Paired(2, -0.05, (-0.051, -0.049), (-0.0501, -0.0499), 0.0006)
    assert p_of(ask, (ABOVE, few)) == (1.0,)
    assert adjusted_of_each(ask, (ABOVE, few), (1.0,)) == (1.0, 1.0)
    assert deciding(ask, (ABOVE, few), ["no verdict"] * 2) == 1


def test_every_holds_with_the_largest_p_for_all() -> None:
    ask = Hypothesis("k", "c", (PAIR, PAIR), rule="every")
    surer = Paired(5, 0.05, (0.01, 0.09), (0.02, 0.08), 0.001)
    assert p_of(ask, (surer, ABOVE)) == (0.02,)
    assert adjusted_of_each(ask, (surer, ABOVE), (0.04,)) == (0.04, 0.04)
    assert deciding(ask, (surer, ABOVE), ["holds", "holds"]) == 1


def test_of_some_that_holds_the_most_certain_stands_for_all() -> None:
    ask = Hypothesis("k", "c", (PAIR, PAIR, PAIR), rule="some")
    sure = Paired(5, 0.02, (0.019, 0.021), (0.0195, 0.0205), 0.0001)
    alone = Paired(1, 0.9)
    assert deciding(ask, (alone, ABOVE, sure), ["no verdict", "holds", "holds"]) == 2
    assert deciding(ask, (alone, ABOVE, sure), ["no verdict", "holds", "no verdict"]) == 1


def test_of_some_that_does_not_hold_the_nearest_stands_for_all() -> None:
    """A level where some seeds fell to chance has a wide interval; that does not bring it nearer."""
    ask = Hypothesis("k", "c", (PAIR, PAIR, PAIR), rule="some")
    fell = Paired(3, -0.58, (-1.5, 0.37), (-0.85, -0.14), 0.1)
    near = Paired(3, -0.0075, (-0.018, 0.003), (-0.01, -0.001), 0.09)
    alone = Paired(1, 0.9)
    assert deciding(ask, (alone, fell, near), ["no verdict"] * 3) == 2
    # the claim is open, so a level that says "does not hold" does not stand for it
    assert deciding(ask, (BELOW, fell, alone), ["does not hold", "no verdict", "no verdict"]) == 1
    # above the bound, what is surer is nearer
    wide, sure = Paired(3, 0.04, (-0.01, 0.09), (0.01, 0.07), 0.09), Paired(3, 0.015, (0.004, 0.026), (0.01, 0.02), 0.02)
    assert deciding(ask, (wide, near, sure), ["no verdict"] * 3) == 2
    assert deciding(ask, (BELOW, Paired(3, -0.04, (-0.07, -0.01), (-0.06, -0.02), 0.03)), ["does not hold"] * 2) == 1


def test_a_seed_needs_every_row_of_both_sides_and_a_number() -> None:
    tests = {"a": (0.9, 0.8, 0.7, None), "b": (0.5, float("nan"), 0.6, 0.5), "c": (0.7, 0.7, 0.4, 0.5)}
    rows = tuple(Row(label, label) for label in tests)
    trials = [
        TrialResult(f"{label} {seed}", label, seed, "finished", test=value)
        for label, values in tests.items()
        for seed, value in enumerate(values)
    ]
    found = compared(Results("s", rows, tuple(trials)), Contrast("x", ("a",), ("b", "c")), measure="test")
    # seed 0: 0.9 - 0.6; seed 2: 0.7 - 0.5
    assert (found.n, found.mean) == (2, pytest.approx(0.25))
    summed = compared(Results("s", rows, tuple(trials)), Contrast("x", ("a",), ("b", "c"), of="sum"), measure="test")
    assert summed.mean == pytest.approx((0.9 - 1.2 + 0.7 - 1.0) / 2)


def test_times_are_fractions_of_the_second_side_and_of_nothing_where_that_took_none() -> None:
    seconds = {"a": (120.0, 90.0, 5.0), "b": (100.0, 100.0, 0.0)}
    trials = tuple(
        TrialResult(f"{label} {seed}", label, seed, "finished", search_seconds=value)
        for label, values in seconds.items()
        for seed, value in enumerate(values)
    )
    found = compared(Results("s", (Row("a", "a"), Row("b", "b")), trials), PAIR, measure="search_seconds")
    assert (found.n, found.mean) == (2, pytest.approx((0.2 - 0.1) / 2))
