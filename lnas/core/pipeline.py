"""A pipeline drives its stages in turn and leaves a `Ticket`.  It is a learner: the caller owns the loop and calls `step`."""

from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer

from lnas.core.errors import ConfigError
from lnas.core.genotype import Genotype
from lnas.core.learner import Average, Learner, alone
from lnas.core.rounds import Sparsity
from lnas.core.stages import Draws, Stage, Ticket
from lnas.core.types import Batch, Loss, Metrics, State


@dataclass(frozen=True)
class Progress:
    """Where a pipeline stands.  Steps are counted within the stage; rounds and steps done, not about to be done."""

    stage: str
    draws: Draws
    step: int
    steps: int
    round: int
    rounds: int


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
        self._average: Average = alone
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
            self._begin()

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

    @property
    def average(self) -> Average:
        """That of the stage that is open; what is set here goes to the learner of every stage from this one on."""
        return self.rounds.average

    @average.setter
    def average(self, average: Average) -> None:
        self._average = self.rounds.average = average

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
        self._begin()
        self.rounds.load_state_dict(state["rounds"])

    def _begin(self) -> None:
        self.rounds = self.stages[self._index].begin(self._ticket)
        if self._average is not alone:  # else a learner keeps one that its owner gave it
            self.rounds.average = self._average
