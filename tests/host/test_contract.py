from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import lnas
from lnas.core.errors import ContractError
from lnas.host.chosen import chosen, of_plugins
from lnas.host.config import Config
from lnas.host.contract import (
    check_target,
    checked_dataset,
    checked_executor,
    checked_schedule,
    checked_space,
    checked_strategy,
)
from lnas.host.plugins import Host


def refused(kind: str, check: Callable[[], object]) -> str:
    with pytest.raises(ContractError) as caught:
        check()
    assert caught.value.kind == kind
    return str(caught.value)


def test_what_is_built_in_passes(make_space, loss) -> None:
    space = make_space()
    strategy = lnas.Darts(space, loss)
    assert checked_space(space) is space
    assert checked_strategy(strategy, space) is strategy
    check_target(lnas.Alpha(strategy))
    data = lnas.digits()
    assert checked_dataset(data) is data


def without(name: str) -> Callable[[Any], None]:
    return lambda made: object.__setattr__(made, name, None)


SPACES: dict[str, tuple[Callable[[Any], object], str]] = {
    "alive": (without("alive"), "a space must have alive by group, not None"),
    "edges": (without("edges"), "a space must have edges by group, not None"),
    "names": (lambda space: space.alive.pop("reduce"), "alive must have the names normal, reduce, not normal"),
    "shape": (
        lambda space: space.alive.update(normal=torch.ones(2, 2, dtype=torch.bool)),
        "alive of normal must be of shape (5, 8), not (2, 2)",
    ),
    "numbers": (lambda space: space.alive.update(normal=torch.ones(5, 8)), "alive of normal must be bool, not float32"),
    "lists": (lambda space: space.alive.update(normal=[1]), "alive of normal must be of shape (5, 8), not a list"),
}


@pytest.mark.parametrize(("spoil", "message"), SPACES.values(), ids=SPACES)
def test_a_space_that_is_none(make_space, spoil: Callable[[Any], object], message: str) -> None:
    space = make_space()
    spoil(space)
    assert refused("space", lambda: checked_space(space)) == message


STRATEGIES: dict[str, tuple[Callable[[Any], object], str]] = {
    "module": (without("module"), "a strategy must have module, a Module"),
    "space": (without("space"), "a strategy must have space, a SearchSpace"),
    "optimizers": (lambda s: setattr(s, "optimizers", list(s.optimizers)), "a strategy must have optimizers, a tuple"),
    "loss": (without("loss"), "a strategy must have loss, the function that it was given"),
    "alphas": (lambda s: setattr(s, "alphas", lambda: None), "alphas() must be tensors by name, not None"),
}


@pytest.mark.parametrize(("spoil", "message"), STRATEGIES.values(), ids=STRATEGIES)
def test_a_strategy_that_is_none(make_space, loss, spoil: Callable[[Any], object], message: str) -> None:
    space = make_space()
    strategy = lnas.Darts(space, loss)
    spoil(strategy)
    assert refused("strategy", lambda: checked_strategy(strategy, space)) == message


TARGETS: dict[str, tuple[Callable[[Any], object], str]] = {
    "tensors": (lambda t: setattr(t, "tensors", lambda: [1]), "tensors() must be tensors by name, not a list"),
    "nothing": (lambda t: setattr(t, "tensors", dict), "tensors() is empty: there is nothing to prune"),
    "masks": (lambda t: setattr(t, "masks", dict), "masks() must have the names weight, not "),
    "shape": (
        lambda t: setattr(t, "masks", lambda: {"weight": torch.ones(1, dtype=torch.bool)}),
        "masks() of weight must be of shape (3, 2), not (1,)",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), TARGETS.values(), ids=TARGETS)
def test_a_target_that_is_none(spoil: Callable[[Any], object], message: str) -> None:
    target = lnas.Theta(nn.Linear(2, 3))
    check_target(target)
    spoil(target)
    assert refused("target", lambda: check_target(target)) == message


def test_a_data_set_whose_pictures_are_not_those_of_its_task() -> None:
    data = lnas.digits()
    data.task = lnas.Task((3, 8, 8), 10)
    message = refused("dataset", lambda: checked_dataset(data))
    assert message == "a batch of 1 has inputs of shape (1, 1, 8, 8); the task says (1, 3, 8, 8)"
    data = lnas.digits()
    data.task = lnas.Task((1, 8, 8), 9)
    assert refused("dataset", lambda: checked_dataset(data)) == "labels('train') must be from 0 to 8, as the task says"
    data.suggested = 5
    assert refused("dataset", lambda: checked_dataset(data)).startswith("a data set must have task, a Task, and suggested, a map")
    assert refused("schedule", lambda: checked_schedule(None)) == "a schedule must be a PruningSchedule, not None"
    assert refused("dataset", lambda: checked_dataset([])) == "a data set must be a Dataset, not a list"
    assert refused("space", lambda: checked_space(nn.Linear(1, 1))) == "a space must be a SearchSpace, not a Linear"


def test_an_executor_that_is_none() -> None:
    serial = Host(entry_points=False).registry.get("executor", "serial").load()(1)
    assert checked_executor(serial, 1) is serial
    serial.workers = "many"
    wrong = "an executor must have workers, the 1 that it was given, not 'many'"
    assert refused("executor", lambda: checked_executor(serial, 1)) == wrong
    assert refused("executor", lambda: checked_executor(None, 1)) == "an executor must be an Executor, not None"


def test_the_parts_of_a_configuration_and_the_plugins_that_offer_them(install) -> None:
    install(
        "mine",
        """
        import lnas

        @lnas.hookimpl
        def lnas_importances(register):
            register("mine", "lnas:magnitude")

        @lnas.hookimpl
        def lnas_costs(register):
            register("length", "builtins:len")
        """,
    )
    prune = ("theta:one-shot,importance=mine", "alpha:iterative")
    parts = chosen(Config(prune=prune, cost=("length",)), Host().registry)  # type: ignore[arg-type]
    assert [f"{part.kind} {part.qualified}" for part in parts] == [
        *("space lnas/cells", "strategy lnas/darts", "target lnas/theta", "schedule lnas/one-shot", "importance mine/mine"),
        *("target lnas/alpha", "schedule lnas/iterative", "dataset lnas/digits", "recipe lnas/generalized", "cost mine/length"),
    ]
    assert of_plugins(parts) == {"mine": "0.3"}
    assert of_plugins(part for part in parts if part.plugin == "lnas") == {}
