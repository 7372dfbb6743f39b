"""Oracle 7: the lottery ticket of LeNet-300-100, its ladder, its rewinding, and its two controls."""

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from lnas.builtin.importances import random
from lnas.builtin.schedules import Iterative, OneShot
from lnas.builtin.targets import Theta
from lnas.builtin.tickets import lottery_control, lottery_ticket
from lnas.builtin.weights import OwnTraining
from lnas.core.errors import ConfigError
from lnas.core.mask import sparsity_of
from lnas.core.rounds import Rounds
from lnas.core.schedule import PruningSchedule

ROUNDS = 15
TWENTY_PERCENT = Iterative(1 - 0.8**ROUNDS, ROUNDS)


def lenet() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=0.01)
ADAM = partial(torch.optim.Adam, lr=0.01, weight_decay=0.01)
DATA = [(torch.randn(6, 8, generator=torch.Generator().manual_seed(i)), torch.arange(6) % 3) for i in range(40)]


def ticket_of(
    module: nn.Module, schedule: PruningSchedule, *, k: int = 4, rewind: int | None = 0, make: Any = SGD, **options: Any
) -> Rounds:
    """With the user's own step: any optimizer, nothing of lnas in it."""
    optimizer = make(module.parameters())

    def fit(batch: Any) -> torch.Tensor:
        pictures, labels = batch
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(module(pictures), labels)
        loss.backward()
        optimizer.step()
        return loss

    return lottery_ticket(module, fit, schedule=schedule, k=k, rewind=rewind, optimizers=[optimizer], **options)


def drive(ticket: Rounds, start: int = 0) -> int:
    t = start
    while not ticket.done:
        ticket.step(DATA[t])
        t += 1
    return t - start


# The ladder -----------------------------------------------------------------------------------------------------------


def test_the_counts_of_lenet_300_100() -> None:
    module = lenet()
    assert sum(p.numel() for p in module.parameters()) == 266_610
    assert sum(weight.numel() for weight in Theta(module).tensors().values()) == 266_200


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"output_rate": 0.5}, {3: 51.3, 7: 21.1, 9: 13.5, 15: 3.6}),
        ({"scope": "global"}, {3: 51.2, 7: 21.0, 9: 13.4, 15: 3.5}),
    ],
)
def test_the_ladder_of_the_lottery_ticket(options: dict[str, Any], kept: dict[int, float]) -> None:
    module = lenet()
    ticket = lottery_ticket(
        module, lambda batch: None, schedule=TWENTY_PERCENT, k=1, target=lambda learner: Theta(learner.module, **options)
    )
    found, before = {}, {name: mask.clone() for name, mask in ticket.target.masks().items()}
    for r in range(1, ROUNDS + 1):
        ticket.step(None)
        assert ticket.round == r
        masks = ticket.target.masks()
        assert all(bool((mask <= before[name]).all()) for name, mask in masks.items())
        before = {name: mask.clone() for name, mask in masks.items()}
        if r in kept:
            found[r] = round(100 * (1 - sparsity_of(masks)), 1)
        if "output_rate" in options:
            rates = {"0.weight": 0.8, "2.weight": 0.8, "4.weight": 0.9}
            for name, mask in masks.items():
                assert int((~mask).sum()) == round(mask.numel() * (1 - rates[name] ** r)), name
        else:
            assert sum(int((~mask).sum()) for mask in masks.values()) == round(266_200 * (1 - 0.8**r))
    assert found == kept


# Rewinding ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [SGD, ADAM])
def test_rewinding_gives_theta_0_under_the_mask_bit_for_bit(make: Any) -> None:
    module = small()
    first = copy.deepcopy(module.state_dict())
    ticket = ticket_of(module, Iterative(0.75, 3), make=make)
    for t in range(12):
        ticket.step(DATA[t])
        if (t + 1) % 4 == 0:
            masks = ticket.target.masks()
            assert sparsity_of(masks) == pytest.approx(1 - 0.25 ** (ticket.round / 3), abs=0.02)
            for name, value in module.state_dict().items():
                assert torch.equal(value, first[name] * masks[name] if name in masks else first[name]), name
            assert all(not optimizer.state for optimizer in ticket.optimizers)
        else:
            assert not torch.equal(module.state_dict()["1.weight"], first["1.weight"])
    assert ticket.round == 3
    assert not ticket.done
    assert drive(ticket, 12) == 4


@pytest.mark.parametrize("make", [SGD, ADAM])
@pytest.mark.parametrize("rewind", [1, 2, 4])
def test_rewinding_to_step_k_gives_the_network_and_the_moments_of_that_step(make: Any, rewind: int) -> None:
    module, twin = small(), small()
    ticket = ticket_of(module, Iterative(0.75, 3), rewind=rewind, make=make)
    plain = ticket_of(twin, OneShot(0.0), k=99, make=make)
    for t in range(rewind):
        plain.step(DATA[t])
    there = copy.deepcopy(twin.state_dict())
    moments = [copy.deepcopy(dict(plain.optimizers[0].state[p])) for p in twin.parameters()]
    for t in range(12):
        ticket.step(DATA[t])
        if (t + 1) % 4 == 0:
            masks = ticket.target.masks()
            for name, value in module.state_dict().items():
                assert torch.equal(value, there[name] * masks[name] if name in masks else there[name]), name
            for (name, parameter), expected in zip(module.named_parameters(), moments, strict=True):
                state = ticket.optimizers[0].state[parameter]
                assert state.keys() == expected.keys()
                for key, value in expected.items():
                    assert torch.equal(state[key], value * masks[name] if name in masks and value.dim() else value), (name, key)


def test_without_rewinding_training_goes_on_from_where_it_is() -> None:
    module, twin = small(), small()
    ticket, plain = ticket_of(module, OneShot(0.5), rewind=None), ticket_of(twin, OneShot(0.0), k=99)
    for t in range(4):
        ticket.step(DATA[t])
        plain.step(DATA[t])
    masks = ticket.target.masks()
    for name, value in module.state_dict().items():
        other = twin.state_dict()[name]
        assert torch.equal(value, other * masks[name] if name in masks else other)
    assert ticket.origin is None


@pytest.mark.parametrize("make", [SGD, ADAM])
def test_a_masked_weight_and_its_moments_are_exactly_zero_after_every_step(make: Any) -> None:
    module = small()
    ticket = ticket_of(module, Iterative(0.8, 2), make=make, rewind=2, finish=6)
    for t in range(14):
        ticket.step(DATA[t])
        masks = ticket.target.masks()
        assert sparsity_of(masks) > 0.5 if t >= 4 else sparsity_of(masks) in (0.0, pytest.approx(0.55, abs=0.01))
        for name, parameter in module.named_parameters():
            if name in masks:
                assert parameter[~masks[name]].eq(0).all()
                assert parameter[masks[name]].ne(0).all()
                for value in ticket.optimizers[0].state[parameter].values():
                    if value.dim():
                        assert value[~masks[name]].eq(0).all()
    assert ticket.done


def test_pruning_before_the_first_step() -> None:
    module = small()
    first = copy.deepcopy(module.state_dict())
    ticket = ticket_of(module, OneShot(0.5), k=0, finish=3)
    ticket.step(DATA[0])
    assert ticket.round == 1
    assert sparsity_of(ticket.target.masks()) == pytest.approx(0.5, abs=0.01)
    smallest = first["0.weight"].abs().flatten().sort().values[64]
    assert torch.equal(ticket.target.masks()["0.weight"], first["0.weight"].abs() >= smallest)
    assert drive(ticket, 1) == 2


def test_another_importance() -> None:
    masks = []
    for seed in (0, 0, 1):
        ticket = ticket_of(small(), OneShot(0.5), importance=partial(random, seed=seed))
        drive(ticket)
        masks.append(ticket.target.masks())
    assert all(torch.equal(mask, masks[1][name]) for name, mask in masks[0].items())
    assert not torch.equal(masks[0]["0.weight"], masks[2]["0.weight"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"k": -1}, "k and finish must be at least 0, not -1 and -1"),
        ({"k": 3, "finish": -2}, "k and finish must be at least 0, not 3 and -2"),
        ({"k": 3, "rewind": 4}, "rewind must be a step before the first prune, 0 to 3, not 4"),
        ({"k": 3, "rewind": -1}, "rewind must be a step before the first prune, 0 to 3, not -1"),
    ],
)
def test_what_cannot_work_is_refused_at_once(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        ticket_of(small(), OneShot(0.5), **options)


# The controls ---------------------------------------------------------------------------------------------------------


def finished(make: Any = SGD, rewind: int | None = 0) -> tuple[Rounds, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """A finished ticket, copies of theta_0 and of its masks."""
    module = small()
    first = copy.deepcopy(module.state_dict())
    ticket = ticket_of(module, Iterative(0.75, 2), make=make, rewind=rewind)
    assert drive(ticket) == 12
    return ticket, first, {name: mask.clone() for name, mask in ticket.target.masks().items()}


@pytest.mark.parametrize("make", [SGD, ADAM])
def test_reinit_has_the_same_masks_and_other_weights(make: Any) -> None:
    ticket, first, masks = finished(make)
    control = lottery_control(ticket, "reinit", seed=3)
    weights = copy.deepcopy(control.module.state_dict())
    for name, mask in control.target.masks().items():
        assert torch.equal(mask, masks[name])
        assert weights[name][~mask].eq(0).all()
        assert weights[name][mask].ne(first[name][mask]).all()
    assert weights["0.bias"].ne(first["0.bias"]).all()
    assert not control.optimizers[0].state
    again = lottery_control(finished(make)[0], "reinit", seed=3).module.state_dict()
    other = lottery_control(finished(make)[0], "reinit", seed=4).module.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in weights.items())
    assert not torch.equal(weights["0.weight"], other["0.weight"])
    assert drive(control) == 4
    for name, mask in control.target.masks().items():
        assert control.module.state_dict()[name][~mask].eq(0).all()
    assert (
        not lottery_control(finished(make, 2)[0], "reinit").optimizers[0].state
    )  # the moments of step 2 belong to other weights


@pytest.mark.parametrize("make", [SGD, ADAM])
def test_random_mask_has_theta_0_the_same_counts_and_other_masks(make: Any) -> None:
    ticket, first, masks = finished(make)
    control = lottery_control(ticket, "random_mask", seed=3)
    for name, mask in control.target.masks().items():
        assert mask.sum() == masks[name].sum()
        assert not torch.equal(mask, masks[name])
    for name, value in control.module.state_dict().items():
        mask = control.target.masks().get(name, torch.ones(()))
        assert torch.equal(value, first[name] * mask)
    assert not control.optimizers[0].state
    shuffled = {name: mask.clone() for name, mask in control.target.masks().items()}
    again = lottery_control(finished(make)[0], "random_mask", seed=3).target.masks()
    other = lottery_control(finished(make)[0], "random_mask", seed=4).target.masks()
    assert all(torch.equal(mask, again[name]) for name, mask in shuffled.items())
    assert not torch.equal(shuffled["0.weight"], other["0.weight"])
    assert drive(control) == 4
    assert all(torch.equal(mask, shuffled[name]) for name, mask in control.target.masks().items())
    assert all(torch.equal(mask, masks[name]) for name, mask in ticket.target.masks().items())  # the ticket's are its own


def test_a_control_needs_a_finished_ticket_that_was_rewound() -> None:
    with pytest.raises(ConfigError, match="finished ticket that was rewound"):
        lottery_control(ticket_of(small(), OneShot(0.5)), "reinit")
    with pytest.raises(ConfigError, match="finished ticket that was rewound"):
        lottery_control(finished(rewind=None)[0], "reinit")


def test_an_unknown_control_is_refused_and_touches_nothing() -> None:
    ticket, *_ = finished()
    before = copy.deepcopy(ticket.module.state_dict())
    with pytest.raises(ConfigError, match="control must be reinit or random_mask, not 'shuffle'"):
        lottery_control(ticket, "shuffle")  # type: ignore[arg-type]
    assert all(torch.equal(value, before[name]) for name, value in ticket.module.state_dict().items())


# Resuming -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [SGD, ADAM])
@pytest.mark.parametrize("rewind", [0, 2, None])
def test_a_ticket_goes_on_from_its_state_at_every_step(make: Any, rewind: int | None) -> None:
    schedule = Iterative(0.75, 2)
    straight = ticket_of(small(), schedule, make=make, rewind=rewind)
    states, losses = [], []
    while not straight.done:
        states.append(copy.deepcopy(straight.state_dict()))
        losses.append(straight.step(DATA[straight.t])["loss"])
    assert len(states) == 12
    for t, state in enumerate(states):
        module = small()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.fill_(9.0)
        resumed = ticket_of(module, schedule, make=make, rewind=rewind)
        resumed.load_state_dict(state)
        while not resumed.done:
            assert torch.equal(resumed.step(DATA[resumed.t])["loss"], losses[t])
            t += 1
        for name, value in straight.module.state_dict().items():
            assert torch.equal(value, resumed.module.state_dict()[name])
        for name, mask in straight.target.masks().items():
            assert torch.equal(mask, resumed.target.masks()[name])
    assert isinstance(straight.learner, OwnTraining)


def test_reinit_refuses_a_layer_that_cannot_draw_its_parameters() -> None:
    class Scale(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = torch.nn.Parameter(torch.ones(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.factor * x

    model = torch.nn.Sequential(torch.nn.Linear(3, 2), Scale())
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def fit(x: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    ticket = lottery_ticket(model, fit, schedule=OneShot(0.5), k=1, optimizers=[optimizer])
    while not ticket.done:
        ticket.step(torch.ones(4, 3))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ConfigError, match=r"Scale '1' has parameters and no reset_parameters\(\)"):
        lottery_control(ticket, "reinit")
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
