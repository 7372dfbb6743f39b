"""Against the defining formulas: gates that are differentiated, the whole Hessian, and the gradient flow itself."""

from collections.abc import Callable

import pytest
import torch
from lnas_importances import grasp, snip, taylor
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

import lnas

WEIGHTS = ("0.weight", "2.weight")
DEAD = (("0.weight", 1, 2), ("2.weight", 0, 3))


def with_dead_entries(network: nn.Module) -> lnas.Theta:
    theta = lnas.Theta(network)
    for name, row, column in DEAD:
        theta.masks()[name][row, column] = False
    theta.apply()
    return theta


def flat(scores: lnas.Tensors) -> Tensor:
    return torch.cat([scores[name].flatten() for name in WEIGHTS])


def value_at(loss: lnas.BatchLoss, theta: Tensor) -> Tensor:
    """The loss where the two weights are those of a flat vector."""
    x, y = loss.batch
    first, second = theta[:20].view(4, 5), theta[20:].view(3, 4)
    return functional.cross_entropy(functional_call(loss.module, dict(zip(WEIGHTS, (first, second), strict=True)), (x,)), y)


def test_snip_is_the_slope_by_gates_on_the_connections(network: nn.Module, objective: Callable[..., lnas.BatchLoss]) -> None:
    theta, loss = with_dead_entries(network), objective(network)
    gates = torch.ones(32, dtype=torch.float64, requires_grad=True)
    values = flat(theta.tensors()).detach()
    (slope,) = torch.autograd.grad(value_at(loss, gates * values), gates)
    scores = snip(theta.tensors(), theta.masks(), loss)
    torch.testing.assert_close(flat(scores), slope.abs(), rtol=1e-12, atol=0)
    assert all(not score.requires_grad for score in scores.values())


def test_taylor_is_its_square(network: nn.Module, objective: Callable[..., lnas.BatchLoss]) -> None:
    theta, loss = with_dead_entries(network), objective(network)
    expected = {}
    for name, weight in theta.tensors().items():
        (slope,) = torch.autograd.grad(loss(), weight)
        rows = zip(slope.tolist(), weight.tolist(), strict=True)
        expected[name] = torch.tensor([[(g * w) ** 2 for g, w in zip(*row, strict=True)] for row in rows], dtype=torch.float64)
    scores = taylor(theta.tensors(), theta.masks(), loss)
    for name in WEIGHTS:
        torch.testing.assert_close(scores[name], expected[name], rtol=1e-12, atol=0)
    torch.testing.assert_close(flat(scores), flat(snip(theta.tensors(), theta.masks(), loss)) ** 2, rtol=1e-12, atol=0)


def test_grasp_is_theta_times_the_hessian_times_the_gradient_that_flows(
    network: nn.Module, objective: Callable[..., lnas.BatchLoss]
) -> None:
    theta, loss = with_dead_entries(network), objective(network)
    values = flat(theta.tensors()).detach().requires_grad_()
    alive = torch.cat([theta.masks()[name].flatten() for name in WEIGHTS])
    (slope,) = torch.autograd.grad(value_at(loss, values), values)
    hessian = torch.autograd.functional.hessian(lambda at: value_at(loss, at), values.detach())
    scores = flat(grasp(theta.tensors(), theta.masks(), loss))
    torch.testing.assert_close(scores, values.detach() * (hessian @ (slope * alive)), rtol=1e-10, atol=1e-15)
    assert not torch.allclose(scores, values.detach() * (hessian @ slope), rtol=1e-3, atol=0)  # the mask matters here
    assert not scores.requires_grad


def test_the_lowest_of_grasp_is_the_removal_that_lets_the_gradient_flow_grow_most(
    network: nn.Module, objective: Callable[..., lnas.BatchLoss]
) -> None:
    """d|g|^2 along a removal is -2 times the score: the paper keeps the gradient flow, and prunes the highest S(-theta)."""
    theta, loss = lnas.Theta(network), objective(network)
    values = flat(theta.tensors()).detach()
    gates = torch.ones(32, dtype=torch.float64, requires_grad=True)
    at = gates * values
    (slope,) = torch.autograd.grad(value_at(loss, at), at, create_graph=True)
    (growth,) = torch.autograd.grad(slope.square().sum(), gates)
    scores = flat(grasp(theta.tensors(), theta.masks(), loss))
    torch.testing.assert_close(-2 * scores, -growth, rtol=1e-10, atol=1e-15)

    def flow(shrunk: int) -> Tensor:
        at = values.clone()
        at[shrunk] *= 0.99
        at.requires_grad_()
        return torch.autograd.grad(value_at(loss, at), at)[0].square().sum()

    assert int(torch.stack([flow(index) for index in range(32)]).argmax()) == int(scores.argmin())


@pytest.mark.parametrize("importance", [snip, taylor, grasp])
def test_a_fused_network_scores_as_the_readable_one(importance: lnas.Importance) -> None:
    """Second derivatives go through the fused operations of the derived network in training mode too."""
    genes = [lnas.Gene(operation, source, 2) for source, operation in enumerate(("sep_conv_3x3", "max_pool_3x3"))]
    genotype = lnas.Genotype({"normal": tuple(genes), "reduce": tuple(genes)}, {"normal": (2,), "reduce": (2,)})
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(4, 1, 8, 8, generator=generator, dtype=torch.float64), torch.arange(4) % 3
    found = []
    for fast in (True, False):
        with lnas.seeded(0, "cells"):
            cells = lnas.CellNetwork(genotype, lnas.Task((1, 8, 8), 3), channels=2, layers=3, fast=fast).double()
        theta = lnas.Theta(cells)
        found.append(importance(theta.tensors(), theta.masks(), lnas.BatchLoss(cells, cells, batch, lnas.cross_entropy)))
    for name, score in found[0].items():
        torch.testing.assert_close(score, found[1][name], rtol=1e-7, atol=1e-12)
    assert sum(float(score.abs().sum()) for score in found[0].values()) > 0


@pytest.mark.parametrize("importance", [snip, taylor, grasp])
def test_a_weight_that_the_loss_does_not_use_scores_0(importance: lnas.Importance, network: nn.Module) -> None:
    network.append(nn.Linear(3, 2).double())
    loss = lnas.BatchLoss(network, network[:3], (torch.ones(2, 5).double(), torch.tensor([0, 1])), lnas.cross_entropy)
    theta = lnas.Theta(network)
    scores = importance(theta.tensors(), theta.masks(), loss)
    assert not scores["3.weight"].any() and scores["0.weight"].any()


def test_a_loss_without_curvature_has_a_grasp_of_0(network: nn.Module) -> None:
    theta = lnas.Theta(network)
    loss = lnas.BatchLoss(network, network, None, lambda predict, batch: network[2].weight.sum() + network[0].weight.sum())
    assert not flat(grasp(theta.tensors(), theta.masks(), loss)).any()


@pytest.mark.parametrize("importance", [snip, taylor, grasp])
def test_what_takes_no_gradient_is_refused(importance: lnas.Importance, network: nn.Module) -> None:
    theta = lnas.Theta(network)
    with pytest.raises(lnas.ConfigError, match="this importance needs a loss"):
        lnas.prune(theta, 0.5, importance=importance)
    with pytest.raises(lnas.ConfigError, match=rf"importance {importance.__name__} .* the loss given here has no gradient"):
        lnas.prune(theta, 0.5, importance=importance, loss=lambda: torch.tensor(1.0))
    network[0].weight.requires_grad_(False)
    with pytest.raises(lnas.ConfigError, match=rf"importance {importance.__name__} .* 0\.weight takes no gradient; use another$"):
        lnas.prune(theta, 0.5, importance=importance, loss=lambda: network(torch.ones(1, 5).double()).sum())
    assert lnas.sparsity_of(theta.masks()) == 0


def test_a_bare_loss_is_enough(network: nn.Module, objective: Callable[..., lnas.BatchLoss]) -> None:
    loss, theta = objective(network), lnas.Theta(network, scope="global")
    scores = flat(snip(theta.tensors(), theta.masks(), loss))
    lnas.prune(theta, 0.5, importance=snip, loss=lambda: loss())
    kept = torch.cat([theta.masks()[name].flatten() for name in WEIGHTS])
    assert scores[kept].min() > scores[~kept].max() and int(kept.sum()) == 16
