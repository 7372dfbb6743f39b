from collections.abc import Mapping
from typing import Annotated, Literal

import lnas
from lnas.host.options import Option, options_of
from lnas.testing.alternatives import alternatives, extremes, without_effect


def part(
    *,
    form: Annotated[Literal["flat", "curved"], "which"] = "flat",
    power: Annotated[float, "of the curve"] = 2.0,
    rounds: Annotated[int, "how many"] = 1,
    loud: Annotated[bool, "nothing"] = False,
    name: Annotated[str, "nothing"] = "x",
    limit: Annotated[int | None, "most"] = None,
) -> None: ...


def option(name: str) -> Option:
    (found,) = (option for option in options_of(part, "target") if option.name == name)
    return found


def test_alternatives_are_of_the_type_and_not_the_default() -> None:
    assert alternatives(option("form")) == ["curved"]
    assert alternatives(option("loud")) == [True]
    assert alternatives(option("rounds")) == [0, 2, 3, 5]
    assert alternatives(option("power")) == [1.0, 4.0, 0.1, 0.25, 0.5, 0.9]
    assert alternatives(option("limit")) == [1, 2, 3, 5]
    assert alternatives(option("name")) == []


def test_extremes_are_of_the_type() -> None:
    assert extremes(option("rounds")) == [-1, 0, 2, 10**6]
    assert extremes(option("power")) == [-1.0, 0.0, 1.0, 2.0, 1e9, float("inf")]
    assert extremes(option("form")) == extremes(option("loud")) == []


def outcome(options: Mapping[str, object]) -> object:
    """The curve has a power; rounds below 1 are refused, and more than 1 do nothing."""
    if not isinstance(rounds := options.get("rounds", 1), int) or rounds < 1:
        raise lnas.ConfigError("rounds")
    return [options.get("power", 2.0) if options.get("form", "flat") == "curved" else 1.0]


def test_an_option_counts_that_matters_with_another_word_only() -> None:
    assert without_effect(options_of(part, "target"), {}, outcome) == ["rounds", "loud", "limit"]


def test_the_values_that_a_suite_gives_take_the_place_of_defaults() -> None:
    known = [option("form")]
    assert without_effect(known, {"form": "curved"}, lambda options: [options.get("form", "curved") == "flat"]) == []
    assert without_effect(known, {"form": "curved"}, lambda options: [options.get("form", "curved")] and [0]) == ["form"]


def test_an_option_of_which_every_other_value_is_refused_is_not_idle() -> None:
    def picky(options: Mapping[str, object]) -> object:
        if options.get("rounds", 1) != 1:
            raise lnas.ConfigError("rounds")
        return []

    assert without_effect([option("rounds")], {}, picky) == []
