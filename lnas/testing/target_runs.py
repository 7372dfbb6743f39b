"""A run in which a target is pruned."""

from collections.abc import Iterable
from typing import Any

from torch import nn

from lnas.builtin.schedules import Iterative
from lnas.core.genotype import Genotype
from lnas.core.learner import Learner
from lnas.core.pipeline import Pipeline
from lnas.core.rounds import Pruning
from lnas.core.stages import Retrain, Search, Ticket
from lnas.testing.killed import BATCHES, PER_ROUND, STEPS, Runnable
from lnas.testing.survival import Survival
from lnas.testing.target_subject import TargetSubject, by_scores, feasible

LEVELS = (0.5, 0.25, 0.1)
"""The first that the target allows is what it is pruned to."""


class TargetRuns(TargetSubject, Survival):
    """A stage that is pruned in two rounds, and where it is training, rewound after each to its first step."""

    def subjects(self) -> Iterable[str]:
        """The modules."""
        return self.modules()

    def runnable(self, name: str) -> Runnable:
        """A search or a training with that module."""
        make = self.modules()[name]
        target = self.target(self.learner(make()))
        sparsity = next((level for level in LEVELS if feasible(target, level, [])), 0.0)
        rewind = None if self.searches() else 1
        pruning = Pruning(self.target, Iterative(sparsity=sparsity, rounds=2), by_scores(), rewind=rewind, k=PER_ROUND)
        if self.searches():
            searched: Any = self.learner(make())
            pipeline = Pipeline(Search(searched, pruning, STEPS))
        else:
            pipeline = Pipeline(Retrain(lambda genotype: make(), self._fit, pruning, STEPS), ticket=Ticket(Genotype({}, {})))
        return Runnable(pipeline, self.pairs(BATCHES), self.loss)

    def _fit(self, network: nn.Module, horizon: int) -> Learner:
        return self.learner(network)
