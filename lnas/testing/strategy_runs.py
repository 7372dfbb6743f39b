"""A run that searches with a strategy."""

from collections.abc import Iterable

from lnas.builtin.importances import probability
from lnas.builtin.schedules import Iterative
from lnas.builtin.targets import Alpha
from lnas.core.pipeline import Pipeline
from lnas.core.rounds import Pruning
from lnas.core.stages import Search
from lnas.testing.killed import BATCHES, PER_ROUND, STEPS, Runnable
from lnas.testing.strategy_subject import StrategySubject
from lnas.testing.survival import Survival


class StrategyRuns(StrategySubject, Survival):
    """A search in which paths are pruned in two rounds."""

    def subjects(self) -> Iterable[str]:
        """The spaces."""
        return self.spaces()

    def runnable(self, name: str) -> Runnable:
        """A search on that space."""
        pruning = Pruning(Alpha, Iterative(sparsity=0.55, rounds=2), probability, k=PER_ROUND)
        search = Search(self.strategy(self.spaces()[name](), steps=STEPS), pruning, STEPS)
        return Runnable(Pipeline(search), self.pairs(BATCHES), self.loss)
