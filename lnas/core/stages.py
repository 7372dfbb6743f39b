"""The stages of a pipeline: frozen descriptions of one loop each, and the ticket that they hand on."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar, Literal, TypeAlias

from torch import Tensor, nn

from lnas.core.errors import ConfigError, ContractError
from lnas.core.genotype import Genotype
from lnas.core.learner import Learner, SearchStrategy
from lnas.core.random import seeded
from lnas.core.rounds import Pruning, Rounds, Sparsity
from lnas.core.space import require_connected, require_finite

Fit: TypeAlias = Callable[[nn.Module, int], Learner]
"""`fit(network, horizon)`: the learner of a derived network; `horizon` is the most steps it runs between two rewinds."""

Draws: TypeAlias = Literal["pairs", "all"]
"""What a stage draws of the training data: pairs from two halves of it (theta on one, alpha on the other), or all of it."""


@dataclass(frozen=True)
class Ticket:
    """What a pipeline leaves: (alpha*, the network with theta*, its masks)."""

    genotype: Genotype | None = None
    network: nn.Module | None = None
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    sparsity: Mapping[str, Sparsity] = field(default_factory=dict)
    """By the name of the target."""


class Stage(ABC):
    """A description of one loop: how it begins on a ticket, and what it adds to it."""

    name: ClassVar[str]
    draws: ClassVar[Draws]
    pruning: Pruning
    steps: int

    @abstractmethod
    def loop(self) -> tuple[int, int]:
        """k, the steps of each round, and the steps after the last.

        Raises:
            ConfigError: where the rounds do not fit into the steps.
        """

    @abstractmethod
    def begin(self, ticket: Ticket) -> Rounds:
        """The loop, at its beginning."""

    @abstractmethod
    def end(self, rounds: Rounds, ticket: Ticket) -> Ticket:
        """The ticket with what the finished loop found."""


@dataclass(frozen=True)
class Search(Stage):
    """Search for alpha*: n rounds of k steps of the strategy, alpha ⊙ M_alpha after each; the rest after the last."""

    strategy: SearchStrategy
    pruning: Pruning
    steps: int

    name: ClassVar[str] = "search"
    draws: ClassVar[Draws] = "pairs"

    def loop(self) -> tuple[int, int]:
        """n rounds of `steps // n` steps."""
        if self.pruning.fresh:
            raise ConfigError("a search cannot begin anew on fresh weights after its last round; rewind to a step, or not at all")
        return _loop(self, self.pruning.schedule.rounds)

    def begin(self, ticket: Ticket) -> Rounds:
        """The rounds of the strategy."""
        return Rounds(self.strategy, self.pruning.target(self.strategy), self.pruning, *self.loop())

    def end(self, rounds: Rounds, ticket: Ticket) -> Ticket:
        """Adds alpha*.

        Raises:
            NumericalError: where alpha is not finite, whatever the strategy and its space would make of it.
            ContractError: where the strategy gives no genotype.
            GenotypeError: where a cell of it has an output that its input does not reach.
        """
        require_finite(self.strategy.alphas(), self.strategy.space)
        genotype = genotype_of(self.strategy)
        require_connected(genotype, self.strategy.space)
        return replace(ticket, genotype=genotype, sparsity=_with_sparsity(ticket, rounds))


@dataclass(frozen=True)
class Retrain(Stage):
    """Train theta of the derived network: n rounds of k steps, theta ⊙ M_theta and rewind after each; then k more.

    Attributes:
        derive: makes the network of the ticket's genotype, with its theta_0.
        fit: makes the learner of the network; its horizon is the length of a learning rate schedule.
        pruning: what is pruned, or `Never()`.
        steps: in all.
        seed: theta_0 is drawn from this seed's stream "network", not from the global generator; other weights, where the
            pruning asks for fresh ones, from its stream "network/fresh".
    """

    derive: Callable[[Genotype], nn.Module]
    fit: Fit
    pruning: Pruning
    steps: int
    seed: int = 0

    name: ClassVar[str] = "train"
    draws: ClassVar[Draws] = "all"

    def loop(self) -> tuple[int, int]:
        """n rounds of `steps // (n + 1)` steps, and what is left after the last."""
        return _loop(self, self.pruning.schedule.rounds + 1)

    def begin(self, ticket: Ticket) -> Rounds:
        """The rounds of the derived network's learner."""
        if ticket.genotype is None:
            raise ConfigError("there is no architecture to train; put a Search before it, or give the Pipeline a Ticket")
        k, finish = self.loop()
        rewind = self.pruning.rewind
        draw = partial(self._drawn, ticket.genotype, self.steps if rewind is None or not k else rewind + max(k, finish))
        learner = draw("network")
        anew = (lambda: draw("network/fresh").state_dict()) if self.pruning.fresh else None
        return Rounds(learner, self.pruning.target(learner), self.pruning, k, finish, anew=anew)

    def end(self, rounds: Rounds, ticket: Ticket) -> Ticket:
        """Adds the network and its masks."""
        return replace(
            ticket,
            network=rounds.target.compact(rounds.learner.module),
            masks=dict(rounds.target.masks()),
            sparsity=_with_sparsity(ticket, rounds),
        )

    def _drawn(self, genotype: Genotype, horizon: int, name: str) -> Learner:
        """The learner of a network whose weights come from that stream."""
        with seeded(self.seed, name):
            network = self.derive(genotype)
        if not isinstance(network, nn.Module):
            raise ContractError("space", f"derive() must return an nn.Module, not a {type(network).__name__}")
        return self.fit(network, horizon)


def genotype_of(strategy: SearchStrategy) -> Genotype:
    """What the strategy would choose now.

    Raises:
        ContractError: where that is no genotype.
    """
    genotype = strategy.genotype()
    if not isinstance(genotype, Genotype):
        raise ContractError("strategy", f"genotype() must return a Genotype, not a {type(genotype).__name__}")
    return genotype


def _loop(stage: Stage, parts: int) -> tuple[int, int]:
    """k and finish: what the pruning asks for, or the stage's steps in so many equal parts."""
    n, k, steps = stage.pruning.schedule.rounds, stage.pruning.k, stage.steps
    if steps < 1:
        raise ConfigError(f"the {stage.name} stage needs at least one step, not {steps}")
    if not n:
        return 0, steps
    if k is None:
        k = steps // parts
        if k == 0:
            raise ConfigError(f"{n} prune rounds do not fit into {steps} {stage.name} steps; at least {parts} are needed")
    if k < 0 or k * n > steps:
        raise ConfigError(f"{n} prune rounds of {k} steps do not fit into {steps} {stage.name} steps")
    rewind = stage.pruning.rewind
    if rewind is not None and not 0 <= rewind <= k:
        raise ConfigError(f"rewind must be a step before the first prune, 0 to {k}, not {rewind}")
    return k, steps - k * n


def _with_sparsity(ticket: Ticket, rounds: Rounds) -> dict[str, Sparsity]:
    """The ticket's sparsities with that of a finished loop, where it pruned at all."""
    found = {rounds.target.name: rounds.sparsity()} if rounds.pruning.schedule.rounds else {}
    return {**ticket.sparsity, **found}
