"""Schedules that follow a curve from s_i to s_f: a curve says how much of the way is done after the fraction t of the rounds."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated

import lnas


@dataclass(frozen=True)
class Curve(lnas.PruningSchedule):
    """s_r = s_i + (s_f - s_i) · share(r / n) after round r of n; exactly s_f after the last.

    Raises:
        SparsityError: where the sparsity is outside [0, 1).
        ConfigError: where there are fewer than 1 rounds, or the curve begins above its end.
    """

    sparsity: Annotated[float, "s_f, the fraction removed after the last round, in [0, 1)"] = 0.75
    rounds: Annotated[int, "n, the number of prune rounds"] = 10
    initial: Annotated[float, "s_i, where the curve begins, in [0, sparsity]; round 1 is a step along it already"] = 0.0

    def __post_init__(self) -> None:
        if not _is_number(self.sparsity):
            raise lnas.SparsityError(f"sparsity must be a number in [0, 1), not {self.sparsity!r}")
        if not 0 <= self.sparsity < 1:
            raise lnas.SparsityError(f"sparsity must be in [0, 1), not {self.sparsity:g}")
        if isinstance(self.rounds, bool) or not isinstance(self.rounds, int) or self.rounds < 1:
            raise lnas.ConfigError(f"rounds must be a whole number of at least 1, not {self.rounds!r}")
        if not _is_number(self.initial) or not 0 <= self.initial <= self.sparsity:
            raise lnas.ConfigError(
                f"initial must be a number in [0, sparsity], here [0, {self.sparsity:g}], not {self.initial!r}"
            )

    @abstractmethod
    def share(self, t: float) -> float:
        """How much of the way from s_i to s_f is done at t in [0, 1]: from 0 to 1, never falling."""

    def sparsity_after(self, round: int) -> float:
        """The fraction gone after round r."""
        if round == self.rounds:
            return self.sparsity  # without the rounding of the formula: s_f · N may be a half
        return min(self.initial + (self.sparsity - self.initial) * self.share(round / self.rounds), self.sparsity)


@dataclass(frozen=True)
class Cubic(Curve):
    """s_r = s_f + (s_i - s_f) (1 - r/n)^3: fast early, gently late (Zhu and Gupta 2017)."""

    def share(self, t: float) -> float:
        """1 - (1 - t)^3."""
        left = 1 - t
        return 1 - left * left * left


@dataclass(frozen=True)
class Linear(Curve):
    """s_r = s_i + (s_f - s_i) r/n: the same number of entries in each round."""

    def share(self, t: float) -> float:
        """t."""
        return t


@dataclass(frozen=True)
class Exponential(Curve):
    """s_r = s_i + (s_f - s_i) (1 - e^(-λ r/n)) / (1 - e^(-λ)): each round removes e^(-λ/n) times what the one before removed.

    With s_i = 0 and λ = -ln(1 - s_f) this is `iterative`, the same fraction of the survivors in each round; as λ goes to 0
    it becomes `linear`.

    Raises:
        ConfigError: where the decay is not finite and above 0.
    """

    decay: Annotated[float, "λ, above 0: the curve starts e^λ times as steep as it ends"] = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _is_number(self.decay) or self.decay <= 0:
            raise lnas.ConfigError(f"decay must be a finite number above 0, not {self.decay!r}")

    def share(self, t: float) -> float:
        """(1 - e^(-λt)) / (1 - e^(-λ))."""
        return math.expm1(-self.decay * t) / math.expm1(-self.decay)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
