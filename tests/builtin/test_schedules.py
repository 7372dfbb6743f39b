"""Schedules are pure functions of the round, by numbers one can check by hand."""

import dataclasses
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnas.builtin.schedules import Iterative, Never, OneShot
from lnas.core.errors import ConfigError, LnasError, SparsityError
from lnas.core.schedule import PruningSchedule

SPARSITIES = st.floats(0, 1, exclude_max=True)


def test_never_has_no_rounds() -> None:
    assert Never().rounds == 0
    assert Never().sparsity_after(0) == Never().sparsity_after(7) == 0.0


def test_one_shot_removes_everything_in_round_one() -> None:
    schedule = OneShot(0.3)
    assert schedule.rounds == 1
    assert [schedule.sparsity_after(r) for r in (0, 1)] == [0.0, 0.3]


def test_geometric_rounds_keep_the_same_share_of_the_survivors() -> None:
    schedule = Iterative(0.875, 3)  # half of the survivors each time
    assert [schedule.sparsity_after(r) for r in range(4)] == pytest.approx([0, 0.5, 0.75, 0.875], abs=1e-15)
    ladder = Iterative(1 - 0.8**15, 15)  # the lottery ticket's 20 % each time
    assert [100 * (1 - ladder.sparsity_after(r)) for r in (3, 7, 9, 15)] == pytest.approx(
        [51.2, 20.97152, 13.4217728, 3.518437], abs=1e-6
    )


def test_the_literal_form_removes_the_nth_root_and_says_where_it_ends() -> None:
    with pytest.warns(UserWarning, match=r"the literal form of p = 0\.5 in 5 rounds ends at a sparsity of 0\.999964"):
        schedule = Iterative(0.5, 5, "literal")
    assert 1 - schedule.sparsity_after(5) == pytest.approx(0.000036, abs=5e-7)  # 0.0036 % of the weights
    share = 0.5 ** (1 / 5)
    assert [schedule.sparsity_after(r) for r in range(6)] == pytest.approx([1 - (1 - share) ** r for r in range(6)], abs=1e-15)


@given(SPARSITIES)
def test_all_forms_agree_exactly_in_one_round(sparsity: float) -> None:
    """Bit for bit: at a half, the last bit of p · N decides about an entry."""
    expected = OneShot(sparsity).sparsity_after(1)
    assert Iterative(sparsity, 1).sparsity_after(1) == Iterative(sparsity, 1, "literal").sparsity_after(1) == expected == sparsity


@given(SPARSITIES, st.integers(1, 40))
def test_the_last_round_ends_at_p_and_none_gives_back(sparsity: float, rounds: int) -> None:
    schedule = Iterative(sparsity, rounds)
    after = [schedule.sparsity_after(r) for r in range(rounds + 1)]
    assert after[0] == 0
    assert after[-1] == sparsity
    assert all(0 <= value < 1 for value in after)
    assert all(b - a >= -1e-15 for a, b in pairwise(after))


@pytest.mark.parametrize("bad", [-0.1, 1.0, 1.5, float("nan"), float("inf"), "half", None, True])
@pytest.mark.parametrize("make", [OneShot, Iterative])
def test_a_sparsity_that_is_none_is_refused(make: Any, bad: Any) -> None:
    with pytest.raises(SparsityError, match=r"sparsity must be (a number )?in \[0, 1\), not"):
        make(bad)


@pytest.mark.parametrize("bad", [0, -1, 2.0, True, "3"])
def test_rounds_below_one_are_refused(bad: Any) -> None:
    with pytest.raises(ConfigError, match="rounds must be a whole number of at least 1"):
        Iterative(0.5, bad)


def test_another_form_is_refused() -> None:
    with pytest.raises(ConfigError, match="form must be geometric or literal, not 'linear'"):
        Iterative(0.5, 2, "linear")  # type: ignore[arg-type]


def test_a_literal_form_that_leaves_nothing_is_refused_at_once() -> None:
    with pytest.raises(SparsityError, match="leaves nothing"):
        Iterative(0.9, 60, "literal")


@pytest.mark.parametrize("schedule", [Never(), OneShot(), Iterative()])
def test_schedules_are_frozen_values(schedule: PruningSchedule) -> None:
    assert schedule == dataclasses.replace(schedule)  # type: ignore[type-var]
    assert hash(schedule) == hash(dataclasses.replace(schedule))  # type: ignore[type-var]
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
        schedule.rounds = 3
    assert issubclass(SparsityError, LnasError)
