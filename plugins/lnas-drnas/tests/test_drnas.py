"""DrNAS as a learner: what a step draws and updates, what it derives, and that its state is all there is to it."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from lnas_drnas import DrNas
from lnas_drnas.dirichlet import drawn
from lnas_drnas.gamma import log_gamma, log_slope, noise
from torch import Tensor

import lnas

ALIVE = torch.ones(1, 3, dtype=torch.bool)


def squared(network: lnas.Predict, batch: Tensor) -> Tensor:
    """(network(1) - target)^2."""
    return ((network(torch.ones(1, dtype=torch.float64)) - batch) ** 2).sum()


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """All leaves of a state, by a path of keys."""
    if isinstance(value, dict):
        return {k: v for key, inner in value.items() for k, v in flat(inner, f"{path}/{key}").items()}
    if isinstance(value, list):
        return {k: v for key, inner in enumerate(value) for k, v in flat(inner, f"{path}/{key}").items()}
    return {path: value}


def same(mine: Any, theirs: Any) -> bool:
    a, b = flat(mine), flat(theirs)
    return a.keys() == b.keys() and all(torch.equal(v, b[k]) if isinstance(v, Tensor) else v == b[k] for k, v in a.items())


def test_alpha_moves_along_the_gradient_by_hand(choice: Callable[..., lnas.ChoiceSpace]) -> None:
    """x_k = z_k / Σ z, so dx_i/dβ_j = x_i (δ_ij - x_j) s_j with s_j = d ln z_j / dβ_j; and β = elu(alpha) + 1."""
    c = torch.tensor([0.5, -2.0, 3.0], dtype=torch.float64)
    target = torch.tensor([1.5], dtype=torch.float64)
    begin = torch.tensor([[0.8, -0.7, 0.1]], dtype=torch.float64)
    options = {"alpha_optimizer": "sgd", "alpha_lr": 0.5, "anchor": 0.2, "alpha_weight_decay": 0.0}
    drnas = DrNas(choice(*c.tolist()), squared, 5, 3, **options)
    with torch.no_grad():
        drnas.alpha["choice"].copy_(begin)
    metrics = drnas.step(target, target)
    beta = torch.tensor([1.8, float(torch.tensor(-0.7, dtype=torch.float64).exp()), 1.1], dtype=torch.float64)
    into = torch.tensor([1.0, beta[1], 1.0], dtype=torch.float64)  # dβ/dalpha
    log_z = log_gamma(beta[None], noise(begin.shape, lnas.stream(3, "drnas")))
    x, s = log_z[0].exp() / log_z[0].exp().sum(), log_slope(beta[None], log_z)[0]
    output = float(c @ x)
    by_hand = [
        float(2 * (output - 1.5) * sum(c[i] * x[i] * (float(i == j) - float(x[j])) for i in range(3)) * s[j] * into[j])
        + float(0.2 * (beta[j] - 1) * into[j])
        for j in range(3)
    ]
    moved = (begin - drnas.alpha["choice"].detach())[0] / 0.5
    assert moved.tolist() == pytest.approx(by_hand, rel=1e-10)
    assert float(metrics["alpha_loss"]) == pytest.approx((output - 1.5) ** 2, rel=1e-12), "the loss is without the penalty"


def test_theta_is_trained_under_a_second_draw(choice: Callable[..., lnas.ChoiceSpace]) -> None:
    """theta_k <- theta_k - lr · 2 (c·x - y) c_k x_k."""
    c, target = (1.0, 2.0, -1.0), torch.tensor([0.25], dtype=torch.float64)
    drnas = DrNas(choice(*c), squared, 0, 4, lr=0.1, alpha_lr=0.0, momentum=0.0, weight_decay=0.0, clip=0.0)
    generator = lnas.stream(4, "drnas")
    alpha = drnas.alpha["choice"].detach()
    first, second = (drawn(alpha, ALIVE, noise(alpha.shape, generator))[0] for _ in range(2))
    assert not torch.equal(first, second)
    metrics = drnas.step(target, target)
    output = sum(c[k] * float(second[k]) for k in range(3))
    assert float(metrics["loss"]) == pytest.approx((output - 0.25) ** 2, rel=1e-13)
    for k, parameter in enumerate(drnas.space.parameters()):
        assert float(parameter.detach()) == pytest.approx(1 - 0.1 * 2 * (output - 0.25) * c[k] * float(second[k]), rel=1e-13)


def test_the_anchor_alone_brings_concentrations_to_one(choice: Callable[..., lnas.ChoiceSpace]) -> None:
    """All candidates do the same, so that the loss says nothing."""
    target = torch.tensor([1.0], dtype=torch.float64)

    def after(anchor: float) -> list[float]:
        options = {"alpha_optimizer": "sgd", "alpha_lr": 0.5, "lr": 0.0, "lr_min": 0.0}
        drnas = DrNas(choice(1.0, 1.0, 1.0), squared, 60, anchor=anchor, **options)
        with torch.no_grad():
            drnas.alpha["choice"].copy_(torch.tensor([[1.0, -1.0, 0.5]]))
        for _ in range(60):
            drnas.step(target, target)
        return drnas.alpha["choice"].detach()[0].tolist()

    assert after(0.0) == pytest.approx([1.0, -1.0, 0.5], abs=1e-12)
    assert after(0.5) == pytest.approx([0.0, 0.0, 0.0], abs=1e-3)


def test_the_better_candidate_wins(choice: Callable[..., lnas.ChoiceSpace]) -> None:
    """Candidates give -1, 2.5 and 0.9; the target is 1."""
    target = torch.tensor([1.0], dtype=torch.float64)
    drnas = DrNas(choice(-1.0, 2.5, 0.9), squared, 200, alpha_lr=0.05, lr=0.0, lr_min=0.0)
    for _ in range(200):
        drnas.step(target, target)
    assert drnas.genotype().groups["choice"] == (lnas.Gene("x2", 0, 1),)
    assert float(drnas.gates()["choice"][0, 2].detach()) > 0.6


def test_what_is_derived_and_predicted_is_the_mean(cells: Callable[..., lnas.CellSpace], batches: Any) -> None:
    """On three edges into node 3, whose two best by the mean are not their two best by the softmax of alpha."""
    space = cells(operations=tuple(f"{kind}_conv_{size}" for kind in ("sep", "dil") for size in ("3x3", "5x5")))
    drnas = DrNas(space, lnas.cross_entropy, 4)
    rows = [(1.0, -1.0)] * 2 + [(3.0, 0.0), (0.0, -2.0), (1.6, -0.5)]
    alpha = torch.tensor([[best, other, other, other] for best, other in rows], dtype=torch.float64)
    with torch.no_grad():
        drnas.alpha["normal"].copy_(alpha)
    beta = torch.where(alpha > 0, alpha + 1, alpha.exp())
    mean = beta / beta.sum(1, keepdim=True)
    strongest = mean[2:, 0].argsort(descending=True)[:2].sort().values.tolist()
    rival = torch.softmax(alpha, 1)[2:, 0].argsort(descending=True)[:2].sort().values.tolist()
    assert strongest != rival, "the two disagree on these numbers"
    torch.testing.assert_close(drnas.gates()["normal"].detach(), mean, rtol=1e-13, atol=0)
    into = [gene.source for gene in drnas.genotype().groups["normal"] if gene.node == 3]
    assert into == strongest
    pictures = batches(1)[0][0][0]
    state = drnas.generator.get_state()
    drnas.space.eval()
    assert torch.equal(drnas.predict(pictures), drnas.space(pictures, drnas.gates()))
    assert torch.equal(drnas.generator.get_state(), state)


@pytest.mark.parametrize("options", [{}, {"alternate": 2}])
def test_the_state_is_all_that_steers_the_next_step(
    cells: Callable[..., lnas.CellSpace], batches: Any, options: dict[str, Any]
) -> None:
    straight = DrNas(cells(), lnas.cross_entropy, 4, 1, **options)
    for t, pair in enumerate(batches(4)):
        state = copy.deepcopy(straight.state_dict())
        resumed = DrNas(cells(seed=t + 5), lnas.cross_entropy, 4, 99, **options)
        resumed.load_state_dict(state)
        assert same(resumed.state_dict(), straight.state_dict())
        mine, theirs = resumed.step(*pair), straight.step(*pair)
        assert same(dict(mine), dict(theirs))
        assert same(resumed.state_dict(), straight.state_dict())


def test_dead_paths_take_no_part(cells: Callable[..., lnas.CellSpace], batches: Any) -> None:
    drnas = DrNas(cells(), lnas.cross_entropy, 4, 1)
    target = lnas.Alpha(drnas)
    lnas.prune(target, 0.5)
    drnas.space.alive["normal"][1] = False
    target.apply()
    for pair in batches(3):
        metrics = drnas.step(*pair)
        target.apply()
        assert all(bool(value.isfinite()) for value in metrics.values())
    gates, paths = drnas.draw()
    assert paths is None
    for kind, alive in drnas.space.alive.items():
        assert not gates[kind].detach()[~alive].any()
        assert gates[kind].detach().sum(1).tolist() == pytest.approx([float(row.any()) for row in alive])
        assert not drnas.alpha[kind].detach()[~alive].any()


def test_a_rewind_under_a_newer_mask_goes_on(cells: Callable[..., lnas.CellSpace], batches: Any) -> None:
    pruning = lnas.Pruning(lnas.Alpha, lnas.Iterative(sparsity=0.75, rounds=2), lnas.probability, rewind=1)
    drnas = DrNas(cells(), lnas.cross_entropy, 6, 1)
    rounds = lnas.Rounds(drnas, lnas.Alpha(drnas), pruning, 2, 2)
    for pair in batches(6):
        rounds.step(*pair)
    assert rounds.done
    assert all(int(bits.sum()) == 2 * 5 for bits in drnas.space.alive.values())


def test_draws_depend_on_the_seed_and_not_on_the_dtype_the_space_or_the_global_generator(
    cells: Callable[..., lnas.CellSpace],
) -> None:
    def draws(space: lnas.CellSpace, seed: int) -> Tensor:
        drnas = DrNas(space, lnas.cross_entropy, 0, seed)
        return torch.stack([drnas.draw()[0]["reduce"].detach().double() for _ in range(3)])

    reference = draws(cells(), 3)
    with lnas.seeded(8, "other"):
        assert torch.equal(draws(cells(seed=4), 3), reference)
    torch.testing.assert_close(draws(cells().float(), 3), reference, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(draws(cells(), 4), reference)


def test_gradients_go_through_the_average(cells: Callable[..., lnas.CellSpace], batches: Any) -> None:
    (pair,) = batches(1)
    drnas = DrNas(cells(), lnas.cross_entropy, 4, 1, anchor=0.0, weight_decay=0.0)
    asked: list[int] = []

    def nothing(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        asked.append(len(tensors))
        return tuple(torch.zeros_like(tensor) for tensor in tensors)

    drnas.average = nothing
    before = copy.deepcopy([*drnas.alpha.values(), *drnas.space.parameters()])
    drnas.step(*pair)
    assert asked[0] == 2, "two alphas"
    assert len(asked) == 2
    assert all(torch.equal(a, b) for a, b in zip(before, [*drnas.alpha.values(), *drnas.space.parameters()], strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"anchor": -0.1}, "anchor must be finite and at least 0, not -0.1"),
        ({"anchor": float("nan")}, "anchor must be finite and at least 0, not nan"),
        ({"alternate": 0}, "alternate must be at least 1, not 0"),
        ({"alpha_lr": -1.0}, "alpha_lr must be finite and at least 0, not -1.0"),
    ],
)
def test_what_is_out_of_range_is_refused(choice: Callable[..., lnas.ChoiceSpace], options: dict[str, Any], message: str) -> None:
    with pytest.raises(lnas.ConfigError, match=message):
        DrNas(choice(1.0, 2.0), squared, 5, **options)
