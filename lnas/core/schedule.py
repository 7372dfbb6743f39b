"""When to prune, and how much: a pure function of the round, so there is nothing to save and resuming is free."""

from abc import ABC, abstractmethod


class PruningSchedule(ABC):
    """How much is gone after each of `rounds` rounds.

    Implementations are frozen dataclasses whose fields are the options a user may type, e.g. `sparsity`.
    """

    rounds: int
    """n, the number of prune rounds; 0 never prunes."""

    @abstractmethod
    def sparsity_after(self, round: int) -> float:
        """The fraction removed in all, of what there was at first, after round 1..n; in [0, 1) and never falling."""
