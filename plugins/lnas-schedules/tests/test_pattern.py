"""Every group of m is counted by hand: which layers, how many stay, which, and that rounds are nested."""

from itertools import product
from typing import Any

import pytest
import torch
from lnas_schedules import NM, Cubic, Exponential, Linear
from torch import Tensor, nn

import lnas

SCHEDULES = [
    lnas.OneShot(0.5),
    lnas.Iterative(0.5, rounds=4),
    *(curve(0.5, rounds) for curve in (Cubic, Linear, Exponential) for rounds in (1, 3, 5)),
]


class Layers(nn.Module):
    """Every kind of layer, and layers that do not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8)
        self.grouped = nn.Conv2d(8, 6, (3, 2), groups=2)
        self.plain = nn.Conv1d(12, 5, 3)
        self.deep = nn.Conv3d(4, 2, 2)
        self.up = nn.ConvTranspose2d(16, 6, 2, groups=2)
        self.up_dense = nn.ConvTranspose1d(12, 6, 2, groups=2)  # 4 divides 12, and not the 6 of a group
        self.norm = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, 3)
        self.odd = nn.Linear(10, 3)


FITTING = ["grouped.weight", "plain.weight", "deep.weight", "up.weight", "linear.weight"]


def layers(seed: int = 0) -> Layers:
    with lnas.seeded(seed, "layers"):
        return Layers()


def groups(name: str, weight: Tensor, m: int) -> list[list[tuple[int, ...]]]:
    """The places of each group of m, by hand: m consecutive inputs, everything else alike."""
    dim = 0 if name.startswith("up") else 1
    others = [range(size) for d, size in enumerate(weight.shape) if d != dim]
    found = []
    for place in product(*others):
        for start in range(0, weight.shape[dim], m):
            found.append([(*place[:dim], start + i, *place[dim:]) for i in range(m)])
    return found


def test_the_layers_whose_inputs_m_divides_take_part() -> None:
    pattern = NM(layers())
    assert list(pattern.tensors()) == FITTING == list(pattern.masks())
    assert pattern.dense == ("first.weight", "depthwise.weight", "up_dense.weight", "odd.weight")
    assert list(NM(layers(), m=5, n=1).tensors()) == ["odd.weight"]
    assert list(NM(layers(), m=3, n=1).tensors()) == ["first.weight", "plain.weight", "up_dense.weight"]
    excluded = NM(layers(), exclude=("up.*", "linear.weight"))
    assert list(excluded.tensors()) == FITTING[:3]
    assert excluded.dense == ("first.weight", "depthwise.weight", "up.weight", "up_dense.weight", "linear.weight", "odd.weight")


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (3, 4), (1, 2), (1, 8), (2, 3)])
def test_every_group_keeps_its_n_largest(n: int, m: int) -> None:
    model = layers()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    pattern = NM(model, n=n, m=m)
    lnas.prune(pattern, 1 - n / m)
    assert lnas.sparsity_of(pattern.masks()) == pytest.approx(1 - n / m, abs=1e-12)
    for name, weight in model.named_parameters():
        if name not in pattern.tensors():
            assert torch.equal(weight, before[name])
            continue
        for group in groups(name, weight, m):
            largest = sorted(group, key=lambda place: float(before[name][place].detach().abs()))[-n:]
            assert {place for place in group if float(weight[place].detach()) != 0} == set(largest)
            assert all(weight[place] == before[name][place] for place in largest)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_two_of_four_is_exact_at_the_end_of_any_schedule_and_rounds_are_nested(schedule: lnas.PruningSchedule) -> None:
    """Importances that change from round to round, as they do while a network learns."""
    pattern = NM(layers())
    alive = {name: mask.clone() for name, mask in pattern.masks().items()}
    for round in range(1, schedule.rounds + 1):

        def noise(tensors: Any, masks: Any, loss: Any, round: int = round) -> Any:
            return {name: torch.rand(x.shape, generator=lnas.stream(round, name)) for name, x in tensors.items()}

        lnas.prune(pattern, schedule.sparsity_after(round), importance=noise)
        for name, mask in pattern.masks().items():
            assert not (mask & ~alive[name]).any()
            assert int((~mask).sum()) == round_half_even(schedule.sparsity_after(round) * mask.numel())
            assert min(sum(bool(mask[place]) for place in group) for group in groups(name, mask, 4)) >= 2
        alive = {name: mask.clone() for name, mask in pattern.masks().items()}
    for name, mask in alive.items():
        assert {sum(bool(mask[place]) for place in group) for group in groups(name, mask, 4)} == {2}


def round_half_even(value: float) -> int:
    return round(value)


def test_of_equals_the_later_stay_as_anywhere_in_lnas() -> None:
    model = nn.Linear(4, 1, bias=False)
    nn.init.ones_(model.weight)
    lnas.prune(NM(model), 0.5)
    assert model.weight.tolist() == [[0, 0, 1, 1]]


def test_a_smaller_sparsity_takes_the_least_important_of_the_layer_that_may_go() -> None:
    model = nn.Linear(8, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 2, 3, 4, 50, 60, 70, 80]]))
    pattern = NM(model)
    lnas.prune(pattern, 0.25)
    assert model.weight.tolist() == [[0, 0, 3, 4, 50, 60, 70, 80]]
    lnas.prune(pattern, 3 / 8)  # 3 and 4 have to stay
    assert model.weight.tolist() == [[0, 0, 3, 4, 0, 60, 70, 80]]


def test_more_than_the_pattern_is_refused_with_the_most_there_is() -> None:
    pattern = NM(nn.Linear(8, 3))
    with pytest.raises(lnas.SparsityError) as caught:
        lnas.prune(pattern, 0.75)
    assert str(caught.value) == (
        "nm sparsity 0.75 would remove 18 of 24 entries, but 12 must stay; at most 0.500 (12 of 24) is feasible"
    )
    assert all(mask.all() for mask in pattern.masks().values())
    lnas.prune(NM(nn.Linear(8, 3), n=1), 0.75)


def test_dead_weights_stay_dead_and_scores_of_the_dead_do_not_matter() -> None:
    model = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 2, 3, 4]]))
    pattern = NM(model)
    lnas.prune(pattern, 0.25)
    lnas.prune(pattern, 0.5, importance=lambda tensors, masks, loss: {"weight": torch.tensor([[torch.nan, 1, 3, 2]])})
    assert model.weight.tolist() == [[0, 0, 3, 4]]


def test_weights_and_moments_are_0_after_every_step() -> None:
    model = layers()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=0.1)
    pattern = NM(model, [optimizer])
    x = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    model.linear(x).square().sum().backward()
    optimizer.step()
    lnas.prune(pattern, 0.5)
    for _ in range(2):
        optimizer.zero_grad()
        model.linear(x).square().sum().backward()
        optimizer.step()
        pattern.apply()
        dead = ~pattern.masks()["linear.weight"]
        assert not model.linear.weight[dead].any() and model.linear.weight[~dead].all()
        for moment in ("exp_avg", "exp_avg_sq"):
            assert not optimizer.state[model.linear.weight][moment][dead].any()


def test_a_shared_weight_stands_once_and_a_computed_one_stays_dense() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)))
    model[1].weight = model[0].weight
    pattern = NM(model)
    assert list(pattern.tensors()) == ["0.weight"] and pattern.dense == ()


def test_rewinding_keeps_the_pattern() -> None:
    with lnas.seeded(0, "ticket"):
        model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))
    theta_0 = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    x = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))

    def fit(batch: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(batch), torch.arange(6) % 3)
        loss.backward()
        optimizer.step()
        return loss

    ticket = lnas.lottery_ticket(
        model,
        fit,
        schedule=Cubic(0.5, 2),
        k=2,
        finish=0,
        optimizers=[optimizer],
        target=lambda learner: NM(learner.module, learner.optimizers),
    )
    while not ticket.done:
        ticket.step(x)
    assert ticket.sparsity() == lnas.Sparsity(0.5, 0.5)
    for name, mask in ticket.target.masks().items():
        assert torch.equal(model.get_parameter(name), theta_0[name] * mask)
        assert {int(group.sum()) for group in mask.view(-1, 4)} == {2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"m": 1}, "m must be a whole number of at least 2, not 1"),
        ({"m": 4.0}, "m must be a whole number of at least 2, not 4.0"),
        ({"n": 0}, "n must be a whole number from 1 to m - 1, here 3, not 0"),
        ({"n": 4}, "n must be a whole number from 1 to m - 1, here 3, not 4"),
        ({"n": True}, "n must be a whole number from 1 to m - 1, here 3, not True"),
        ({"exclude": ("nowhere.*",)}, "exclude: 'nowhere.*' matches no parameter; there are e.g. first.weight, first.bias, dep"),
        (
            {"n": 1, "m": 7},
            "nm: no convolution or linear layer that is left has a multiple of m=7 inputs per group; use a smaller m",
        ),
        ({"exclude": ("*",)}, "nm: no convolution or linear layer that is left has a multiple of m=4 inputs"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(lnas.ConfigError) as caught:
        NM(layers(), **options)
    assert str(caught.value).startswith(message)
