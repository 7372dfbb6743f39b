"""What every pruning schedule keeps."""

import dataclasses
import itertools
import math
import unittest
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import torch

from lnas.core.errors import LnasError
from lnas.core.schedule import PruningSchedule
from lnas.host.prunings import prune_line
from lnas.host.spec import Spec, as_text
from lnas.testing.alternatives import extremes, without_effect
from lnas.testing.part import PartSuite
from lnas.testing.registered import NAME, registry_with
from lnas.testing.suite import require

SPARSITIES = (0.0, 0.1, 0.3, 0.5, 0.75, 0.9, 0.99)
"""What the option `sparsity` is tried at."""
MOST_ROUNDS = 200
"""Of a schedule with more rounds than this, so many are looked at, spread evenly, the last among them."""


class ScheduleSuite(PartSuite):
    """The rules of schedules.

    Attributes:
        ends_at_sparsity: whether the last round reaches the option `sparsity`, where there is one; say False where the
            formula ends elsewhere by intention.
    """

    kind = "schedule"
    ends_at_sparsity: ClassVar[bool] = True

    def given(self) -> tuple[Any, ...]:
        """Nothing: a schedule has options only."""
        return ()

    def exercise(self) -> None:
        """Ask for every round."""
        _course(self.make())

    def test_it_is_a_schedule(self) -> None:
        """The part makes a `PruningSchedule`."""
        made = self.make()
        require(isinstance(made, PruningSchedule), f"{self.label()} made a {type(made).__name__}, which is no PruningSchedule")

    def test_rounds_are_a_whole_number(self) -> None:
        """`rounds` is a whole number of at least 0."""
        require(not (found := _wrong_rounds(self.make())), f"{self.label()}: {found}")

    def test_sparsities_are_fractions(self) -> None:
        """`sparsity_after` gives a plain number in [0, 1) after every round."""
        require(not (found := _wrong_fraction(self.make())), f"{self.label()}: {found}")

    def test_sparsities_never_fall(self) -> None:
        """What is gone stays gone: no round has less sparsity than the one before it."""
        require(not (found := _fall(self.make())), f"{self.label()}: {found}")

    def test_the_last_round_reaches_the_sparsity(self) -> None:
        """The last round ends at the option `sparsity` exactly, without a rounding error: p · N may be a half."""
        if not self.ends_at_sparsity:
            raise unittest.SkipTest("the suite says that it ends elsewhere: ends_at_sparsity = False")
        if "sparsity" not in {option.name for option in self.declared()}:
            raise unittest.SkipTest("it has no option sparsity")
        tried = 0
        for sparsity in SPARSITIES:
            try:
                schedule = self.make(sparsity=sparsity)
            except LnasError:
                continue
            tried += 1
            last = schedule.sparsity_after(schedule.rounds)
            require(
                last == sparsity,
                f"{self.label()}(sparsity={sparsity!r}) ends at {last!r} after round {schedule.rounds}; return the option itself"
                " there, or say ends_at_sparsity = False",
            )
        require(bool(tried), f"{self.label()} refuses every sparsity of {SPARSITIES}; each of [0, 1) makes sense")

    def test_it_is_a_frozen_dataclass(self) -> None:
        """A schedule is a value: a frozen dataclass whose fields are its options."""
        made = self.make()
        require(dataclasses.is_dataclass(made), f"{type(made).__name__} is no dataclass; write @dataclass(frozen=True) above it")
        fields = [field.name for field in dataclasses.fields(made)]
        lost = [option.name for option in self.declared() if option.name not in fields]
        require(not lost, f"option {', '.join(lost)} is no field of {type(made).__name__}; its fields are {', '.join(fields)}")
        for name in (*fields, "something_new"):
            before = getattr(made, name, None)
            try:
                setattr(made, name, before)
            except (dataclasses.FrozenInstanceError, AttributeError):
                continue
            require(False, f"{name} of a {type(made).__name__} can be set; write @dataclass(frozen=True)")

    def test_it_is_a_function_of_the_round(self) -> None:
        """The same round gives the same number: asked twice, in any order, of equal objects, after any other schedule."""
        one, other = self.make(), self.make()
        require(one == other, f"two {self.label()} with the same options are not equal; leave __eq__ to the dataclass")
        require(hash(one) == hash(other), f"two equal {self.label()} have different hashes")
        course = _course(one)
        asked: dict[str, list[float]] = {
            "the second time": _course(one),
            "asked in the reverse order": _course(one, reverse=True),
            "as an equal object, asked in the reverse order": _course(other, reverse=True),
        }
        if dataclasses.is_dataclass(one) and isinstance(one, PruningSchedule):
            asked["as a copy made of its fields"] = _course(dataclasses.replace(one))
        for value in SPARSITIES if "sparsity" in {option.name for option in self.declared()} else ():
            with _no_warnings(), suppress(LnasError):
                _course(self.make(sparsity=value))
        asked["after others had been made"] = _course(other)
        for how, values in asked.items():
            for round, before, after in zip(_rounds(one), course, values, strict=True):
                said = f"{self.label()} gave {before!r} for round {round}, and {after!r} {how}"
                require(before == after, f"{said}; a schedule has no state: it is a function of the round and its options")

    def test_every_option_has_an_effect(self) -> None:
        """No option is accepted and ignored."""

        def outcome(options: Any) -> object:
            schedule = self.make(**options)
            return [schedule.rounds, _course(schedule)]

        with _no_warnings():
            idle = without_effect(self.declared(), self.make_options(), outcome)
        require(not idle, f"option {', '.join(idle)} of {self.label()} changes no round, whatever its value; use it, or drop it")

    def test_options_out_of_range_are_refused(self) -> None:
        """Whatever value an option takes, the schedule keeps its rules; else it is refused by an lnas.ConfigError."""
        with _no_warnings():
            for option in self.declared():
                for value in extremes(option):
                    self._refuses_or_works(option.name, value)

    def test_it_can_be_typed_in_a_prune_line(self) -> None:
        """Its options, written as text in a prune line, are read back as an equal schedule."""
        made = self.make()
        registry = registry_with(self.kind, self.part)
        values = {option.name: getattr(made, option.name) for option in self.declared()}
        try:
            line = str(Spec("theta", NAME, {name: as_text(name, value) for name, value in values.items()}))
            with _no_warnings():
                read = prune_line(registry, Spec.parse(line), seed=0).pruning(1).schedule
        except LnasError as error:
            require(False, f"{self.label()} cannot be used in a prune line: {error}")
            raise
        require(read == made, f"the prune line {line!r} is read as {read!r}, not as {made!r}")

    def _refuses_or_works(self, name: str, value: object) -> None:
        given = f"{self.label()}({name}={value!r})"
        try:
            schedule = self.loaded()(**self.make_options(**{name: value}))
        except LnasError:
            return
        except Exception as error:
            require(False, f"{given} raised {type(error).__name__} ({error}); raise lnas.ConfigError, in words for a user")
            raise
        beyond = name == "sparsity" and not 0 <= value < 1  # type: ignore[operator]
        require(not beyond, f"{given} was accepted; a sparsity lies in [0, 1): raise lnas.ConfigError")
        try:
            found = _wrong_rounds(schedule) or _wrong_fraction(schedule) or _fall(schedule)
        except Exception as error:
            found = f"sparsity_after raised {type(error).__name__} ({error})"
        require(not found, f"{given} was accepted, but {found}; raise lnas.ConfigError instead")


def _wrong_rounds(schedule: PruningSchedule) -> str:
    n: object = schedule.rounds
    return "" if type(n) is int and n >= 0 else f"rounds is {n!r}; it must be a whole number of at least 0"


def _rounds(schedule: PruningSchedule) -> list[int]:
    """The rounds to look at, all where they are few; none where `rounds` is no number of rounds."""
    n = 0 if _wrong_rounds(schedule) else schedule.rounds
    return sorted({1 + i * (n - 1) // (MOST_ROUNDS - 1) for i in range(MOST_ROUNDS)}) if n > MOST_ROUNDS else [*range(1, n + 1)]


def _course(schedule: PruningSchedule, *, reverse: bool = False) -> list[float]:
    """The sparsity after each round that is looked at, in the order of the rounds, whatever order they were asked in."""
    rounds = _rounds(schedule)
    values = [schedule.sparsity_after(round) for round in (reversed(rounds) if reverse else rounds)]
    return values[::-1] if reverse else values


def _wrong_fraction(schedule: PruningSchedule) -> str:
    for round, after in zip(_rounds(schedule), _course(schedule), strict=True):
        if isinstance(after, bool | torch.Tensor) or not isinstance(after, int | float):
            return f"sparsity_after({round}) is {after!r}, a {type(after).__name__}; it must be a plain number"
        if not math.isfinite(after) or not 0 <= after < 1:
            return f"sparsity_after({round}) is {after!r}; it must lie in [0, 1)"
    return ""


def _fall(schedule: PruningSchedule) -> str:
    for (round, before), (then, after) in itertools.pairwise(zip(_rounds(schedule), _course(schedule), strict=True)):
        if after < before:
            return f"sparsity_after falls from {before!r} in round {round} to {after!r} in round {then}; what is gone stays gone"
    return ""


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Values that only this suite chose may be warned about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
