"""Rules about several processes that learn together, each on batches of its own."""

from functools import partial

from lnas.core.learner import SearchStrategy
from lnas.testing.lockstep import Lockstep
from lnas.testing.states import difference
from lnas.testing.strategy_subject import STEPS, StrategySubject, genotype_or_none, walk
from lnas.testing.suite import require


class StrategyProcesses(StrategySubject):
    """Rules about `average`."""

    def test_every_gradient_is_averaged(self) -> None:
        """Processes that learn together on batches of their own, with `average` a mean over them, stay bitwise equal."""
        for name, make in self.spaces().items():
            together = Lockstep(2)
            team = [self.strategy(make()) for _ in range(2)]
            for rank, strategy in enumerate(team):
                strategy.average = together.average(rank)
            shares = [self.pairs(STEPS - 1, f" of {rank}") for rank in range(2)]
            together.run([partial(walk, s, p) for s, p in zip(team, shares, strict=True)])
            one, other = [_learned(strategy) for strategy in team]
            found = difference(one, other, "what is learned")
            require(
                not found,
                f"two processes with batches of their own on {name} drift apart: {found}; pass every gradient, and whatever"
                " else of a batch steers a later step, through self.average before it is used",
            )

    def test_average_among_equals_changes_nothing(self) -> None:
        """Processes that see the same batches learn bitwise what one alone learns."""
        for name, make in self.spaces().items():
            team = [self.strategy(make()) for _ in range(2)]
            together = Lockstep(2)
            for rank, strategy in enumerate(team):
                strategy.average = together.average(rank)
            together.run([partial(walk, s, self.pairs(2)) for s in team])
            alone = self.strategy(make())
            Lockstep(1).run([partial(walk, alone, self.pairs(2))])
            found = difference(_learned(alone), _learned(team[0]), "what is learned")
            require(not found, f"two processes with equal batches do not learn what one learns on {name}: {found}")


def _learned(strategy: SearchStrategy) -> dict[str, object]:
    """theta, the preferences and the choice: what all processes must agree on.  Statistics of batches are no part of it."""
    genotype = genotype_or_none(strategy)
    return {
        "theta": dict(strategy.module.named_parameters()),
        "alphas": dict(strategy.alphas()),
        "genotype": genotype and genotype.to_json(),
    }
