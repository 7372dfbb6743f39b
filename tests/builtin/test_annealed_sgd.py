"""SGD with a cosine and clipping equals torch's parts put together by hand."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn

from lnas.builtin.annealed_sgd import AnnealedSGD, Annealing
from lnas.core.errors import ConfigError
from lnas.core.optimizers import drop_parameters

SETTINGS = Annealing(lr=0.1, lr_min=0.02, momentum=0.9, weight_decay=0.01, clip=1.0)


def test_the_cosine_starts_ends_and_halves_where_it_should() -> None:
    rates = [SETTINGS.lr_at(step, 4) for step in range(7)]
    half = math.sqrt(0.5)
    expected = [0.1, 0.06 + 0.04 * half, 0.06, 0.06 - 0.04 * half, 0.02, 0.02, 0.02]
    assert rates == pytest.approx(expected, abs=1e-15)
    assert [SETTINGS.lr_at(step, 0) for step in (0, 5)] == [0.1, 0.1]


def data(steps: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [3 * torch.randn(5, 3, generator=generator) for _ in range(steps)]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


@pytest.mark.parametrize("clip", [0.0, 0.5, 1e6])
def test_it_equals_torch_by_hand(clip: float) -> None:
    settings = Annealing(0.1, 0.02, 0.9, 0.01, clip)
    mine, theirs = network(), network()
    annealed = AnnealedSGD(mine.named_parameters(), 3, settings)
    plain = torch.optim.SGD(theirs.parameters(), 123.0, momentum=0.9, weight_decay=0.01)
    for step, x in enumerate(data(5)):
        assert annealed.lr == settings.lr_at(step, 3)
        annealed.descend(mine(x).square().sum())
        plain.zero_grad()
        theirs(x).square().sum().backward()
        norm = torch.stack([p.grad.norm() for p in theirs.parameters() if p.grad is not None]).norm()
        assert norm > 0.5
        if clip:
            for p in theirs.parameters():
                assert p.grad is not None
                p.grad *= torch.clamp(clip / (norm + 1e-6), max=1.0)
        plain.param_groups[0]["lr"] = 0.02 + 0.08 * (1 + math.cos(math.pi * min(step / 3, 1))) / 2
        plain.step()
        assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), theirs.parameters(), strict=True))
        assert all(p.grad is None for p in mine.parameters())
    assert annealed.t == 5


def test_parameters_outside_the_loss_stay_as_they_are() -> None:
    module = network()
    annealed = AnnealedSGD(module.named_parameters(), 0, SETTINGS)
    annealed.descend(module(data(1)[0]).square().sum())  # now everything has momentum
    before = copy.deepcopy(module[2].state_dict())  # type: ignore[index]
    annealed.descend(module[0](data(1)[0]).square().sum())  # type: ignore[index]
    assert all(torch.equal(value, before[name]) for name, value in module[2].state_dict().items())  # type: ignore[index]


def test_an_older_gradient_is_not_added() -> None:
    module, clean = network(), network()
    module(data(1)[0]).square().sum().backward()
    for part in (module, clean):
        AnnealedSGD(part.named_parameters(), 0, SETTINGS).descend(part(data(2)[1]).square().sum())
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), clean.parameters(), strict=True))


def test_it_goes_on_from_its_state_bit_for_bit_and_drops_what_has_left() -> None:
    module = network()
    annealed = AnnealedSGD(module.named_parameters(), 8, SETTINGS)
    for x in data(3):
        annealed.descend(module(x).square().sum())
    weights, state = copy.deepcopy((module.state_dict(), annealed.state_dict()))
    other = network()
    other.load_state_dict(weights)
    resumed = AnnealedSGD(other.named_parameters(), 8, SETTINGS)
    resumed.load_state_dict(copy.deepcopy(state))
    assert resumed.lr == annealed.lr == SETTINGS.lr_at(3, 8)
    for x in data(6)[3:]:
        annealed.descend(module(x).square().sum())
        resumed.descend(other(x).square().sum())
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), other.parameters(), strict=True))
    drop_parameters([resumed.optimizer], [other[0].weight])  # type: ignore[index]
    resumed.load_state_dict(state)
    assert list(resumed.state_dict()["optimizer"]["moments"]) == ["0.bias", "2.weight", "2.bias"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("lr", -1.0),
        ("lr", math.nan),
        ("lr_min", math.inf),
        ("weight_decay", -1e-9),
        ("clip", -1.0),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("momentum", math.nan),
    ],
)
def test_a_setting_out_of_range_is_named(setting: str, value: float) -> None:
    settings: dict[str, Any] = {"lr": 0.1, "lr_min": 0.0, "momentum": 0.9, "weight_decay": 0.0, "clip": 0.0, setting: value}
    with pytest.raises(ConfigError, match=f"^{setting} must be"):
        Annealing(**settings)


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(ConfigError, match="steps must be at least 0, not -1"):
        AnnealedSGD(network().named_parameters(), -1, SETTINGS)
