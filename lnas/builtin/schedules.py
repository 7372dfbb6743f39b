"""The schedules of the paper: never, at once, or the same share of the survivors each round."""

import math
import warnings
from dataclasses import dataclass
from typing import Annotated, Literal

from lnas.core.errors import ConfigError, SparsityError
from lnas.core.schedule import PruningSchedule


@dataclass(frozen=True)
class Never(PruningSchedule):
    """No rounds: the part of a pipeline that does not prune."""

    rounds = 0

    def sparsity_after(self, round: int) -> float:
        """0."""
        return 0.0


@dataclass(frozen=True)
class OneShot(PruningSchedule):
    """Everything in one round.

    Raises:
        SparsityError: where the sparsity is outside [0, 1).
    """

    sparsity: Annotated[float, "fraction removed, in [0, 1)"] = 0.75

    rounds = 1

    def __post_init__(self) -> None:
        _check(self.sparsity)

    def sparsity_after(self, round: int) -> float:
        """All of it after round 1."""
        return self.sparsity if round else 0.0


@dataclass(frozen=True)
class Iterative(PruningSchedule):
    """The same share of the survivors in each of n rounds.

    `geometric` keeps (1 - p)^(1/n) of the survivors, so that p is gone after round n: 1 - (1 - p)^(r/n) after round r
    (Frankle and Carbin 2019).  `literal` removes p^(1/n) of the survivors, as Algorithms 1 to 3 print it: 1 - (1 - p^(1/n))^r
    after round r, which ends far above p; it warns with the sparsity it ends at.

    Raises:
        SparsityError: where the sparsity is outside [0, 1), or the literal form ends at 1.
        ConfigError: where there are fewer than 1 rounds or the form does not exist.
    """

    sparsity: Annotated[float, "p, the fraction removed after the last round, in [0, 1)"] = 0.75
    rounds: Annotated[int, "n, the number of prune rounds"] = 10
    form: Annotated[
        Literal["geometric", "literal"], "geometric ends at p; literal removes p^(1/n) of the survivors, as printed"
    ] = "geometric"

    def __post_init__(self) -> None:
        _check(self.sparsity)
        if isinstance(self.rounds, bool) or not isinstance(self.rounds, int) or self.rounds < 1:
            raise ConfigError(f"rounds must be a whole number of at least 1, not {self.rounds!r}")
        if self.form not in ("geometric", "literal"):
            raise ConfigError(f"form must be geometric or literal, not {self.form!r}")
        if self.form == "literal" and self.rounds > 1:
            final = self.sparsity_after(self.rounds)
            if final >= 1:  # in floating point
                raise SparsityError(
                    f"the literal form of p = {self.sparsity:g} in {self.rounds} rounds leaves nothing; use fewer rounds"
                )
            warnings.warn(
                f"the literal form of p = {self.sparsity:g} in {self.rounds} rounds ends at a sparsity of {final:.6g}",
                stacklevel=3,
            )

    def sparsity_after(self, round: int) -> float:
        """The fraction gone after round r."""
        if round == self.rounds and (self.form == "geometric" or round == 1):
            return self.sparsity  # what the formulas say, without their rounding: p · N may be a half
        if self.form == "literal":
            return 1 - math.pow(1 - math.pow(self.sparsity, 1 / self.rounds), round)
        return 1 - math.pow(1 - self.sparsity, round / self.rounds)


def _check(sparsity: float) -> None:
    if isinstance(sparsity, bool) or not isinstance(sparsity, int | float) or not math.isfinite(sparsity):
        raise SparsityError(f"sparsity must be a number in [0, 1), not {sparsity!r}")
    if not 0 <= sparsity < 1:
        raise SparsityError(f"sparsity must be in [0, 1), not {sparsity:g}")
