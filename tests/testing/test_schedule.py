from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
import torch

import lnas
from lnas.testing import ScheduleSuite, judge
from lnas.testing.suite import rules

Sparsity = Annotated[float, "fraction removed in the end"]
Rounds = Annotated[int, "how many"]


@dataclass(frozen=True)
class Sound(lnas.PruningSchedule):
    """s r/n after round r; every class below is this one, but for one thing."""

    sparsity: Sparsity = 0.75
    rounds: Rounds = 5
    form: Annotated[Literal["even", "late"], "linear, or quadratic"] = "even"

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise lnas.ConfigError(f"sparsity must be in [0, 1), not {self.sparsity!r}")
        if self.rounds < 1:
            raise lnas.ConfigError(f"rounds must be at least 1, not {self.rounds!r}")
        if self.form not in ("even", "late"):
            raise lnas.ConfigError(f"form must be even or late, not {self.form!r}")

    def sparsity_after(self, round: int) -> float:
        share = round / self.rounds
        return self.sparsity * (share if self.form == "even" else share**2)


@dataclass(frozen=True)
class NoSchedule:
    rounds: int = 2

    def sparsity_after(self, round: int) -> float:
        return 0.5


@dataclass(frozen=True)
class HalfRounds(lnas.PruningSchedule):
    rounds = 2.5

    def sparsity_after(self, round: int) -> float:
        return 0.5


@dataclass(frozen=True)
class OfTensors(Sound):
    def sparsity_after(self, round: int) -> float:
        return torch.tensor(super().sparsity_after(round), dtype=torch.float64)


@dataclass(frozen=True)
class UpToOne(lnas.PruningSchedule):
    rounds = 4

    def sparsity_after(self, round: int) -> float:
        return round / self.rounds


@dataclass(frozen=True)
class BackAndForth(Sound):
    def sparsity_after(self, round: int) -> float:
        return super().sparsity_after(round) if round == self.rounds else self.sparsity - super().sparsity_after(round)


@dataclass(frozen=True)
class RoundedEnd(Sound):
    def sparsity_after(self, round: int) -> float:
        return 1 - (1 - self.sparsity) ** (super().sparsity_after(round) / self.sparsity) if self.sparsity else 0.0


@dataclass
class Thawed(lnas.PruningSchedule):
    sparsity: Sparsity = 0.5
    rounds = 1

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise lnas.ConfigError(f"sparsity must be in [0, 1), not {self.sparsity!r}")

    def sparsity_after(self, round: int) -> float:
        return self.sparsity

    def __hash__(self) -> int:
        return hash(self.sparsity)


class NoDataclass(lnas.PruningSchedule):
    rounds = 1

    def __init__(self) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NoDataclass)

    def __hash__(self) -> int:
        return 0

    def sparsity_after(self, round: int) -> float:
        return 0.5


@dataclass(frozen=True)
class Counting(Sound):
    calls: list[int] = field(default_factory=list, init=False, compare=False)

    def sparsity_after(self, round: int) -> float:
        self.calls.append(round)
        slowly = min(0.7, 0.001 * len(self.calls) * (1 + (self.form == "late")))
        return self.sparsity * (1 if round == self.rounds else slowly)


@dataclass(frozen=True)
class Unequal(Sound):
    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__


@dataclass(frozen=True)
class Idle(Sound):
    def sparsity_after(self, round: int) -> float:
        return self.sparsity * (round / self.rounds)


@dataclass(frozen=True)
class TakesAnything(Sound):
    def __post_init__(self) -> None:
        if self.sparsity != self.sparsity or self.form not in ("even", "late"):
            raise lnas.ConfigError(f"sparsity is {self.sparsity!r} and form {self.form!r}")

    def sparsity_after(self, round: int) -> float:
        return min(max(super().sparsity_after(round), 0.0), 0.999)


@dataclass(frozen=True)
class NoRounds(Sound):
    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1 or self.form not in ("even", "late"):
            raise lnas.ConfigError(f"sparsity is {self.sparsity!r} and form {self.form!r}")
        1 / self.rounds


@dataclass(frozen=True)
class LikeItsTarget(lnas.PruningSchedule):
    scope: Annotated[Literal["little", "much"], "how much"] = "little"
    rounds = 1

    def __post_init__(self) -> None:
        if self.scope not in ("little", "much"):
            raise lnas.ConfigError(f"scope must be little or much, not {self.scope!r}")

    def sparsity_after(self, round: int) -> float:
        return 0.25 if self.scope == "little" else 0.75


BROKEN = {
    NoSchedule: {
        *("it_is_a_schedule", "it_can_be_typed_in_a_prune_line"),
        *("options_are_typed_and_described", "options_out_of_range_are_refused"),
    },
    HalfRounds: {"rounds_are_a_whole_number"},
    OfTensors: {"sparsities_are_fractions", "options_out_of_range_are_refused"},
    UpToOne: {"sparsities_are_fractions"},
    BackAndForth: {"sparsities_never_fall", "options_out_of_range_are_refused"},
    RoundedEnd: {"the_last_round_reaches_the_sparsity"},
    Thawed: {"it_is_a_frozen_dataclass"},
    NoDataclass: {"it_is_a_frozen_dataclass"},
    Counting: {"it_is_a_function_of_the_round"},
    Unequal: {"it_is_a_function_of_the_round", "it_can_be_typed_in_a_prune_line"},
    Idle: {"every_option_has_an_effect"},
    TakesAnything: {"options_out_of_range_are_refused"},
    NoRounds: {"options_out_of_range_are_refused"},
    LikeItsTarget: {"it_can_be_typed_in_a_prune_line"},
}


def found(part: type) -> dict[str, str]:
    suite = type("Of", (ScheduleSuite,), {"part": part})
    return {verdict.rule: verdict.message for verdict in judge(suite) if verdict.outcome == "broken"}


def test_a_sound_one_keeps_all() -> None:
    assert found(Sound) == {}


@pytest.mark.parametrize("part", BROKEN, ids=lambda part: part.__name__)
def test_the_broken_rule_is_named(part: type) -> None:
    assert found(part).keys() == BROKEN[part]


def test_every_rule_of_schedules_can_be_broken() -> None:
    own = {name.removeprefix("test_") for name, _ in rules(ScheduleSuite) if name in vars(ScheduleSuite)}
    assert own == set().union(*BROKEN.values()) & own


def test_the_message_says_what_came_out_and_what_should_have() -> None:
    assert found(TakesAnything)["options_out_of_range_are_refused"] == (
        "schedule TakesAnything(sparsity=-1.0) was accepted; a sparsity lies in [0, 1): raise lnas.ConfigError"
    )
    assert found(Idle)["every_option_has_an_effect"].startswith("option form of schedule Idle changes no round")
    assert "0.875" not in found(RoundedEnd)["the_last_round_reaches_the_sparsity"]


class TestSound(ScheduleSuite):
    """pytest runs the rules of a subclass as tests, by name and with `self`."""

    part = Sound
