import pytest

from lnas.sweep.printed import PRINTED, SOURCE, printed

LEVELS = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 0.95)
NNI_COMPAT = (752335488, 549204480, 473033664, 391526784, 315355968, 233848512, 157677696, 76170816, 25141248)
"""What `lnas.cost.nni_compat` gives of the paper's network; tests/cost/test_nni.py computes it."""


def test_the_table_has_the_seventeen_models_of_the_paper() -> None:
    variants = {(recipe, level) for recipe in ("variant1", "variant2") for level in LEVELS}
    assert set(PRINTED) == {("baseline", None), *variants}
    assert all((row.recipe, row.sparsity) == key for key, row in PRINTED.items())


def test_a_row_is_what_the_paper_prints() -> None:
    row = printed("variant2", 0.95)
    assert row is not None
    assert (row.half, row.end, row.cost, row.search_hours) == (0.8014, 0.8559, 84_050_000, 5.2)
    assert "Table 1" in SOURCE


def test_what_the_paper_has_no_row_of() -> None:
    assert printed("generalized", 0.5) is None
    assert printed("variant1", 0.3) is None


def test_the_columns_have_the_means_of_the_paper() -> None:
    """Sums by hand: the epoch-20 column of Variant 1 is 559.27, of Variant 2 628.60."""
    ends = {recipe: sum(PRINTED[recipe, level].end for level in LEVELS) for recipe in ("variant1", "variant2")}
    halves = {recipe: sum(PRINTED[recipe, level].half for level in LEVELS) for recipe in ("variant1", "variant2")}
    assert ends == pytest.approx({"variant1": 5.5927, "variant2": 6.2860})
    assert halves == pytest.approx({"variant1": 5.4375, "variant2": 5.8689})


def test_the_costs_are_those_of_nnis_counter_but_for_the_last_and_a_typo() -> None:
    costs = [PRINTED["baseline", None].cost, *(PRINTED["variant1", level].cost for level in LEVELS)]
    assert costs[1:] == [PRINTED["variant2", level].cost for level in LEVELS]
    wrong = [place for place, cost in enumerate(costs) if cost != round(NNI_COMPAT[place], -3)]
    assert wrong == [0, 8]
