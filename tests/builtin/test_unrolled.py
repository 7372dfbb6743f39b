"""Oracle 2: the unrolled gradient of alpha, at random points that are not stationary, against exact autodiff written apart."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lnas.builtin.cells import CellSpace
from lnas.builtin.darts import Darts
from lnas.builtin.unrolled import exact, finite, gradients
from lnas.core.buffers import preserved_buffers
from lnas.core.types import Task

XI = 0.3


def distance(mine: Any, right: Any) -> float:
    """|mine - right| / |right|, over all tensors at once."""
    a, b = (torch.cat([tensor.detach().flatten() for tensor in tensors]) for tensors in (mine, right))
    return float((a - b).norm() / b.norm())


# The two-variable toy: L_val = a w - 2 a + 1, L_train = (w - a)^2 -----------------------------------------------------


class Toy(nn.Module):
    def __init__(self, w: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w, dtype=torch.float64))

    def forward(self, a: Tensor) -> tuple[Tensor, Tensor]:
        return a, self.w


def toy_loss(call: Any, batch: str, a: Tensor) -> Tensor:
    a, w = call(a)
    return a * w - 2 * a + 1 if batch == "val" else (w - a) ** 2


def toy_gradient(mode: str, a: Tensor, toy: Toy, xi: float) -> float:
    if mode == "exact":
        _, (slope,) = exact(toy, lambda call, batch: toy_loss(call, batch, a), [a], xi, "train", "val")
    else:
        _, (slope,) = finite(toy, lambda batch: toy_loss(toy, batch, a), [a], xi, "train", "val")
    return float(slope)


@pytest.mark.parametrize(("mode", "tolerance"), [("exact", 1e-10), ("finite", 1e-5)])
@pytest.mark.parametrize("seed", range(5))
def test_the_toy_gradient_is_the_one_on_paper(mode: str, tolerance: float, seed: int) -> None:
    a, w, xi = (torch.rand(3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.5).tolist()
    ahead = w - xi * 2 * (w - a)
    right = ahead - 2 + a * 2 * xi  # d/da [a w'(a) - 2 a + 1] with dw'/da = 2 xi
    got = toy_gradient(mode, torch.tensor(a, dtype=torch.float64, requires_grad=True), Toy(w), xi)
    assert got == pytest.approx(right, rel=tolerance)
    bugs = {
        "xi has the wrong sign in the second term": ahead - 2 - a * 2 * xi,
        "the second term vanishes, divided by 2 and multiplied by epsilon": ahead - 2,
        "the virtual step does nothing": w - 2 + a * 2 * xi,
        "the virtual step goes uphill": w + xi * 2 * (w - a) - 2 + a * 2 * xi,
        "first order": w - 2,
    }
    for bug, wrong in bugs.items():
        assert abs(wrong - right) > 1e-2 * abs(right), bug


@pytest.mark.parametrize("mode", ["exact", "finite"])
def test_the_toy_comes_to_rest_where_it_should(mode: str) -> None:
    xi = 0.1
    a, toy = torch.tensor(2.0, dtype=torch.float64, requires_grad=True), Toy(-2.0)
    for _ in range(600):
        slope = toy_gradient(mode, a, toy, xi)
        with torch.no_grad():
            a -= 0.1 * slope
            toy.w -= xi * 2 * (toy.w - a)
    assert a.item() == pytest.approx(2 / (1 + 2 * xi), rel=1e-6)
    assert toy.w.item() == pytest.approx(2 / (1 + 2 * xi), rel=1e-6)


def test_finite_is_finite_where_the_outer_gradient_is_zero() -> None:
    a, toy = torch.tensor(0.0, dtype=torch.float64, requires_grad=True), Toy(0.7)  # dL_val/dw = a = 0
    assert toy_gradient("finite", a, toy, 0.25) == pytest.approx(0.7 - 0.5 * 0.7 - 2, abs=1e-12)


# A supernet of 3 cells with 4 channels --------------------------------------------------------------------------------


def supernet(dtype: torch.dtype = torch.float64) -> CellSpace:
    """Theta far from its beginning."""
    torch.manual_seed(3)
    space = CellSpace(Task((3, 8, 8), 4), channels=4, layers=3, nodes=2).to(dtype)
    with torch.no_grad():
        for parameter in space.parameters():
            parameter += 0.3 * parameter.std() * torch.randn_like(parameter)
    return space


def pair() -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(4)
    draw = [
        (torch.randn(6, 3, 8, 8, generator=generator).double(), torch.randint(4, (6,), generator=generator)) for _ in range(2)
    ]
    return draw[0], draw[1]


def strategy(loss: Any, dtype: torch.dtype = torch.float64, **options: Any) -> Darts:
    """At a random point: alpha is no longer near 0."""
    darts = Darts(supernet(dtype), loss, 0, 0, lr=XI, **options)
    with torch.no_grad():
        for i, alpha in enumerate(darts.alpha.values()):
            alpha += torch.randn(alpha.shape, generator=torch.Generator().manual_seed(i), dtype=dtype)
    return darts


def with_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """A copy of the module whose parameters are these tensors of a graph."""
    module = copy.deepcopy(module)
    for name, weight in weights.items():
        parent, _, attribute = name.rpartition(".")
        owner = module.get_submodule(parent)
        del owner._parameters[attribute]
        setattr(owner, attribute, weight)
    return module


class Reference:
    """The pieces of the gradient, each by autodiff at its own point."""

    def __init__(self, darts: Darts, loss: Any, train: Any, val: Any, xi: float) -> None:
        self.alphas = [alpha.detach().clone().requires_grad_() for alpha in darts.alpha.values()]
        alive = [darts.space.alive[kind] for kind in darts.alpha]

        def value(weights: Mapping[str, Tensor], batch: Any) -> Tensor:
            gates = {
                kind: torch.where(bits, torch.where(bits, alpha, -torch.inf).softmax(1), 0)
                for kind, alpha, bits in zip(darts.alpha, self.alphas, alive, strict=True)
            }
            return loss(lambda x: with_weights(darts.space, weights)(x, gates), batch)

        def slopes(of: Tensor, by: list[Tensor]) -> list[Tensor]:
            found = torch.autograd.grad(of, by, create_graph=True, allow_unused=True)
            return [torch.zeros_like(b) if slope is None else slope for slope, b in zip(found, by, strict=True)]

        weights = {name: parameter.detach().clone().requires_grad_() for name, parameter in darts.space.named_parameters()}
        inner = slopes(value(weights, train), list(weights.values()))

        def at(scale: float) -> tuple[list[Tensor], list[Tensor]]:
            """Direct and second term at theta + scale ∇L_train; the graph of `inner` gives the mixed derivative."""
            there = {
                name: (w + scale * slope).detach().requires_grad_()
                for (name, w), slope in zip(weights.items(), inner, strict=True)
            }
            outer = value(there, val)
            direct = slopes(outer, self.alphas)
            along = [slope.detach() for slope in slopes(outer, list(there.values()))]
            product = sum((slope * a).sum() for slope, a in zip(inner, along, strict=True))
            return direct, slopes(product, self.alphas)

        direct, mixed = at(-xi)
        here, mixed_here = at(0.0)
        up, mixed_up = at(xi)
        self.right = [d - xi * m for d, m in zip(direct, mixed, strict=True)]
        self.bugs = {
            "the sign of the second term": [d + xi * m for d, m in zip(direct, mixed, strict=True)],
            "the second term divided by 2 and multiplied by epsilon": [
                d - xi * m * 1e-10 for d, m in zip(direct, mixed, strict=True)
            ],
            "the virtual step does nothing": [d - xi * m for d, m in zip(here, mixed_here, strict=True)],
            "the virtual step goes uphill": [d - xi * m for d, m in zip(up, mixed_up, strict=True)],
            "first order": here,
        }
        # and once more in one piece, through the inner step itself
        ahead = {name: w - xi * slope for (name, w), slope in zip(weights.items(), inner, strict=True)}
        self.loss = value(ahead, val)
        self.whole = torch.autograd.grad(self.loss, self.alphas)


@pytest.mark.parametrize("dead", [False, True])
def test_the_supernet_gradient_is_exact_autodiff(dead: bool, loss: Any) -> None:
    train, val = pair()
    darts = strategy(loss)
    if dead:  # paths and a whole edge
        for kind, bits in darts.space.alive.items():
            bits[:, 4:] = False
            bits[0] = False
            assert darts.space.alive[kind].sum() == 16
        darts.space.release()
    reference = Reference(darts, loss, train, val, XI)
    assert distance(reference.whole, reference.right) < 1e-10
    darts.unrolled = "exact"
    value, slopes = darts.alpha_gradient(train, val)
    assert distance(slopes, reference.whole) < 1e-10
    assert value.item() == pytest.approx(reference.loss.item(), rel=1e-12)
    darts.unrolled = "finite"
    value, slopes = darts.alpha_gradient(train, val)
    assert distance(slopes, reference.whole) < 1e-5
    assert value.item() == pytest.approx(reference.loss.item(), rel=1e-12)
    darts.unrolled = "no"
    _, slopes = darts.alpha_gradient(train, val)
    assert distance(slopes, reference.bugs["first order"]) < 1e-10
    for bug, wrong in reference.bugs.items():
        assert distance(wrong, reference.whole) > 1e-2, bug
    if dead:
        for alpha_slope, bits in zip(slopes, darts.space.alive.values(), strict=True):
            assert alpha_slope[~bits].eq(0).all()


def test_xi_is_the_present_learning_rate_of_theta(loss: Any) -> None:
    train, val = pair()
    darts = Darts(supernet(), loss, 4, 0, unrolled="exact", lr=XI, lr_min=0.0)
    darts.sgd.t = 2  # half way down the cosine
    _, slopes = darts.alpha_gradient(train, val)
    assert distance(slopes, Reference(darts, loss, train, val, XI / 2).whole) < 1e-10


@pytest.mark.parametrize("unrolled", ["no", "exact", "finite"])
def test_an_alpha_step_leaves_theta_buffers_and_momentum_as_they_are(unrolled: str, loss: Any) -> None:
    train, val = pair()
    darts = strategy(loss, torch.float32, unrolled=unrolled, alternate=2)
    train, val = ((pictures.float(), labels) for pictures, labels in (train, val))
    for _ in range(4):  # two alpha updates, two theta updates: there is momentum and there are running statistics
        darts.step(train, val)

    def all_of_theta() -> dict[str, Tensor]:
        state = darts.sgd.optimizer.state
        moments = {f"momentum of {n}": state[p]["momentum_buffer"] for n, p in darts.space.named_parameters() if state.get(p)}
        assert len(moments) > 50
        return {name: tensor.clone() for name, tensor in (*darts.space.state_dict().items(), *moments.items())}

    before, alpha = all_of_theta(), copy.deepcopy(darts.alpha)
    metrics = darts.step(train, val)
    assert metrics.keys() == {"alpha_loss"}
    after = all_of_theta()
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]), name
    assert all(parameter.grad is None for parameter in darts.space.parameters())
    for kind, tensor in alpha.items():
        assert not torch.equal(tensor, darts.alpha[kind])


# Modules that a user may bring ----------------------------------------------------------------------------------------


class Partly(nn.Module):
    """One frozen weight, one free one, and a buffer that every forward pass replaces."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Parameter(torch.tensor(2.0, dtype=torch.float64), requires_grad=False)
        self.free = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
        self.register_buffer("calls", torch.zeros((), dtype=torch.float64))

    def forward(self, a: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return a * self.frozen * self.free


@pytest.mark.parametrize("mode", ["exact", "finite"])
def test_frozen_weights_take_no_virtual_step(mode: str) -> None:
    module, a = Partly(), torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    losses = {"train": lambda y: y**2, "val": lambda y: y}
    if mode == "exact":
        _, (slope,) = exact(module, lambda call, batch: losses[batch](call(a)), [a], 0.1, "train", "val")
    else:
        _, (slope,) = finite(module, lambda batch: losses[batch](module(a)), [a], 0.1, "train", "val")
    # w' = w - xi 2 (2 a)^2 w; L_val = 2 a w'; d/da = 2 w' + 2 a (-16 xi a w)
    assert slope.item() == pytest.approx(2 * (0.5 - 0.1 * 2 * 9 * 0.5) + 3 * (-16 * 0.1 * 1.5 * 0.5), rel=1e-9)
    assert module.frozen.item() == 2.0
    assert module.free.item() == 0.5


def test_buffers_are_preserved_even_where_a_forward_pass_replaces_them() -> None:
    module = Partly()
    kept = module.calls
    with preserved_buffers(module):
        module(torch.ones((), dtype=torch.float64))
        assert module.calls == 1
    assert module.calls is kept
    assert module.calls == 0


def test_buffers_and_theta_are_put_back_after_an_error() -> None:
    module = Partly()

    def broken(batch: str) -> Tensor:
        if batch == "val":
            raise RuntimeError("out of memory")
        return module(torch.ones((), dtype=torch.float64)) ** 2

    with pytest.raises(RuntimeError, match="out of memory"), preserved_buffers(module):
        finite(module, broken, [], 0.1, "train", "val")
    assert module.free.item() == 0.5
    assert module.calls == 0


def test_gradients_are_zero_where_the_loss_does_not_look() -> None:
    used, unused = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    first, second = gradients((2 * used).sum(), [used, unused])
    assert first.tolist() == [2.0, 2.0]
    assert second.tolist() == [0.0, 0.0, 0.0]
