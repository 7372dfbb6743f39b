"""The one loop, and the stages that are made of it.

`Rounds` trains, prunes and rewinds; `Search` and `Retrain` describe one loop each; `Pipeline` drives the stages in turn
and leaves a `Ticket`.  `Rounds` and `Pipeline` are learners: the caller owns the loop and calls `step`.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, TypeAlias

from torch import Tensor, nn
from torch.optim import Optimizer

from lnas.core.errors import ConfigError
from lnas.core.genotype import Genotype
from lnas.core.learner import Learner, SearchStrategy
from lnas.core.mask import Importance, MaskTarget, prune, sparsity_of
from lnas.core.random import seeded
from lnas.core.schedule import PruningSchedule
from lnas.core.types import Batch, Loss, Metrics, State

Draws: TypeAlias = Literal["pairs", "all"]
"""What a stage draws of the training data: pairs from two halves of it (theta on one, alpha on the other), or all of it."""


@dataclass(frozen=True)
class Pruning:
    """One `--prune` line: what is pruned, when, by which measure, and what is rewound afterwards."""

    target: Callable[[Any], MaskTarget]
    """Makes the target of a learner: of a strategy in `Search`, of a weight trainer in `Retrain`."""
    schedule: PruningSchedule
    importance: Importance
    rewind: int | None = None
    """The step of the learner to return to after pruning; 0 is theta_0, None goes on from where it is."""
    k: int | None = None
    """Steps per round; the stage divides its steps evenly where this is None, and 0 prunes before the first step."""


@dataclass(frozen=True)
class Sparsity:
    """What was asked of a target, and what came out."""

    target: float
    attained: float


@dataclass(frozen=True)
class Ticket:
    """What a pipeline leaves: (alpha*, the network with theta*, its masks)."""

    genotype: Genotype | None = None
    network: nn.Module | None = None
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    sparsity: Mapping[str, Sparsity] = field(default_factory=dict)
    """By the name of the target."""


@dataclass(frozen=True)
class Progress:
    """Where a pipeline stands.  Steps are counted within the stage; rounds and steps done, not about to be done."""

    stage: str
    draws: Draws
    step: int
    steps: int
    round: int
    rounds: int


@dataclass
class Rounds(Learner):
    """For n rounds: k steps, prune, rewind; then `finish` steps more.  The only loop there is.

    Attributes:
        learner: does the steps.
        target: what is pruned; applied after every step, so that a masked entry is exactly 0 whatever an optimizer did.
        pruning: the schedule, importance and rewind step.
        k: steps per round; 0 prunes before the first step.
        finish: steps after the last round.
        t: steps done; they go on counting through a rewind, so that a rewound learner sees new batches.
        round: rounds done.
        origin: the learner's state at the rewind step, once it was reached.
    """

    learner: Learner
    target: MaskTarget
    pruning: Pruning
    k: int
    finish: int = 0
    t: int = 0
    round: int = 0
    origin: State | None = None

    def __post_init__(self) -> None:
        rewind = self.pruning.rewind
        if rewind is not None and self.pruning.schedule.rounds and not 0 <= rewind <= self.k:
            raise ConfigError(f"rewind must be a step before the first prune, 0 to {self.k}, not {rewind}")

    def step(self, train: Batch, val: Batch = None) -> Metrics:
        """One step of the learner, then M applied, then the prune round if it is due."""
        self._remember_origin()
        if self.t == 0:
            self._prune_if_due(train)
        metrics = self.learner.step(train, val)
        self.target.apply()
        self.t += 1
        self._remember_origin()
        self._prune_if_due(train)
        return metrics

    @property
    def done(self) -> bool:
        """Whether all rounds and all steps are over."""
        return self.round == self.pruning.schedule.rounds and self.t >= self.k * self.pruning.schedule.rounds + self.finish

    @property
    def module(self) -> nn.Module:  # type: ignore[override]
        """The learner's."""
        return self.learner.module

    @property
    def loss(self) -> Loss:  # type: ignore[override]
        """The learner's."""
        return self.learner.loss

    @property
    def optimizers(self) -> tuple[Optimizer, ...]:  # type: ignore[override]
        """The learner's."""
        return self.learner.optimizers

    def predict(self, x: Any) -> Any:
        """The learner's."""
        return self.learner.predict(x)

    def sparsity(self) -> Sparsity:
        """Asked of the target so far, and attained."""
        asked = self.pruning.schedule.sparsity_after(self.round) if self.round else 0.0
        return Sparsity(asked, sparsity_of(self.target.masks()))

    def state_dict(self) -> State:
        """The learner, its masks, the counters and the state to rewind to."""
        return {
            "learner": self.learner.state_dict(),
            "masks": dict(self.target.masks()),
            "t": self.t,
            "round": self.round,
            "origin": self.origin,
        }

    def load_state_dict(self, state: State) -> None:
        """Masks first: they decide which parameters there are to load."""
        for name, mask in self.target.masks().items():
            mask.copy_(state["masks"][name])
        self.target.apply()
        self.learner.load_state_dict(state["learner"])
        self.target.apply()
        self.t, self.round, self.origin = state["t"], state["round"], state["origin"]

    def _remember_origin(self) -> None:
        if self.origin is None and self.t == self.pruning.rewind and self.pruning.schedule.rounds:
            self.origin = copy.deepcopy(self.learner.state_dict())

    def _prune_if_due(self, batch: Batch) -> None:
        schedule = self.pruning.schedule
        while self.round < schedule.rounds and self.t >= self.k * (self.round + 1):
            self.round += 1
            prune(
                self.target,
                schedule.sparsity_after(self.round),
                importance=self.pruning.importance,
                loss=lambda: self.learner.loss(self.learner.predict, batch),
                earlier=[schedule.sparsity_after(r) for r in range(1, self.round)],
            )
            if self.origin is not None:  # rewinding is resuming an old state under a new mask
                self.learner.load_state_dict(self.origin)
                self.target.apply()


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
        return _loop(self, self.pruning.schedule.rounds)

    def begin(self, ticket: Ticket) -> Rounds:
        """The rounds of the strategy."""
        return Rounds(self.strategy, self.pruning.target(self.strategy), self.pruning, *self.loop())

    def end(self, rounds: Rounds, ticket: Ticket) -> Ticket:
        """Adds alpha*."""
        return replace(ticket, genotype=self.strategy.genotype(), sparsity=_with_sparsity(ticket, rounds))


@dataclass(frozen=True)
class Retrain(Stage):
    """Train theta of the derived network: n rounds of k steps, theta ⊙ M_theta and rewind after each; then k more.

    Attributes:
        derive: makes the network of the ticket's genotype, with its theta_0.
        fit: `fit(network, horizon)` makes the learner of the network; `horizon` is the most steps that it runs between
            two rewinds, the length of a learning rate schedule.
        pruning: what is pruned, or `Never()`.
        steps: in all.
        seed: theta_0 is drawn from this seed's stream "network", not from the global generator.
    """

    derive: Callable[[Genotype], nn.Module]
    fit: Callable[[nn.Module, int], Learner]
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
        with seeded(self.seed, "network"):
            network = self.derive(ticket.genotype)
        learner = self.fit(network, self.steps if rewind is None or not k else rewind + max(k, finish))
        return Rounds(learner, self.pruning.target(learner), self.pruning, k, finish)

    def end(self, rounds: Rounds, ticket: Ticket) -> Ticket:
        """Adds the network and its masks."""
        return replace(
            ticket,
            network=rounds.target.compact(rounds.learner.module),
            masks=dict(rounds.target.masks()),
            sparsity=_with_sparsity(ticket, rounds),
        )


class Pipeline(Learner):
    """Drives the stages in turn.  Every step is one step of the stage that is open.

    Attributes:
        stages: in order.
        rounds: the loop of the stage that is open.
    """

    def __init__(self, *stages: Stage, ticket: Ticket | None = None) -> None:
        if not stages:
            raise ConfigError("a pipeline needs at least one stage")
        self.stages = stages
        self._ticket = ticket or Ticket()
        self._index = 0
        self._closed = False
        self.rounds = stages[0].begin(self._ticket)

    def step(self, train: Batch, val: Batch = None) -> Metrics:
        """One step; a stage that was finished by the step before is closed first."""
        self.advance()
        return self.rounds.step(train, val)

    def advance(self) -> None:
        """Close a finished stage and open the next.  `step` does it; call it to see the next stage before a batch is drawn."""
        if not self.rounds.done or self._closed:
            return
        self._ticket = self.stages[self._index].end(self.rounds, self._ticket)
        if self._index + 1 == len(self.stages):
            self._closed = True
        else:
            self._index += 1
            self.rounds = self.stages[self._index].begin(self._ticket)

    @property
    def done(self) -> bool:
        """Whether the last stage is finished."""
        return self._index + 1 == len(self.stages) and self.rounds.done

    @property
    def ticket(self) -> Ticket:
        """What was found so far; complete once `done`."""
        if self.done:
            self.advance()
        return self._ticket

    @property
    def progress(self) -> Progress:
        """Where the pipeline stands now."""
        stage, rounds = self.stages[self._index], self.rounds
        return Progress(stage.name, stage.draws, rounds.t, stage.steps, rounds.round, rounds.pruning.schedule.rounds)

    @property
    def module(self) -> nn.Module:  # type: ignore[override]
        """That of the stage that is open."""
        return self.rounds.module

    @property
    def loss(self) -> Loss:  # type: ignore[override]
        """That of the stage that is open."""
        return self.rounds.loss

    @property
    def optimizers(self) -> tuple[Optimizer, ...]:  # type: ignore[override]
        """Those of the stage that is open."""
        return self.rounds.optimizers

    def predict(self, x: Any) -> Any:
        """The network of the stage that is open."""
        return self.rounds.predict(x)

    def state_dict(self) -> State:
        """The open stage and what earlier ones left.  A closed pipeline saves and loads as one about to be closed."""
        return {
            "stage": self._index,
            "genotype": None if self._ticket.genotype is None else self._ticket.genotype.to_json(),
            "sparsity": {name: [s.target, s.attained] for name, s in self._ticket.sparsity.items()},
            "rounds": self.rounds.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Open the saved stage afresh on the saved ticket, then load it."""
        self._ticket = Ticket(
            genotype=None if state["genotype"] is None else Genotype.from_json(state["genotype"]),
            sparsity={name: Sparsity(*pair) for name, pair in state["sparsity"].items()},
        )
        self._index, self._closed = state["stage"], False
        self.rounds = self.stages[self._index].begin(self._ticket)
        self.rounds.load_state_dict(state["rounds"])


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
