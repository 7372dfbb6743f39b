"""Gates against the closed form of the Dirichlet distribution, and their gradient against that of closed-form expectations."""

import functools
import math

import pytest
import torch
from lnas_drnas.dirichlet import anchor_slope, concentration, drawn, log_mean
from lnas_drnas.gamma import log_gamma, noise
from torch import Tensor

import lnas

ALPHA = torch.tensor([0.9, -1.5, 0.2, -0.3, 2.0], dtype=torch.float64)
DRAWS = 20_000
ALL, SOME = (True,) * 5, (True, False, True, True, True)


@functools.cache
def samples(alive: tuple[bool, ...]) -> tuple[Tensor, Tensor]:
    """DRAWS independent draws, and the alpha of each, which asks for a gradient: (DRAWS, operations) both."""
    many = ALPHA.expand(DRAWS, -1).clone().requires_grad_()
    return drawn(many, torch.tensor(alive).expand(DRAWS, -1), noise(many.shape, lnas.stream(1, f"samples/{alive}"))), many


def closed_form(alpha: Tensor, alive: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (operations,) and second moments (operations, operations) of Dirichlet(beta), differentiable by alpha."""
    beta = (torch.nn.functional.elu(alpha) + 1) * alive
    total = beta.sum()
    return beta / total, (torch.outer(beta, beta) + torch.diag(beta)) / (total * (total + 1))


def test_concentrations_are_elu_plus_one() -> None:
    alpha = torch.linspace(-6, 6, 241, dtype=torch.float64)
    torch.testing.assert_close(concentration(alpha), torch.nn.functional.elu(alpha) + 1, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(log_mean(alpha).exp(), concentration(alpha), rtol=1e-13, atol=0)
    alpha = alpha.requires_grad_()
    (slope,) = torch.autograd.grad(concentration(alpha).sum(), alpha)
    torch.testing.assert_close(slope, torch.where(alpha > 0, 1.0, alpha.detach().exp()), rtol=1e-13, atol=0)
    assert float(concentration(torch.tensor(-60.0))) == pytest.approx(math.exp(-60), rel=1e-6), "not lost next to 1"


def test_the_anchor_pulls_the_concentrations_to_one() -> None:
    alpha = ALPHA.clone().requires_grad_()
    (slope,) = torch.autograd.grad((torch.nn.functional.elu(alpha) ** 2).sum() / 2, alpha)
    torch.testing.assert_close(anchor_slope(ALPHA), slope, rtol=1e-13, atol=0)


@pytest.mark.parametrize("which", [ALL, SOME], ids=["all", "some"])
def test_gates_have_the_mean_and_the_covariance_of_the_distribution(which: tuple[bool, ...]) -> None:
    gates, alive = samples(which)[0].detach(), torch.tensor(which)
    torch.testing.assert_close(gates.sum(1), torch.ones(DRAWS, dtype=torch.float64), rtol=1e-14, atol=0)
    assert bool((gates[:, ~alive] == 0).all())
    mean, second = closed_form(ALPHA, alive)
    spread = gates.std(0) / math.sqrt(DRAWS)
    assert bool(((gates.mean(0) - mean).abs() <= 4 * spread).all())
    products = gates.unsqueeze(2) * gates.unsqueeze(1)
    spread = products.std(0) / math.sqrt(DRAWS)
    assert bool(((products.mean(0) - second).abs() <= 4 * spread).all())
    assert float(spread.max()) < 0.003, "and the bounds are narrow"
    torch.testing.assert_close(lnas.relax(log_mean(ALPHA)[None], alive[None])[0], mean, rtol=1e-13, atol=0)


@pytest.mark.parametrize("which", [ALL, SOME], ids=["all", "some"])
@pytest.mark.parametrize("function", ["linear", "quadratic"])
def test_the_pathwise_gradient_is_that_of_the_expectation(which: tuple[bool, ...], function: str) -> None:
    """E f(gates) in closed form, differentiated; the mean over the draws is within 4 of its standard errors."""
    generator = lnas.stream(2, "function")
    worth = torch.randn(5, generator=generator, dtype=torch.float64)
    matrix = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    gates, many = samples(which)
    alive = torch.tensor(which)
    alpha = ALPHA.clone().requires_grad_()
    mean, second = closed_form(alpha, alive)
    if function == "linear":
        value, expectation = gates @ worth, mean @ worth
    else:
        value, expectation = torch.einsum("ni,ij,nj->n", gates, matrix, gates), (matrix * second).sum()
    (each,) = torch.autograd.grad(value.sum(), many, retain_graph=True)
    (exact,) = torch.autograd.grad(expectation, alpha)
    spread = each.std(0) / math.sqrt(DRAWS)
    assert bool(((each.mean(0) - exact).abs() <= 4 * spread).all()), (each.mean(0), exact, spread)
    assert bool((4 * spread <= 0.1 * exact.abs().max()).all()), "and the bounds are narrow"
    assert bool((each[:, ~alive] == 0).all())


def test_the_gradient_of_one_draw_is_the_quotient_rule_on_two_gammas() -> None:
    """dx_0 by each alpha, as a difference: each gamma is moved along its own quantile by inverting the distribution function."""
    alpha = torch.tensor([[0.0, 0.5]], dtype=torch.float64, requires_grad=True)
    alive = torch.ones(1, 2, dtype=torch.bool)
    made = noise(alpha.shape, lnas.stream(4, "one"))
    gates = drawn(alpha, alive, made)
    (slope,) = torch.autograd.grad(gates[0, 0], alpha)
    z = log_gamma(torch.tensor([[1.0, 1.5]], dtype=torch.float64), made).exp()[0]
    quantile = torch.special.gammainc(torch.tensor([1.0, 1.5], dtype=torch.float64), z)
    h = 1e-5

    def inverse(shape: float, p: float, start: float) -> float:
        """z with P(shape, z) = p, by Newton's method."""
        a, z = torch.tensor(shape, dtype=torch.float64), torch.tensor(start, dtype=torch.float64)
        for _ in range(20):
            z = z - (torch.special.gammainc(a, z) - p) / ((a - 1) * z.log() - z - torch.lgamma(a)).exp()
        return float(z)

    for k, shape in enumerate((1.0, 1.5)):
        up, down = (inverse(shape + s * h, float(quantile[k]), float(z[k])) for s in (1, -1))
        moved = [[v if i == k else float(z[i]) for i in range(2)] for v in (up, down)]
        by_hand = (moved[0][0] / sum(moved[0]) - moved[1][0] / sum(moved[1])) / (2 * h)
        assert float(slope[0, k]) == pytest.approx(by_hand, rel=1e-7)


def test_an_edge_without_a_live_path_has_gates_and_gradients_of_zero() -> None:
    alpha = torch.zeros(2, 3, requires_grad=True)
    alive = torch.tensor([[False, False, False], [True, False, True]])
    gates = drawn(alpha, alive, noise(alpha.shape, lnas.stream(0, "empty")))
    assert gates.dtype == torch.float32
    assert gates[0].tolist() == [0, 0, 0]
    assert float(gates[1].sum().detach()) == pytest.approx(1, abs=1e-6)
    (slope,) = torch.autograd.grad(gates[:, 0].sum(), alpha)
    assert slope[0].tolist() == [0, 0, 0]
    assert float(slope[1, 1]) == 0
    assert float(slope[1, 0]) > 0 > float(slope[1, 2])


def test_concentrations_near_zero_give_one_hot_gates_and_finite_gradients() -> None:
    alpha = torch.full((300, 4), -12.0, requires_grad=True)
    gates = drawn(alpha, torch.ones(300, 4, dtype=torch.bool), noise(alpha.shape, lnas.stream(0, "tiny")))
    assert bool(gates.isfinite().all())
    assert float((gates.max(1).values > 0.999).float().mean()) > 0.98
    (slope,) = torch.autograd.grad(gates[:, 0].sum(), alpha)
    assert bool(slope.isfinite().all())
