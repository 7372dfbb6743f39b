import pytest

from lnas.core.errors import ConfigError
from lnas.sweep import controls
from lnas.sweep.check_labels import MAY_DIFFER, SAYS
from lnas.sweep.hypotheses import CLAIMED, hypotheses
from lnas.sweep.hypothesis import Contrast, Hypothesis
from lnas.sweep.results import Row

LEVELS = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 0.95)
BASELINE = Row("baseline", "baseline")


def level(recipe: str, sparsity: float) -> Row:
    return Row(f"{recipe} p={sparsity:g}", recipe, sparsity)


def control(of: Row, name: str) -> Row:
    return Row(f"{of.label} {name}", of.recipe, of.sparsity, control=name, of=of.label)


def table1(*recipes: str, levels: tuple[float, ...] = LEVELS) -> tuple[Row, ...]:
    return (BASELINE, *(level(recipe, sparsity) for recipe in recipes for sparsity in levels))


def by_key(rows: tuple[Row, ...], *, paper: bool = True) -> dict[str, Hypothesis]:
    asked = hypotheses(rows, table1=paper)
    found = {ask.key: ask for ask in asked}
    assert len(found) == len(asked)
    return found


def test_the_claims_of_the_paper_on_its_whole_table() -> None:
    asked = by_key(table1("variant1", "variant2", "generalized"))
    assert {key: (ask.rule, ask.tests, ask.bound, ask.measure) for key, ask in asked.items()} == {
        "variant2 tickets": ("some", 8, -0.01, "test"),
        "variant2 above": ("some", 8, 0.0, "test"),
        "variant1 tickets": ("some", 8, -0.01, "test"),
        "variant1 above": ("some", 8, 0.0, "test"),
        "generalized tickets": ("some", 8, -0.01, "test"),
        "generalized above": ("some", 8, 0.0, "test"),
        "variant1 sensitive": ("one", 1, 0.0, "test"),
        "variant1 more sensitive": ("one", 1, 0.0, "test"),
        "generalized beats both": ("every", 1, 0.0, "test"),
        "variant2 search slower": ("one", 1, 0.0, "search_seconds"),
        "variant2 highest best": ("every", 1, 0.0, "test"),
    }


def test_every_level_is_held_against_the_baseline() -> None:
    asked = by_key(table1("variant2", levels=(0.95, 0.25)))["variant2 tickets"]
    assert asked.contrasts == (
        Contrast("p=0.25", ("variant2 p=0.25",), ("baseline",)),
        Contrast("p=0.95", ("variant2 p=0.95",), ("baseline",)),
    )
    assert asked.claim == (
        "Variant 2 finds winning tickets (accuracy at some sparsity is at most 1 percentage point below the baseline's)"
    )
    assert asked.contrasts[0].subtraction == "variant2 p=0.25 minus baseline"


def test_sensitivity_is_the_lowest_level_against_the_highest() -> None:
    asked = by_key(table1("variant1", "variant2", levels=(0.5, 0.125, 0.95)))
    (loss,) = asked["variant1 sensitive"].contrasts
    assert (loss.first, loss.second) == (("variant1 p=0.125",), ("variant1 p=0.95",))
    (losses,) = asked["variant1 more sensitive"].contrasts
    assert (losses.of, set(losses.first)) == ("sum", {"variant1 p=0.125", "variant2 p=0.95"})
    assert set(losses.second) == {"variant1 p=0.95", "variant2 p=0.125"}


def test_generalized_is_compared_over_the_levels_that_all_have() -> None:
    rows = (level("variant1", 0.25), level("variant1", 0.5), level("variant2", 0.5), level("generalized", 0.5))
    asked = by_key((*rows, level("generalized", 0.75)))["generalized beats both"]
    assert [(one.first, one.second) for one in asked.contrasts] == [
        (("generalized p=0.5",), ("variant1 p=0.5",)),
        (("generalized p=0.5",), ("variant2 p=0.5",)),
    ]


def test_the_highest_level_has_to_beat_every_other() -> None:
    asked = by_key(table1("variant2"))["variant2 highest best"]
    assert {one.first for one in asked.contrasts} == {("variant2 p=0.95",)}
    assert [one.second for one in asked.contrasts] == [(f"variant2 p={one:g}",) for one in LEVELS[:-1]]


def test_what_the_rows_cannot_answer_is_not_asked() -> None:
    assert by_key((BASELINE,)) == {}
    assert set(by_key(table1("variant1", levels=(0.5,)))) == {"variant1 tickets", "variant1 above"}
    assert set(by_key((level("variant2", 0.5), level("variant2", 0.75)))) == {"variant2 highest best"}


@pytest.mark.parametrize("name", CLAIMED)
def test_controls_are_pooled_by_kind_and_recipe(name: str) -> None:
    of = [level("variant1", 0.25), level("variant1", 0.5), level("generalized", 0.5)]
    asked = by_key((BASELINE, *of, *(control(row, name) for row in of)))
    pooled, alone = asked[f"variant1 {name}"], asked[f"generalized {name}"]
    assert CLAIMED[name] in pooled.claim
    assert pooled.contrasts[0].first == ("variant1 p=0.25", "variant1 p=0.5")
    assert pooled.contrasts[0].second == (f"variant1 p=0.25 {name}", f"variant1 p=0.5 {name}")
    assert pooled.contrasts[0].subtraction == f"Variant 1 minus its control {name} (mean over 2 rows)"
    assert [one.first for one in pooled.details] == [("variant1 p=0.25",), ("variant1 p=0.5",)]
    assert (alone.tests, alone.details) == (1, ())
    assert alone.contrasts[0].subtraction == f"generalized p=0.5 minus generalized p=0.5 {name}"
    assert pooled.about_as_many == (name == "dense")


def test_a_control_is_never_a_row_of_the_paper() -> None:
    ticket = level("variant1", 0.5)
    asked = by_key((BASELINE, ticket, control(ticket, "dense")))
    assert all("dense" not in label for one in asked["variant1 tickets"].contrasts for label in one.first)


def test_a_sweep_of_ones_own_is_held_against_its_baseline_wherever_that_stands() -> None:
    asked = by_key((level("variant1", 0.5), BASELINE, Row("mine/odd", "mine/odd")), paper=False)
    assert {key: ask.bound for key, ask in asked.items()} == {
        "variant1 p=0.5 ticket": -0.01,
        "variant1 p=0.5 above": 0.0,
        "mine/odd ticket": -0.01,
        "mine/odd above": 0.0,
    }
    assert {one.second for ask in asked.values() for one in ask.contrasts} == {("baseline",)}


def test_without_a_baseline_the_first_row_is_what_others_are_held_against() -> None:
    asked = by_key((level("variant1", 0.5), level("variant1", 0.75)), paper=False)
    assert {key: ask.contrasts[0].second for key, ask in asked.items()} == {"variant1 p=0.75 above": ("variant1 p=0.5",)}


def test_a_row_has_the_baseline_with_its_own_options_and_never_one_of_other_data() -> None:
    def rows(key: str) -> tuple[Row, ...]:
        return tuple(
            Row(f"{recipe} {key}={value}", recipe, varied={key: value}) for recipe in ("baseline", "variant1") for value in "ab"
        )

    against = {key: ask.contrasts[0].second[0] for key, ask in by_key(rows("batch"), paper=False).items()}
    assert against["variant1 batch=b ticket"] == "baseline batch=b"
    assert against["baseline batch=b above"] == "baseline batch=a"
    against = {key: ask.contrasts[0].second[0] for key, ask in by_key(rows("data"), paper=False).items()}
    assert against == {
        f"variant1 data={value} {what}": f"baseline data={value}" for value in "ab" for what in ("ticket", "above")
    }


def test_what_is_pruned_is_no_other_option_and_a_ticket_differs_in_nothing_else() -> None:
    """Two axes of a sweep: prune lines and spaces; a row without lines is the baseline of its space."""
    rows = tuple(
        Row(f"{name} space={space}", "", varied={"prune": lines, "space": space})
        for name, lines in (("baseline", "none"), ("pruned", "theta:one-shot"))
        for space in "ab"
    )
    asked = by_key(rows, paper=False)
    assert {key: ask.contrasts[0].second[0] for key, ask in asked.items()} == {
        "baseline space=b above": "baseline space=a",
        "pruned space=a ticket": "baseline space=a",
        "pruned space=a above": "baseline space=a",
        "pruned space=b ticket": "baseline space=b",
        "pruned space=b above": "baseline space=b",
    }
    without = by_key((rows[0], rows[3]), paper=False)  # no baseline of space b
    assert {key: ask.contrasts[0].second[0] for key, ask in without.items()} == {"pruned space=b above": "baseline space=a"}


def test_no_claim_and_no_subtraction_needs_a_colon() -> None:
    """A verdict is printed behind its claim, with one."""
    paper = table1("variant1", "variant2", "generalized")
    own = (BASELINE, level("variant1", 0.5), Row("mine", "mine"))
    for rows, kind in ((paper, True), (own, False)):
        for ask in hypotheses((*rows, *(control(rows[1], name) for name in CLAIMED)), table1=kind):
            assert ":" not in ask.claim and not any(":" in one.subtraction for one in ask.contrasts)
            assert all(" minus " in one.subtraction for one in ask.contrasts)


def test_a_margin_of_nothing_is_not_below() -> None:
    rows = (BASELINE, level("variant1", 0.5))
    claims = [hypotheses(rows, table1=False, margin=margin)[0].claim for margin in (0.0, 0.005)]
    assert claims == [
        "variant1 p=0.5 is a winning ticket (not below baseline)",
        "variant1 p=0.5 is a winning ticket (at most 0.5 percentage points below baseline)",
    ]


def test_rows_of_prune_lines_alone_are_known_by_their_label() -> None:
    asked = by_key((Row("baseline", ""), Row("pruned p=0.5", "", 0.5)), paper=False)
    assert set(asked) == {"pruned p=0.5 ticket", "pruned p=0.5 above"}


@pytest.mark.parametrize("margin", [-0.01, 1.0, float("nan")])
def test_a_margin_is_a_fraction(margin: float) -> None:
    with pytest.raises(ConfigError, match=r"outside \[0, 1\)"):
        hypotheses((BASELINE,), table1=True, margin=margin)


def test_every_control_has_its_claim_and_its_checks() -> None:
    assert set(CLAIMED) == set(controls.CONTROLS) == set(MAY_DIFFER) == {*SAYS, "dense"}
