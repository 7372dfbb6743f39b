"""Hessian-vector products against closed forms, the dense Hessian of torch.func, and differences of the gradient."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lnas_robust import RobustDarts
from lnas_robust.hessian import hessian_product
from torch import Tensor, nn

import lnas


def squared(network: lnas.Predict, batch: Tensor) -> Tensor:
    """(network(1) - target)^2."""
    return ((network(torch.ones(1, dtype=torch.float64)) - batch) ** 2).sum()


def dense(product: Callable[[Tensor], Tensor], n: int) -> Tensor:
    return torch.stack([product(axis) for axis in torch.eye(n, dtype=torch.float64)])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_quadratic_loss_has_the_hessian_that_it_is_made_of(choice: Callable[..., lnas.ChoiceSpace], sign: int) -> None:
    """Were the gates alpha itself, L = ±(c·alpha - y)^2 would have the Hessian ±2 c cᵀ, whose one eigenvalue is ±2 |c|^2."""
    c = torch.tensor([0.5, -2.0, 3.0], dtype=torch.float64)
    robust = RobustDarts(choice(*c.tolist()), lambda network, batch: sign * squared(network, batch), every=1)
    robust.gates = lambda: dict(robust.alpha)  # type: ignore[method-assign]
    target = torch.tensor([1.5], dtype=torch.float64)
    torch.testing.assert_close(dense(hessian_product(robust, target), 3), sign * 2 * torch.outer(c, c), rtol=1e-13, atol=1e-14)
    assert robust.eigenvalue(target) == pytest.approx(sign * 2 * float(c @ c), rel=1e-12)


def test_the_hessian_by_hand_through_the_softmax(choice: Callable[..., lnas.ChoiceSpace]) -> None:
    """H = 2 u uᵀ + 2 (c·g - y) Σ_i c_i d²g_i, with u = (diag g - g gᵀ) c and

    d²g_i = g_i ((δ_ij - g_j)(δ_ik - g_k) - g_j (δ_jk - g_k)).
    """
    c, y = torch.tensor([0.5, -2.0, 3.0], dtype=torch.float64), 1.5
    robust = RobustDarts(choice(*c.tolist()), squared, every=1)
    with torch.no_grad():
        robust.alpha["choice"].copy_(torch.tensor([[0.3, -0.4, 1.1]]))
    g, one = torch.softmax(robust.alpha["choice"].detach()[0], 0), torch.eye(3, dtype=torch.float64)
    u = (torch.diag(g) - torch.outer(g, g)) @ c
    by_hand = 2 * torch.outer(u, u)
    for i in range(3):
        second = g[i] * (torch.outer(one[i] - g, one[i] - g) - (torch.diag(g) - torch.outer(g, g)))
        by_hand = by_hand + 2 * (c @ g - y) * c[i] * second
    got = dense(hessian_product(robust, torch.tensor([y], dtype=torch.float64)), 3)
    torch.testing.assert_close(got, by_hand, rtol=1e-12, atol=1e-14)


class Tower(nn.Module):
    """Two choices in a row, of smooth candidates."""

    def __init__(self) -> None:
        super().__init__()
        self.first = lnas.MixedOp({"a": nn.Linear(3, 4), "b": nn.Sequential(nn.Linear(3, 4), nn.Tanh())})
        self.second = lnas.MixedOp({"a": nn.Linear(4, 4), "b": nn.Sequential(nn.Linear(4, 4), nn.Sigmoid())})

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(torch.tanh(self.first(x)))
        return y


def test_products_equal_the_dense_hessian_of_torch_func() -> None:
    with lnas.seeded(0, "tower"):
        tower = Tower()
    space = lnas.ChoiceSpace(tower.double())
    robust = RobustDarts(space, lnas.cross_entropy, every=1)
    generator = lnas.stream(0, "batch")
    batch = torch.randn(6, 3, generator=generator, dtype=torch.float64), torch.randint(4, (6,), generator=generator)
    with torch.no_grad():
        for alpha in robust.alpha.values():
            alpha.copy_(torch.randn(alpha.shape, generator=generator, dtype=torch.float64))
    names = list(robust.alpha)

    def loss(flat: Tensor) -> Tensor:
        gates = {name: torch.softmax(part[None], 1) for name, part in zip(names, flat.split(2), strict=True)}
        return lnas.cross_entropy(lambda x: space(x, gates), batch)

    exact = torch.func.jacrev(torch.func.jacrev(loss))(
        torch.cat([robust.alpha[name].detach().flatten() for name in names])
    ).detach()
    torch.testing.assert_close(dense(hessian_product(robust, batch), 4), exact, rtol=1e-11, atol=1e-14)
    values = torch.linalg.eigvalsh(exact)
    assert robust.eigenvalue(batch) == pytest.approx(float(values[values.abs().argmax()]), rel=1e-6)
    robust.which = "largest"
    assert robust.eigenvalue(batch) == pytest.approx(float(values[-1]), rel=1e-6)


@pytest.mark.parametrize("options", [{"mixed": "fast"}, {"mixed": "reference"}, {"activation_checkpointing": True}])
def test_products_equal_differences_of_the_gradient_on_cells(
    cells: Callable[..., lnas.CellSpace], batches: Any, options: dict[str, Any]
) -> None:
    """A space with batch norms, as it is searched; some paths and one whole edge are dead."""
    robust = RobustDarts(cells(**options), lnas.cross_entropy, every=1)
    target = lnas.Alpha(robust)
    lnas.prune(target, 0.5)
    robust.space.alive["normal"][0] = False
    target.apply()
    (_, val), *_ = batches(1)
    before = copy.deepcopy(robust.state_dict())
    product = hessian_product(robust, val)
    vector = torch.randn(80, generator=lnas.stream(0, "vector"), dtype=torch.float64)
    got = product(vector)
    for name, value in robust.space.state_dict().items():
        assert torch.equal(value, before["space"][name]), name
    h, gradients = 1e-5, []
    alphas = list(robust.alpha.values())
    for sign in (1, -1):
        with torch.no_grad():
            for alpha, part in zip(alphas, vector.split(40), strict=True):
                alpha.add_(sign * h * part.view_as(alpha))
        gradients.append(torch.cat([slope.flatten() for slope in robust.alpha_gradient(val, val)[1]]))
        robust.load_state_dict(before)
    torch.testing.assert_close(got, (gradients[0] - gradients[1]) / (2 * h), rtol=1e-6, atol=1e-9)
    assert not got.view(2, 5, 8)[0, 0].any(), "no curvature where nothing is alive"
    assert all(parameter.requires_grad and parameter.grad is None for parameter in robust.space.parameters())


def test_products_are_means_over_the_processes(choice: Callable[..., lnas.ChoiceSpace]) -> None:
    robust = RobustDarts(choice(1.0, -2.0), squared, every=1)
    target = torch.tensor([1.0], dtype=torch.float64)
    alone = robust.eigenvalue(target)
    robust.average = lambda tensors: tuple(3 * tensor for tensor in tensors)
    assert alone != 0
    assert robust.eigenvalue(target) == pytest.approx(3 * alone, rel=1e-12)


def test_a_loss_that_does_not_depend_on_alpha_has_no_curvature(choice: Callable[..., lnas.ChoiceSpace]) -> None:
    space = choice(1.0, -2.0)
    target = torch.tensor([1.0], dtype=torch.float64)
    assert RobustDarts(space, lambda network, batch: batch.sum(), every=1).eigenvalue(target) == 0
    linear = RobustDarts(space, lambda network, batch: network(batch).sum(), every=1)
    linear.gates = lambda: dict(linear.alpha)  # type: ignore[method-assign]
    assert linear.eigenvalue(target) == 0
    space.alive["choice"][:] = False
    assert RobustDarts(space, squared, every=1).eigenvalue(target) == 0


def test_a_measurement_that_is_not_finite_is_an_error(choice: Callable[..., lnas.ChoiceSpace]) -> None:
    robust = RobustDarts(choice(1.0, 2.0), squared, every=1)
    with pytest.raises(lnas.NumericalError, match="not finite"):
        robust.eigenvalue(torch.tensor([torch.inf], dtype=torch.float64))
