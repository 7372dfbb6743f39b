"""What a step does, against loops written by hand: gates, gradients, warm-up, state and mask."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lnas_pcdarts import PcDarts
from torch import Tensor
from torch.func import functional_call

import lnas

MakeSpace = Callable[..., lnas.CellSpace]
Pairs = list[tuple[Any, Any]]
KINDS = ("normal", "reduce")


def by_hand(space: lnas.SearchSpace, alpha: dict[str, Tensor], beta: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every gate by the formula, one after the other."""
    gates = {}
    for group, alive in space.alive.items():
        rows = []
        for row, (_, node) in enumerate(space.edges[group]):
            rivals = [i for i, (_, other) in enumerate(space.edges[group]) if other == node and bool(alive[i].any())]
            if row not in rivals:
                rows.append(torch.zeros_like(alpha[group][row]))
                continue
            share = beta[group][row].exp() / sum(beta[group][i].exp() for i in rivals)
            exponentials = [x.exp() if bool(bit) else 0 * x for x, bit in zip(alpha[group][row], alive[row], strict=True)]
            rows.append(torch.stack([x / sum(exponentials) * share for x in exponentials]))
        gates[group] = torch.stack(rows)
    return gates


def large(strategy: PcDarts) -> PcDarts:
    """alpha and beta far from equal."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for tensor in strategy.alpha.values():
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
    return strategy


def leaves(strategy: PcDarts) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    alpha = {kind: strategy.alphas()[kind].detach().clone().requires_grad_() for kind in KINDS}
    return alpha, {kind: strategy.beta[kind].detach().clone().requires_grad_() for kind in KINDS}


def everything(strategy: PcDarts) -> dict[str, Tensor]:
    """All tensors of a state, by a path of keys."""
    found: dict[str, Tensor] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, Tensor):
            found[path] = value.detach().clone()
        elif isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{path}/{key}")

    walk(strategy.state_dict(), "")
    return found


def same(mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return mine.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in mine.items())


def test_gates_are_those_of_the_formula(make_space: MakeSpace) -> None:
    strategy = large(PcDarts(make_space(), lnas.cross_entropy))
    expected = by_hand(strategy.space, strategy.alphas(), strategy.beta)
    for kind, gates in strategy.gates().items():
        assert torch.allclose(gates, expected[kind], rtol=1e-14)
        of_nodes = [gates[:2].sum(), gates[2:5].sum(), gates[5:].sum()]
        assert [float(total.detach()) for total in of_nodes] == pytest.approx([1, 1, 1])
    assert (strategy.shares()["normal"][:2] - 0.5).abs().min() > 0.05


def test_alpha_and_beta_are_drawn_from_streams_of_their_own(make_space: MakeSpace) -> None:
    strategy, darts = PcDarts(make_space(), lnas.cross_entropy, 0, 3), lnas.Darts(make_space(), lnas.cross_entropy, 0, 3)
    for kind in KINDS:
        assert torch.equal(strategy.alphas()[kind], darts.alpha[kind])
        assert torch.equal(strategy.beta[kind].float(), 1e-3 * torch.randn(9, generator=lnas.stream(3, f"beta/{kind}")))


@pytest.mark.parametrize("partial", [1, 4])
def test_the_gradient_of_alpha_and_beta_is_autodiffs(make_space: MakeSpace, pairs: Pairs, partial: int) -> None:
    strategy = large(PcDarts(make_space(partial=partial), lnas.cross_entropy))
    twin = make_space(partial=partial, mixed="reference")
    (alpha, beta), (train, val) = leaves(strategy), pairs[0]
    loss = lnas.cross_entropy(lambda x: twin(x, by_hand(twin, alpha, beta)), val)
    expected = torch.autograd.grad(loss, [*alpha.values(), *beta.values()])
    value, slopes = strategy.alpha_gradient(train, val)
    assert torch.allclose(value, loss, rtol=1e-12)
    for slope, wanted in zip(slopes, expected, strict=True):
        assert wanted.abs().max() > 1e-3
        assert (slope - wanted).abs().max() < 1e-10 * wanted.abs().max()


def test_the_unrolled_gradient_of_alpha_and_beta_is_autodiffs(make_space: MakeSpace, pairs: Pairs) -> None:
    train, val = pairs[0]
    strategy, twin = large(PcDarts(make_space(), lnas.cross_entropy, unrolled="exact", lr=0.1)), make_space(mixed="reference")
    alpha, beta = leaves(strategy)
    theta = dict(twin.named_parameters())

    def loss(at: dict[str, Tensor], batch: Any) -> Tensor:
        return lnas.cross_entropy(lambda x: functional_call(twin, at, (x, by_hand(twin, alpha, beta))), batch)

    inner = torch.autograd.grad(loss(theta, train), list(theta.values()), create_graph=True)
    outer = loss({name: x - 0.1 * slope for (name, x), slope in zip(theta.items(), inner, strict=True)}, val)
    expected = torch.autograd.grad(outer, [*alpha.values(), *beta.values()])
    _, slopes = strategy.alpha_gradient(train, val)
    _, nearly = large(PcDarts(make_space(), lnas.cross_entropy, unrolled="finite", lr=0.1)).alpha_gradient(train, val)
    _, plain = large(PcDarts(make_space(), lnas.cross_entropy)).alpha_gradient(train, val)
    for slope, near, first, wanted in zip(slopes, nearly, plain, expected, strict=True):
        assert (slope - wanted).abs().max() < 1e-9 * wanted.abs().max()
        assert (near - wanted).abs().max() < 1e-4 * wanted.abs().max()
        assert (first - wanted).abs().max() > 1e-2 * wanted.abs().max()


def test_steps_are_those_of_a_loop_written_by_hand(make_space: MakeSpace, pairs: Pairs) -> None:
    """8 steps, of which 2 warm up: theta alone; then Adam on alpha and beta, and SGD on theta with a cosine."""
    strategy, space = PcDarts(make_space(), lnas.cross_entropy, 8, 7, warmup=0.25, alpha_lr=0.05), make_space()
    beginning = {kind: strategy.alphas()[kind].detach().clone() for kind in KINDS}, copy.deepcopy(strategy.beta)
    alpha, beta = leaves(strategy)
    learned = [*alpha.values(), *beta.values()]
    adam = torch.optim.Adam(learned, 0.05, betas=(0.5, 0.999), weight_decay=1e-3)
    sgd = torch.optim.SGD(space.parameters(), 0.025, momentum=0.9, weight_decay=3e-4)
    for t, (train, val) in enumerate(pairs):
        metrics = strategy.step(train, val)
        assert metrics.keys() == ({"loss"} if t < 2 else {"alpha_loss", "loss"})
        if t < 2:
            assert all(torch.equal(strategy.alphas()[kind], beginning[0][kind]) for kind in KINDS)
            assert all(torch.equal(strategy.beta[kind], beginning[1][kind]) for kind in KINDS)
            assert not strategy.alpha_optimizer.state
        else:
            buffers = {name: buffer.clone() for name, buffer in space.named_buffers()}
            loss = lnas.cross_entropy(lambda x: space(x, by_hand(space, alpha, beta)), val)
            for tensor, slope in zip(learned, torch.autograd.grad(loss, learned), strict=True):
                tensor.grad = slope
            adam.step()
            for name, buffer in space.named_buffers():
                buffer.copy_(buffers[name])
        for group in sgd.param_groups:
            group["lr"] = 0.001 + 0.024 * (1 + math.cos(math.pi * t / 8)) / 2
        sgd.zero_grad()
        gates = {kind: gate.detach() for kind, gate in by_hand(space, alpha, beta).items()}
        loss = lnas.cross_entropy(lambda x, gates=gates: space(x, gates), train)
        assert torch.allclose(metrics["loss"], loss.detach(), rtol=1e-10)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(space.parameters(), 5)
        sgd.step()
    for kind in KINDS:
        assert (strategy.alphas()[kind] - alpha[kind]).abs().max() < 1e-10 < (alpha[kind] - beginning[0][kind]).abs().max()
        assert (strategy.beta[kind] - beta[kind]).abs().max() < 1e-10 < (beta[kind] - beginning[1][kind]).abs().max()
    for mine, theirs in zip(strategy.space.parameters(), space.parameters(), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("warmup", "steps", "first"), [(0.3, 50, 15), (0.3, 0, 0), (0.99, 8, 7), (0.0, 8, 0), (0.29, 100, 29), (0.5, 1, 0)]
)
def test_the_first_update_of_alpha(make_space: MakeSpace, warmup: float, steps: int, first: int) -> None:
    assert PcDarts(make_space(), lnas.cross_entropy, steps, warmup=warmup).first == first


def test_the_state_is_all_that_steers_the_next_step(make_space: MakeSpace, pairs: Pairs) -> None:
    straight = PcDarts(make_space(), lnas.cross_entropy, 5, 1, warmup=0.4)
    for batch in pairs[:5]:
        state = copy.deepcopy(straight.state_dict())
        resumed = PcDarts(make_space(), lnas.cross_entropy, 5, 99, warmup=0.4)
        resumed.load_state_dict(state)
        mine, theirs = resumed.step(*batch), straight.step(*batch)
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
        assert same(everything(resumed), everything(straight))
    assert any(name.startswith("/alpha_optimizer/moments/beta/normal") for name in everything(straight))


def kill(strategy: PcDarts, kind: str, edges: list[int]) -> None:
    strategy.space.alive[kind][edges] = False
    lnas.Alpha(strategy).apply()


def test_a_dead_edge_has_no_share_and_its_beta_is_0(make_space: MakeSpace, pairs: Pairs) -> None:
    strategy = PcDarts(make_space(), lnas.cross_entropy, alpha_lr=0.1)
    for batch in pairs[:2]:
        strategy.step(*batch)
    old = copy.deepcopy(strategy.state_dict())
    kill(strategy, "normal", [0, 1, 3])  # all edges into node 2, and one into node 3
    expected = by_hand(strategy.space, strategy.alphas(), strategy.beta)
    assert torch.allclose(strategy.gates()["normal"], expected["normal"], rtol=1e-14)
    for _ in range(2):
        strategy.step(*pairs[2])
        shares = strategy.shares()["normal"].detach()
        assert not shares[[0, 1, 3]].any()
        assert [float(shares[2:5].sum()), float(shares[5:].sum())] == pytest.approx([1, 1])
        assert all(tensor.isfinite().all() for tensor in everything(strategy).values())
        moments = strategy.alpha_optimizer.state[strategy.beta["normal"]]
        for tensor in (strategy.beta["normal"], moments["exp_avg"], moments["exp_avg_sq"]):
            assert not tensor[[0, 1, 3]].any()
            assert tensor[[2, 4, 5, 6, 7, 8]].all()
        strategy.load_state_dict(old)
        lnas.Alpha(strategy).apply()
        assert strategy.beta["normal"].all()  # of before the mask, until the next step
    assert strategy.beta["reduce"].all()


def test_what_the_target_prunes_is_alpha(make_space: MakeSpace, pairs: Pairs) -> None:
    strategy = PcDarts(make_space(), lnas.cross_entropy)
    assert strategy.alphas().keys() == set(KINDS)
    assert all(strategy.alphas()[kind] is strategy.alpha[kind] for kind in KINDS)
    target = lnas.Alpha(strategy)
    lnas.prune(target, 0.75)
    target.apply()
    for batch in pairs[:2]:
        strategy.step(*batch)
        target.apply()
    assert all(int(alive.sum()) == 18 for alive in strategy.space.alive.values())
    assert all(not strategy.alpha[kind][~alive].any() for kind, alive in strategy.space.alive.items())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"warmup": 1.0}, r"warmup must be in \[0, 1\), not 1.0"),
        ({"warmup": math.nan}, r"warmup must be in \[0, 1\), not nan"),
        ({"unrolled": "yes"}, "unrolled must be no, exact or finite, not 'yes'"),
        ({"alpha_lr": -1.0}, "alpha_lr must be finite and at least 0"),
    ],
)
def test_options_out_of_range_are_refused(make_space: MakeSpace, options: dict[str, Any], says: str) -> None:
    with pytest.raises(lnas.ConfigError, match=says):
        PcDarts(make_space(), lnas.cross_entropy, **options)
