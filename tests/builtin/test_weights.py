"""Training theta: by lnas, and by a user's own step."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn

from lnas.builtin.weights import OwnTraining, WeightTraining
from lnas.core.errors import ConfigError

DATA = list(torch.randn(8, 5, 3, generator=torch.Generator().manual_seed(1)))


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))


def square(predict: Any, batch: torch.Tensor) -> torch.Tensor:
    return predict(batch).square().sum()


def equal(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, torch.Tensor):
        return torch.equal(mine, theirs)
    if isinstance(mine, dict):
        return mine.keys() == theirs.keys() and all(equal(value, theirs[key]) for key, value in mine.items())
    if isinstance(mine, list | tuple):
        return len(mine) == len(theirs) and all(map(equal, mine, theirs))
    return bool(mine == theirs)


def test_weight_training_is_sgd_with_a_cosine() -> None:
    module, plain = network(), network()
    learner = WeightTraining(module, square, 4)
    optimizer = torch.optim.SGD(plain.parameters(), 0.0, momentum=0.9, weight_decay=3e-4)
    assert learner.optimizers == (learner.sgd.optimizer,)
    for t, x in enumerate(DATA[:6]):
        metrics = learner.step(x, "not looked at")
        loss = square(plain, x)
        assert list(metrics) == ["loss"]
        assert torch.equal(metrics["loss"], loss.detach())
        assert not metrics["loss"].requires_grad
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 5.0)
        optimizer.param_groups[0]["lr"] = 0.025 * (1 + math.cos(math.pi * min(t / 4, 1))) / 2
        optimizer.step()
        assert equal(module.state_dict(), plain.state_dict())
    x = DATA[6]
    module.eval()
    assert torch.equal(learner.predict(x), module(x))


def test_weight_training_goes_on_from_its_state() -> None:
    straight = WeightTraining(network(), square, 8)
    for x in DATA:
        resumed = WeightTraining(network(3), square, 8)
        resumed.load_state_dict(copy.deepcopy(straight.state_dict()))
        assert torch.equal(straight.step(x)["loss"], resumed.step(x)["loss"])
        assert equal(straight.state_dict(), resumed.state_dict())


def own(kind: str, seed: int = 0) -> OwnTraining:
    module = network(seed)
    make: Any = {
        "sgd": lambda: torch.optim.SGD(module.parameters(), 0.05, momentum=0.9),
        "adam": lambda: torch.optim.Adam(module.parameters(), 0.01),
    }[kind]
    optimizer = make()

    def fit(batch: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = square(module, batch)
        loss.backward()
        optimizer.step()
        return loss

    return OwnTraining(module, fit, [optimizer])


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_own_training_goes_on_from_its_state(kind: str) -> None:
    straight = own(kind)
    for x in DATA:
        resumed = own(kind, 3)
        resumed.load_state_dict(copy.deepcopy(straight.state_dict()))
        assert torch.equal(straight.step(x)["loss"], resumed.step(x)["loss"])
        assert equal(straight.state_dict(), resumed.state_dict())


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_a_state_that_was_loaded_stays_what_it_was(kind: str) -> None:
    """Rewinding loads the same state once a round: training on may not change it."""
    learner = own(kind)
    for x in DATA[:3]:
        learner.step(x)
    state = copy.deepcopy(learner.state_dict())
    kept = copy.deepcopy(state)
    ends = []
    for _ in range(2):
        learner.load_state_dict(state)
        for x in DATA[3:6]:
            learner.step(x)
        assert equal(state, kept)
        ends.append(copy.deepcopy(learner.module.state_dict()))
    assert equal(*ends)


def test_the_state_of_own_training_has_string_keys_throughout() -> None:
    learner = own("adam")
    learner.step(DATA[0])

    def check(value: Any) -> None:
        if isinstance(value, dict):
            assert all(isinstance(key, str) for key in value)
            for inner in value.values():
                check(inner)

    (state,) = learner.state_dict()["optimizers"]
    assert list(state["state"]) == ["0", "1", "2", "3", "4", "5"]
    check(state["state"])


@pytest.mark.parametrize(
    ("result", "metrics"),
    [
        (None, {}),
        (torch.tensor(2.0, requires_grad=True), {"loss": 2.0}),
        ({"a": torch.tensor(1.0, requires_grad=True), "b": torch.tensor(3.0)}, {"a": 1.0, "b": 3.0}),
    ],
)
def test_a_step_may_return_nothing_a_loss_or_metrics(result: Any, metrics: dict[str, float]) -> None:
    seen = []
    learner = OwnTraining(network(), lambda batch: seen.append(batch) or result)
    found = learner.step("batch", "val")
    assert seen == ["batch"]
    assert {name: value.item() for name, value in found.items()} == metrics
    assert all(not value.requires_grad for value in found.values())


def test_a_loss_is_needed_only_by_importances_that_ask_for_it() -> None:
    x = DATA[0]
    learner = OwnTraining(network(), lambda batch: None)
    assert learner.optimizers == ()
    with pytest.raises(ConfigError, match=r"needs a loss: lottery_ticket\(\.\.\., loss=\.\.\.\)"):
        learner.loss(learner.predict, x)
    learner = OwnTraining(network(), lambda batch: None, loss=square)
    learner.module.eval()
    assert torch.equal(learner.loss(learner.predict, x), square(learner.module, x))
