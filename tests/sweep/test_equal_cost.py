"""How long random search is for the cost of DARTS: the formula by hand, and that the steps are what the formula takes."""

from typing import Any

import pytest
import torch

from lnas import cost
from lnas.builtin.darts import Darts
from lnas.builtin.random_search import RandomSearch
from lnas.core.errors import ConfigError
from lnas.core.random import stream
from lnas.host.assemble import build, resolve
from lnas.host.config import Config
from lnas.host.plugins import Host
from lnas.sweep.equal_cost import equal_cost, equal_steps, path_costs

SETTINGS = {
    "space": "cells,channels=1,layers=3,nodes=1,network_channels=1,network_layers=3",
    "data": "digits",
    "epochs": "50it:20it",
    "batch": "16",
}


def config(**settings: object) -> Config:
    return resolve(Host(entry_points=False), command_line={**SETTINGS, **settings})[0].config


def test_steps_by_hand() -> None:
    assert equal_steps(100, 2, 400, [50, 150]) == 600  # 100 · 6 · 400 / (4 · 100)
    assert equal_steps(100, 1, 400, [50, 150]) == 300
    assert equal_steps(1, 2, 100, [400]) == 1  # 0.375, and one is the fewest
    with pytest.raises(ConfigError, match="have no multiply-adds"):
        equal_steps(100, 2, 400, [0, 0])


@pytest.mark.parametrize(("strategy", "forward_and_backward", "forward"), [(Darts, 2, 0), (RandomSearch, 1, 1)])
def test_a_step_is_as_many_passes_as_the_formula_has(
    strategy: Any, forward_and_backward: int, forward: int, make_space: Any, make_batches: Any, loss: Any
) -> None:
    space, passes = make_space(), []
    space.register_forward_hook(lambda module, inputs, output: passes.append(output.requires_grad))
    strategy(space, loss, 1).step(*make_batches(1)[0])
    assert (passes.count(True), passes.count(False)) == (forward_and_backward, forward)


def test_a_path_costs_what_its_network_would(make_space: Any, task: Any) -> None:
    space = make_space()  # of the sizes that its derived networks have
    generator, expected = stream(0, "equal cost"), []
    for _ in range(4):
        scores = {group: torch.rand(alive.shape, generator=generator) for group, alive in space.alive.items()}
        expected.append(cost.multiply_adds(space.derive(space.discretize(scores, "argmax")), task.shape).dense)
    assert path_costs(space, task, 4) == expected
    assert len(set(expected)) == 4


def test_the_search_becomes_random_and_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lnas.sweep.equal_cost.path_costs", lambda space, task: [9000, 11000])
    host = Host(entry_points=False)
    row = config(strategy="darts,lr=0.1,clip=1,alpha_lr=0.01,alternate=1")
    control = equal_cost(row, host)
    assert str(control.strategy) == "random,lr=0.1,clip=1", "alpha's options are none of random search"
    assert (control.epochs.search.unit, str(control.epochs.train)) == ("it", "20it")
    assert {key: value for key, value in vars(control).items() if key not in ("strategy", "epochs")} == {
        key: value for key, value in vars(row).items() if key not in ("strategy", "epochs")
    }
    job = build(row, host)
    supernet = cost.multiply_adds(job.space, (1, 8, 8)).dense
    assert control.epochs.search.number == round(50 * 6 * supernet / (4 * 10000))
    taking_turns = equal_cost(config(strategy="darts,alternate=2"), host).epochs.search.number
    assert taking_turns == round(50 * 3 * supernet / (4 * 10000))


@pytest.mark.parametrize("strategy", ["darts,unrolled=exact", "darts,unrolled=finite", "random"])
def test_a_cost_that_is_not_known_is_refused(strategy: str) -> None:
    with pytest.raises(ConfigError, match=rf"a step of {strategy} costs is not known, only that of first-order darts"):
        equal_cost(config(strategy=strategy), Host(entry_points=False))
