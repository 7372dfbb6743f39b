"""The closed forms, by numbers one can check by hand, and what every schedule keeps."""

import dataclasses
import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lnas_schedules import Cubic, Exponential, Linear

import lnas

CURVES = (Cubic, Linear, Exponential)
SPARSITIES = st.floats(0, 1, exclude_max=True)


def test_cubic_is_zhu_and_guptas_formula() -> None:
    assert [Cubic(0.875, 4).sparsity_after(r) for r in range(5)] == [0, 0.505859375, 0.765625, 0.861328125, 0.875]
    schedule = Cubic(0.9, 7, 0.3)
    expected = [0.9 + (0.3 - 0.9) * (1 - r / 7) ** 3 for r in range(8)]
    assert [schedule.sparsity_after(r) for r in range(8)] == pytest.approx(expected, abs=1e-15)


def test_linear_removes_as_much_in_each_round() -> None:
    assert [Linear(0.75, 3).sparsity_after(r) for r in range(4)] == [0, 0.25, 0.5, 0.75]
    assert [Linear(0.75, 4, 0.25).sparsity_after(r) for r in range(5)] == [0.25, 0.375, 0.5, 0.625, 0.75]


def test_exponential_removes_a_fixed_share_of_what_the_round_before_removed() -> None:
    schedule = Exponential(0.875, 3, decay=3 * math.log(2))  # 4/7, 2/7 and 1/7 of it
    assert [schedule.sparsity_after(r) for r in range(4)] == pytest.approx([0, 0.5, 0.75, 0.875], abs=1e-15)
    schedule = Exponential(0.9, 6, 0.2, decay=1.7)
    expected = [0.2 + 0.7 * (1 - math.exp(-1.7 * r / 6)) / (1 - math.exp(-1.7)) for r in range(7)]
    assert [schedule.sparsity_after(r) for r in range(7)] == pytest.approx(expected, abs=1e-15)
    steps = [b - a for a, b in pairwise(schedule.sparsity_after(r) for r in range(7))]
    assert [b / a for a, b in pairwise(steps)] == pytest.approx([math.exp(-1.7 / 6)] * 5, rel=1e-12)


@given(st.floats(0.01, 0.999), st.integers(1, 30))
def test_exponential_lies_between_linear_and_the_same_share_of_the_survivors(sparsity: float, rounds: int) -> None:
    survivors = Exponential(sparsity, rounds, decay=-math.log1p(-sparsity))
    flat = Exponential(sparsity, rounds, decay=1e-9)
    for r in range(rounds + 1):
        assert survivors.sparsity_after(r) == pytest.approx(lnas.Iterative(sparsity, rounds).sparsity_after(r), abs=1e-13)
        assert flat.sparsity_after(r) == pytest.approx(Linear(sparsity, rounds).sparsity_after(r), abs=1e-9)


@pytest.mark.parametrize("curve", CURVES)
@given(sparsity=SPARSITIES, rounds=st.integers(1, 300), where=st.floats(0, 1), decay=st.floats(1e-300, 1e300))
def test_the_last_round_ends_at_the_sparsity_exactly_and_none_gives_back(
    curve: Any, sparsity: float, rounds: int, where: float, decay: float
) -> None:
    options = {"decay": decay} if curve is Exponential else {}
    schedule = curve(sparsity, rounds, min(where * sparsity, sparsity), **options)
    after = [schedule.sparsity_after(r) for r in range(rounds + 1)]
    assert after[0] == schedule.initial and after[-1] == sparsity
    assert all(0 <= a <= b < 1 for a, b in pairwise(after))


def test_rounding_does_not_lead_past_the_end() -> None:
    assert 0.29 + (0.85 - 0.29) > 0.85
    schedule = Exponential(0.85, 3, 0.29, decay=1e4)  # all of it in round 1
    assert [schedule.sparsity_after(r) for r in (1, 2, 3)] == [0.85, 0.85, 0.85]


@pytest.mark.parametrize("curve", CURVES)
def test_a_schedule_is_a_frozen_value_with_the_defaults_of_the_built_in_one(curve: Any) -> None:
    schedule, built_in = curve(), lnas.Iterative()
    assert (schedule.sparsity, schedule.rounds, schedule.initial) == (built_in.sparsity, built_in.rounds, 0)
    assert schedule == curve() and hash(schedule) == hash(curve())
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.rounds = 3
    assert issubclass(curve, lnas.PruningSchedule)


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"sparsity": 1.0}, lnas.SparsityError, "sparsity must be in [0, 1), not 1"),
    ({"sparsity": -0.5}, lnas.SparsityError, "sparsity must be in [0, 1), not -0.5"),
    ({"sparsity": math.nan}, lnas.SparsityError, "sparsity must be a number in [0, 1), not nan"),
    ({"sparsity": True}, lnas.SparsityError, "sparsity must be a number in [0, 1), not True"),
    ({"rounds": 0}, lnas.ConfigError, "rounds must be a whole number of at least 1, not 0"),
    ({"rounds": 2.0}, lnas.ConfigError, "rounds must be a whole number of at least 1, not 2.0"),
    ({"rounds": True}, lnas.ConfigError, "rounds must be a whole number of at least 1, not True"),
    ({"initial": 0.8}, lnas.ConfigError, "initial must be a number in [0, sparsity], here [0, 0.75], not 0.8"),
    ({"initial": -0.1}, lnas.ConfigError, "initial must be a number in [0, sparsity], here [0, 0.75], not -0.1"),
    ({"initial": math.nan}, lnas.ConfigError, "initial must be a number in [0, sparsity], here [0, 0.75], not nan"),
]


@pytest.mark.parametrize(("options", "error", "message"), WRONG, ids=lambda value: str(value)[:24])
def test_what_is_out_of_range_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    for curve in CURVES:
        with pytest.raises(error) as caught:
            curve(**options)
        assert str(caught.value) == message and type(caught.value) is error


@pytest.mark.parametrize("decay", [0.0, -1.0, math.inf, math.nan, True])
def test_a_decay_is_above_0(decay: Any) -> None:
    with pytest.raises(lnas.ConfigError, match=f"decay must be a finite number above 0, not {decay!r}$"):
        Exponential(decay=decay)
    with pytest.raises(lnas.SparsityError, match="sparsity must be in"):
        Exponential(2.0)
