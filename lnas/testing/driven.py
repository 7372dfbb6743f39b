"""Pipelines of recipes, driven as a run drives them."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from lnas.builtin.classification import cross_entropy
from lnas.builtin.importances import magnitude, probability
from lnas.builtin.schedules import Iterative
from lnas.builtin.targets import Alpha, Theta
from lnas.builtin.weights import WeightTraining
from lnas.core.learner import Learner, SearchStrategy
from lnas.core.pipeline import Pipeline
from lnas.core.rounds import Pruning
from lnas.core.types import Batch, State
from lnas.testing.states import copied
from lnas.testing.subjects import batches

SPARSITY, ROUNDS = 0.5, 2
PRUNINGS = {
    "alpha": Pruning(Alpha, Iterative(SPARSITY, ROUNDS), probability),
    "theta": Pruning(Theta.of, Iterative(SPARSITY, ROUNDS), magnitude, rewind=0),
}
MOST_STEPS = 200
"""A pipeline that goes on for longer is stopped."""


@dataclass
class Fits:
    """The `fit` of a recipe, and the networks and horizons that it was called with."""

    calls: list[tuple[object, object]] = field(default_factory=list)

    def __call__(self, network: nn.Module, horizon: int) -> Learner:
        """SGD."""
        self.calls.append((network, horizon))
        return WeightTraining(network, cross_entropy, horizon)


def drive(pipeline: Pipeline, *, most: int = MOST_STEPS, at: int = 0) -> int:
    """Step as a run does, from its step number `at`, until it is done or has done `most` steps; how many it did."""
    batch = batches(MOST_STEPS), batches(MOST_STEPS, name="val")
    done = 0
    while done < most and not pipeline.done:
        pipeline.advance()
        pairs = pipeline.progress.draws == "pairs"
        train, val = (side[(at + done) % MOST_STEPS] for side in batch)
        pipeline.step(train, val if pairs else None)
        done += 1
    return done


def counted(strategy: SearchStrategy) -> list[int]:
    """A list that grows by one with every step of the strategy."""
    calls: list[int] = []
    step = strategy.step

    def counting(train: Batch, val: Batch = None) -> Any:
        calls.append(1)
        return step(train, val)

    strategy.step = counting  # type: ignore[method-assign]
    return calls


def outcome(pipeline: Pipeline) -> State:
    """All of the ticket, as a state."""
    ticket = pipeline.ticket
    return {
        "genotype": None if ticket.genotype is None else ticket.genotype.to_json(),
        "network": {} if ticket.network is None else copied(ticket.network.state_dict()),
        "masks": copied(ticket.masks),
        "sparsity": {name: [sparsity.target, sparsity.attained] for name, sparsity in ticket.sparsity.items()},
    }
