"""What has been measured since the last path died, and the alphas that one can go back to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

import lnas
from lnas_robust.rules import ranking


@dataclass
class Series:
    """The latest measurements, oldest first.

    A measurement under other live paths is that of another Hessian: the series then begins anew.

    Attributes:
        length: how many are kept.
        eigenvalues: of each.
        alphas: group -> alpha as it was at each.
        ranks: the ranking of alpha at the last one.
        unchanged: for how many measurements before the last one the ranking was the same.
        live: how many paths were alive at the last one.
    """

    length: int
    eigenvalues: list[float] = field(default_factory=list)
    alphas: list[dict[str, Tensor]] = field(default_factory=list)
    ranks: list[list[list[int]]] = field(default_factory=list)
    unchanged: int = 0
    live: int = 0

    def add(self, eigenvalue: float, alpha: Mapping[str, Tensor], alive: lnas.Paths) -> None:
        """One more measurement; alpha is copied."""
        live = sum(int(mask.sum()) for mask in alive.values())
        if live != self.live:  # masks are nested: the same number is the same paths
            self.eigenvalues, self.alphas, self.ranks, self.unchanged, self.live = [], [], [], 0, live
        ranks = ranking(alpha, alive)
        self.unchanged = self.unchanged + 1 if ranks == self.ranks else 0
        self.ranks = ranks
        self.eigenvalues = [*self.eigenvalues, eigenvalue][-self.length :]
        self.alphas = [*self.alphas, {group: values.detach().clone() for group, values in alpha.items()}][-self.length :]

    def state_dict(self) -> lnas.State:
        """All of it but the length."""
        return {
            "eigenvalues": list(self.eigenvalues),
            "alphas": [dict(alpha) for alpha in self.alphas],
            "ranks": [[list(edge) for edge in group] for group in self.ranks],
            "unchanged": self.unchanged,
            "live": self.live,
        }

    def load_state_dict(self, state: lnas.State) -> None:
        """Go back to a state."""
        self.eigenvalues = list(state["eigenvalues"])
        self.alphas = [{group: values.clone() for group, values in alpha.items()} for alpha in state["alphas"]]
        self.ranks = [[list(edge) for edge in group] for group in state["ranks"]]
        self.unchanged, self.live = state["unchanged"], state["live"]
