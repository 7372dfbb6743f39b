"""Against sums over paths by hand, the conservation laws, and the network itself, which must not notice."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from lnas_importances import synflow
from torch import Tensor, nn

import lnas

MakeObjective = Callable[..., lnas.BatchLoss]


def scored(network: nn.Module, loss: lnas.Objective) -> lnas.Tensors:
    theta = lnas.Theta(network)
    return synflow(theta.tensors(), theta.masks(), loss)


def test_a_score_is_the_sum_over_the_paths_through_the_weight(objective: MakeObjective) -> None:
    network = nn.Sequential(nn.Linear(3, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    first, second = network[0].weight.tolist(), network[2].weight.tolist()
    expected = {"0.weight": torch.zeros(2, 3).double(), "2.weight": torch.zeros(2, 2).double()}
    for i, h, o in product(range(3), range(2), range(2)):
        through = abs(first[h][i]) * abs(second[o][h])
        expected["0.weight"][h, i] += through
        expected["2.weight"][o, h] += through
    scores = scored(network, objective(network.double(), (3,)))
    for name, score in expected.items():
        torch.testing.assert_close(scores[name], score, rtol=1e-12, atol=0)


def test_every_layer_sums_to_the_flow_and_what_enters_a_unit_leaves_it(objective: MakeObjective) -> None:
    network = nn.Sequential(
        *(nn.Conv2d(1, 3, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 3, bias=False), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(16, 5, bias=False), nn.ReLU(), nn.Linear(5, 3, bias=False)),
    ).double()
    loss = objective(network, (1, 8, 8))
    scores = scored(network, loss)
    positive = nn.Sequential(*network)
    positive.load_state_dict({name: value.abs() for name, value in network.state_dict().items()})
    flow = positive(torch.ones(1, 1, 8, 8).double()).sum().detach()
    assert [float(score.sum() / flow) for score in scores.values()] == pytest.approx([1, 1, 1, 1], rel=1e-12)
    first, second, third, last = scores.values()
    torch.testing.assert_close(first.sum((1, 2, 3)), second.sum((0, 2, 3)), rtol=1e-12, atol=0)
    torch.testing.assert_close(second.sum((1, 2, 3)), third.view(5, 4, 4).sum((0, 2)), rtol=1e-12, atol=0)
    torch.testing.assert_close(third.sum(1), last.sum(0), rtol=1e-12, atol=0)
    assert all(bool((score > 0).all()) for score in scores.values())


def test_a_bias_is_one_of_those_that_enter_a_unit(objective: MakeObjective) -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).double()
    theta = lnas.Theta(network, include=("*",))
    scores = synflow(theta.tensors(), theta.masks(), objective(network, (4,)))
    entering = scores["0.weight"].sum(1) + scores["0.bias"]
    torch.testing.assert_close(entering, scores["2.weight"].sum(0), rtol=1e-12, atol=0)
    assert scores["0.bias"].all()


def test_batch_norm_scales_by_its_running_variance_and_does_not_shift(objective: MakeObjective) -> None:
    network = nn.Sequential(nn.Linear(4, 3, bias=False), nn.BatchNorm1d(3, eps=0.25), nn.ReLU(), nn.Linear(3, 2, bias=False))
    network.double()
    with torch.no_grad():
        network[1].running_mean.copy_(torch.tensor([100.0, -100, 0]))
        network[1].running_var.copy_(torch.tensor([0.75, 3.75, 15.75]))
        network[1].weight.copy_(torch.tensor([2.0, -4.0, 8.0]))  # over 1, 2 and 4: twice each
    plain = nn.Sequential(nn.Linear(4, 3, bias=False), nn.ReLU(), nn.Linear(3, 2, bias=False)).double()
    with torch.no_grad():
        plain[0].weight.copy_(2 * network[0].weight)
        plain[2].weight.copy_(network[3].weight)
    got, expected = scored(network, objective(network, (4,))), scored(plain, objective(plain, (4,)))
    torch.testing.assert_close(got["0.weight"], expected["0.weight"], rtol=1e-12, atol=0)
    torch.testing.assert_close(got["3.weight"], expected["2.weight"], rtol=1e-12, atol=0)


def test_the_flow_of_a_deep_network_fits() -> None:
    network = nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(40)))
    with torch.no_grad():
        for layer in network:
            layer.weight.fill_(50.0)  # R = 2 · 100^40, beyond float32
    loss = lnas.BatchLoss(network, network, (torch.zeros(2, 2), torch.tensor([0, 1])), lnas.cross_entropy)
    for score in scored(network, loss).values():
        torch.testing.assert_close(score, torch.full((2, 2), 0.5e80, dtype=torch.float64), rtol=1e-6, atol=0)


class Fragile(nn.Module):
    """Batch norm, dropout and a buffer of its own; breaks inside where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5), nn.Flatten())
        self.head = nn.Linear(72, 3)
        self.register_buffer("calls", torch.zeros(()))
        self.breaks = False

    def forward(self, x: Tensor, *, scale: float = 1.0) -> Any:
        self.calls += 1
        x = self.body(x)
        if self.breaks:
            raise RuntimeError("broken")
        return {"logits": self.head(x) * scale, "more": [x.argmax(1)]}


@pytest.mark.parametrize("breaks", [False, True])
def test_the_network_does_not_notice(breaks: bool) -> None:
    network = Fragile()
    network.body[2].eval()
    network.head.weight.grad = torch.ones(3, 72)
    network.breaks = breaks
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [part.training for part in network.modules()]
    random = torch.get_rng_state()

    def loss(predict: lnas.Predict, batch: Any) -> Tensor:
        try:
            return predict(batch, scale=2.0)["logits"].sum()  # type: ignore[no-any-return]
        except Exception:
            return torch.zeros(())

    objective = lnas.BatchLoss(network, network, torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)), loss)
    if breaks:
        with pytest.raises(RuntimeError, match="broken"):
            scored(network, objective)
    else:
        assert scored(network, objective)["head.weight"].all()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert [part.training for part in network.modules()] == modes and any(modes) and not all(modes)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(network.head.weight.grad, torch.ones(3, 72)) and network.body[0].weight.grad is None
    assert not network._forward_pre_hooks
    assert all(type(value) is nn.Parameter and value.requires_grad for value in network.parameters())


class Several(nn.Module):
    """Answers three times, in a structure, and with whole numbers among it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2).double()

    def forward(self, x: Tensor, length: Tensor) -> Any:
        y = self.layer(x)
        return {"a": y, "b": [y, (y.argmax(1), 3 * length, "text")], "c": y[:, :1] + y[:, 1:]}


def test_every_floating_output_counts() -> None:
    network = Several()
    batch = torch.zeros(4, 3).double(), torch.tensor(2)
    scores = scored(network, lnas.BatchLoss(network, network, batch, lambda predict, batch: predict(*batch)["a"].sum()))
    torch.testing.assert_close(scores["layer.weight"], 3 * network.layer.weight.detach().abs(), rtol=1e-12, atol=0)


def test_keywords_of_the_call_are_kept() -> None:
    network = Fragile().eval()
    batch = torch.zeros(2, 1, 8, 8)
    half, whole = (
        scored(network, lnas.BatchLoss(network, network, batch, lambda predict, x, s=scale: predict(x, scale=s)["logits"].sum()))
        for scale in (0.5, 1.0)
    )
    assert all(torch.equal(2 * half[name], whole[name]) for name in whole)


def critical(importance: lnas.Importance, rounds: int) -> list[int]:
    """Weights left in each of four layers, where 8 of 1088 stay."""
    with lnas.seeded(1, "critical"):
        network = nn.Sequential(*(nn.Linear(a, b, bias=False) for a, b in ((16, 32), (32, 8), (8, 32), (32, 2)))).double()
    for position in (1, 3, 5):
        network.insert(position, nn.ReLU())
    x = torch.randn(8, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ticket = lnas.lottery_ticket(
        network,
        lambda batch: None,
        schedule=lnas.Iterative(1 - 8 / 1088, rounds=rounds),
        k=0,
        finish=1,
        importance=importance,
        target=lambda learner: lnas.Theta(learner.module, scope="global"),
        loss=lambda predict, batch: torch.nn.functional.cross_entropy(predict(batch), torch.arange(8) % 2),
    )
    ticket.step(x)
    return [int(mask.sum()) for mask in ticket.target.masks().values()]


def test_in_many_rounds_no_layer_collapses() -> None:
    """Theorem 3 of Tanaka et al.: what is left is spread over all layers, where one round or magnitudes empty some."""
    assert min(critical(synflow, 100)) > 0 and sum(critical(synflow, 100)) == 8
    assert min(critical(synflow, 1)) == 0
    assert min(critical(lnas.magnitude, 100)) == 0


def test_what_it_needs_is_said(network: nn.Module, mixture: lnas.ChoiceSpace, objective: MakeObjective) -> None:
    theta = lnas.Theta(network)
    with pytest.raises(
        lnas.ConfigError, match=r"needs to know the network, not a loss alone: prune\(\.\.\., loss=lnas\.BatchLoss\("
    ):
        lnas.prune(theta, 0.5, importance=synflow, loss=lambda: network(torch.ones(1, 5).double()).sum())
    with pytest.raises(lnas.ConfigError, match="needs to know the network"):
        lnas.prune(theta, 0.5, importance=synflow)
    strategy = lnas.Darts(mixture, lnas.cross_entropy)
    alpha = lnas.Alpha(strategy)
    loss = lnas.BatchLoss(mixture, strategy.predict, (torch.zeros(2, 5).double(), torch.tensor([0, 1])), lnas.cross_entropy)
    with pytest.raises(lnas.ConfigError, match="not the paths of a space; use it with theta"):
        lnas.prune(alpha, 0.5, importance=synflow, loss=loss)
    with pytest.raises(lnas.ConfigError, match=r"scores parameters of the network, and 0\.weight is none of them"):
        lnas.prune(theta, 0.5, importance=synflow, loss=objective(nn.Linear(5, 3).double()))
    with pytest.raises(lnas.ConfigError, match="the loss does not call the network"):
        lnas.prune(
            theta, 0.5, importance=synflow, loss=lnas.BatchLoss(network, network, None, lambda predict, batch: torch.ones(()))
        )
    with pytest.raises(lnas.ConfigError, match="takes no floating tensor as its input"):
        lnas.prune(theta, 0.5, importance=synflow, loss=lnas.BatchLoss(network, network, torch.arange(3), lambda f, x: f(x)))
    assert lnas.sparsity_of(theta.masks()) == 0
