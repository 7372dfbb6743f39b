"""Optimizer state by name: zero where masked, gone where dead, loadable under a newer mask."""

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from lnas.core.errors import RunError
from lnas.core.optimizers import drop_parameters, load_optimizer_state, mask_moments, optimizer_state


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def train(module: nn.Module, optimizer: Optimizer, steps: int, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        module(torch.randn(5, 3, generator=generator)).square().sum().backward()
        optimizer.step()


MAKE = {
    "sgd": lambda module: SGD(module.named_parameters(), 0.01, momentum=0.9, weight_decay=0.1),
    "adam": lambda module: Adam(module.named_parameters(), 0.01, betas=(0.5, 0.9), amsgrad=True),
    "adamw": lambda module: AdamW(module.named_parameters(), 0.01),
}
MOMENTS = {"sgd": {"momentum_buffer"}, "adam": {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}, "adamw": {"exp_avg", "exp_avg_sq"}}


@pytest.fixture(params=MAKE)
def name(request: Any) -> str:
    return str(request.param)


def test_the_state_is_kept_by_name_and_holds_no_tuples(name: str) -> None:
    module = network()
    optimizer = MAKE[name](module)
    assert optimizer_state(optimizer)["moments"] == {}
    train(module, optimizer, 2)
    state = optimizer_state(optimizer)
    assert list(state["moments"]) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert MOMENTS[name] <= state["moments"]["0.weight"].keys()
    (settings,) = state["settings"]
    assert not settings.keys() & {"params", "param_names"}
    assert settings["lr"] == 0.01
    assert all(not isinstance(value, tuple) for value in settings.values())


def test_training_goes_on_from_a_loaded_state_bit_for_bit(name: str) -> None:
    module = network()
    optimizer = MAKE[name](module)
    train(module, optimizer, 2)
    weights, state = copy.deepcopy((module.state_dict(), optimizer_state(optimizer)))
    train(module, optimizer, 3, seed=1)
    other = network()
    other.load_state_dict(weights)
    resumed = MAKE[name](other)
    resumed.param_groups[0]["lr"] = 123.0
    load_optimizer_state(resumed, state)
    train(other, resumed, 3, seed=1)
    for mine, theirs in zip(other.parameters(), module.parameters(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("mode", ["amsgrad", "capturable", "maximize", "foreach", "fused", "differentiable"])
def test_a_state_of_an_optimizer_of_another_kind_is_refused_and_nothing_is_loaded(mode: str) -> None:
    module = network()
    optimizer = MAKE["adamw"](module)
    train(module, optimizer, 2)
    state, before = copy.deepcopy(optimizer_state(optimizer)), copy.deepcopy(optimizer.state_dict())
    state["settings"][0].update({mode: not state["settings"][0][mode], "lr": 123.0})
    for moments in state["moments"].values():
        moments["exp_avg"] += 1
    with pytest.raises(RunError, match=f"AdamW was saved with {mode} True; here it is (False|None)$"):
        load_optimizer_state(optimizer, state)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    assert torch.equal(after["state"][0]["exp_avg"], before["state"][0]["exp_avg"])


def test_a_setting_that_one_side_does_not_have_is_no_difference() -> None:
    """Versions of torch add some."""
    module = network()
    optimizer = MAKE["adamw"](module)
    state = copy.deepcopy(optimizer_state(optimizer))
    del state["settings"][0]["capturable"]
    del optimizer.param_groups[0]["fused"]
    load_optimizer_state(optimizer, state)
    assert optimizer.param_groups[0]["capturable"] is False


def test_a_loaded_state_is_not_shared(name: str) -> None:
    module = network()
    optimizer = MAKE[name](module)
    train(module, optimizer, 2)
    state = copy.deepcopy(optimizer_state(optimizer))
    kept = copy.deepcopy(state)
    load_optimizer_state(optimizer, state)
    train(module, optimizer, 2)
    for parameter, moments in kept["moments"].items():
        for key, value in moments.items():
            assert torch.equal(state["moments"][parameter][key], value), key


def test_a_state_without_moments_forgets_them(name: str) -> None:
    module = network()
    optimizer = MAKE[name](module)
    fresh = copy.deepcopy(optimizer_state(optimizer))
    train(module, optimizer, 2)
    load_optimizer_state(optimizer, fresh)
    assert optimizer_state(optimizer)["moments"] == {}


def test_masked_moments_are_zero_and_the_others_stay(name: str) -> None:
    module = network()
    optimizer = MAKE[name](module)
    train(module, optimizer, 2)
    weight = module[0].weight
    mask = torch.arange(12).view(4, 3) % 2 == 0
    before = copy.deepcopy(optimizer.state[weight])
    elsewhere = copy.deepcopy(optimizer.state[module[2].weight])
    mask_moments([optimizer], weight, mask)
    for key in MOMENTS[name]:
        assert optimizer.state[weight][key][~mask].eq(0).all()
        assert torch.equal(optimizer.state[weight][key][mask], before[key][mask])
        assert torch.equal(optimizer.state[module[2].weight][key], elsewhere[key])
    if "step" in before:
        assert torch.equal(optimizer.state[weight]["step"], before["step"])


def test_masking_what_has_no_state_makes_none(name: str) -> None:
    module = network()
    optimizer = MAKE[name](module)
    mask_moments([optimizer], module[0].weight, torch.zeros(4, 3, dtype=torch.bool))
    assert len(optimizer.state) == 0


def test_dropped_parameters_leave_groups_and_state_and_an_older_state_still_loads(name: str) -> None:
    module = network()
    optimizer = MAKE[name](module)
    train(module, optimizer, 2)
    old = copy.deepcopy(optimizer_state(optimizer))
    dead = [module[0].weight, module[2].bias]
    drop_parameters([optimizer], dead)
    assert [id(p) for p in optimizer.param_groups[0]["params"]] == [id(module[0].bias), id(module[2].weight)]
    assert optimizer.param_groups[0]["param_names"] == ["0.bias", "2.weight"]
    assert all(parameter not in optimizer.state for parameter in dead)
    assert list(optimizer_state(optimizer)["moments"]) == ["0.bias", "2.weight"]
    before = dead[0].detach().clone()
    train(module, optimizer, 1)
    assert torch.equal(dead[0], before)
    load_optimizer_state(optimizer, old)
    state = optimizer_state(optimizer)["moments"]
    assert list(state) == ["0.bias", "2.weight"]
    for parameter, moments in state.items():
        for key, value in moments.items():
            assert torch.equal(value, old["moments"][parameter][key])


def test_dropping_works_for_optimizers_without_names() -> None:
    module = network()
    optimizer = SGD(module.parameters(), 0.1)
    drop_parameters([optimizer], [module[0].weight])
    assert len(optimizer.param_groups[0]["params"]) == 3
    drop_parameters([optimizer], [])
    assert len(optimizer.param_groups[0]["params"]) == 3
