"""What an importance is handed as `loss`, by a bare prune and by the rounds."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lnas.builtin.darts import Darts
from lnas.builtin.schedules import Iterative
from lnas.builtin.targets import Alpha, Theta
from lnas.builtin.weights import WeightTraining
from lnas.core.errors import ConfigError
from lnas.core.mask import Tensors, prune
from lnas.core.objective import BatchLoss, LossAlone, Objective
from lnas.core.objective import objective as as_objective
from lnas.core.rounds import Pruning, Rounds
from lnas.core.types import Predict

ONES = torch.ones(2, 3)


def loss(network: Predict, batch: Tensor) -> Tensor:
    return network(batch).square().mean()  # type: ignore[no-any-return]


def test_an_objective_that_knows_the_loss_alone_may_be_handed_on() -> None:
    alone = LossAlone(lambda: ONES.sum())
    assert as_objective(alone) is alone
    with pytest.raises(ConfigError, match="needs to know the network"):
        _ = alone.module


class Curious:
    """An importance that keeps what it is handed."""

    def __init__(self) -> None:
        self.seen: list[Objective] = []

    def __call__(self, tensors: Tensors, masks: Tensors, loss: Objective) -> Tensors:
        self.seen.append(loss)
        return {name: tensor.detach().abs() for name, tensor in tensors.items()}


def test_an_objective_is_the_loss_of_its_network_on_its_batch() -> None:
    network = nn.Linear(3, 2)
    objective = BatchLoss(network, network, ONES, loss)
    assert as_objective(objective) is objective
    assert torch.equal(objective(), loss(network, ONES)) and objective().requires_grad
    with pytest.raises(FrozenInstanceError):
        objective.batch = None  # type: ignore[misc]


def test_prune_hands_on_an_objective_as_it_is() -> None:
    network, importance = nn.Linear(3, 2), Curious()
    objective = BatchLoss(network, network, ONES, loss)
    prune(Theta(network), 0.5, importance=importance, loss=objective)
    assert importance.seen == [objective]


@pytest.mark.parametrize("name", ["module", "predict", "batch"])
def test_a_bare_loss_can_be_called_and_says_what_it_does_not_know(name: str) -> None:
    network, importance = nn.Linear(3, 2), Curious()
    prune(Theta(network), 0.5, importance=importance, loss=lambda: loss(network, ONES))
    prune(Theta(network), 0.5, importance=importance)
    known, nothing = importance.seen
    assert torch.equal(known(), loss(network, ONES))
    with pytest.raises(ConfigError, match="this importance needs a loss"):
        nothing()
    for objective in importance.seen:
        with pytest.raises(
            ConfigError, match=r"needs to know the (network|network's output|batch), .*: prune\(.*BatchLoss[^\n]*$"
        ):
            getattr(objective, name)


def test_rounds_say_what_the_loss_is_of_before_and_after_a_step() -> None:
    network, importance = nn.Linear(3, 2), Curious()
    learner = WeightTraining(network, loss)
    averaged: list[Tensor] = []

    def average(tensors: Any) -> Any:
        averaged.extend(tensors)
        return tuple(2 * tensor for tensor in tensors)

    learner.average = average
    batches = [ONES, 2 * ONES]
    rounds = Rounds(learner, Theta(network), Pruning(Theta.of, Iterative(0.5, rounds=2), importance), k=1)
    for batch in batches:
        rounds.step(batch)
        found = importance.seen[-1]
        assert found.module is network and found.batch is batch
        assert torch.equal(found.predict(batch), network(batch))
        assert torch.equal(found(), 2 * loss(network, batch))  # a mean over all processes
        assert torch.equal(averaged[-1], loss(network, batch))
    assert len(importance.seen) == 2


def test_a_search_hands_its_space_and_the_strategys_own_prediction(make_space: Any, make_batches: Any, loss: Any) -> None:
    strategy, importance = Darts(make_space(), loss), Curious()
    [(train, val)] = make_batches(1)
    rounds = Rounds(strategy, Alpha(strategy), Pruning(Alpha, Iterative(0.5, rounds=1), importance), k=1)
    rounds.step(train, val)
    [found] = importance.seen
    assert found.module is strategy.space and found.batch is train
    strategy.space.eval()
    assert torch.equal(found.predict(train[0]), strategy.space(train[0], strategy.gates()))
