"""GDAS as a learner: what a step computes and updates, what it draws, and that its state is all there is to it."""

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from lnas_gdas import Gdas
from lnas_gdas.sampling import gumbel, largest
from torch import Tensor

import lnas


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


def watch(space: lnas.CellSpace) -> list[str]:
    """The names of the candidate operations that run, as they run."""
    ran: list[str] = []
    for name, part in space.named_modules():
        if name.count(".") == 5 and ".operations." in name:  # cells.0.edges.3.operations.skip_connect
            part.register_forward_hook(lambda *_, name=name: ran.append(name))
    return ran


@pytest.mark.parametrize("mixed", ["fast", "reference"])
def test_one_path_of_each_edge_is_computed(cells: Callable[..., lnas.CellSpace], batches: Any, mixed: str) -> None:
    space = cells(mixed=mixed, operations=("max_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_5x5"))
    ran = watch(space)
    gdas = Gdas(space, lnas.cross_entropy, 10, 1)
    for pair in batches(3):
        gdas.step(*pair)
        edges = [name.rsplit(".", 2)[0] for name in ran]
        assert len(edges) == 2 * 3 * 5, "two updates, three cells, five edges"
        assert all(edges.count(edge) == 2 for edge in set(edges))
        ran.clear()
    gdas.predict(batches(1)[0][0][0])
    assert len(ran) == 3 * 5


def test_dead_paths_are_never_drawn_and_an_edge_may_have_none(cells: Callable[..., lnas.CellSpace], batches: Any) -> None:
    space = cells(mixed="reference")
    gdas = Gdas(space, lnas.cross_entropy, 40, 1)
    target = lnas.Alpha(gdas)
    lnas.prune(target, 0.75)
    alive = {kind: bits.clone() for kind, bits in space.alive.items()}
    seen = {kind: torch.zeros_like(bits) for kind, bits in alive.items()}
    for _ in range(200):
        gates, paths = gdas.draw()
        for kind, open_ in paths.items():
            seen[kind] |= open_
            assert torch.equal(gates[kind] != 0, open_)
            assert open_.sum(1).tolist() == [1] * 5
    assert all(torch.equal(seen[kind], alive[kind]) for kind in alive), "each live path, and no other"
    ran = watch(space)
    space.alive["normal"][1] = False
    for pair in batches(6):
        metrics = gdas.step(*pair)
        target.apply()
        assert all(bool(value.isfinite()) for value in metrics.values())
    normal = next(i for i, kind in enumerate(space.kinds) if kind == "normal")
    assert ran
    assert not [name for name in ran if name.startswith(f"cells.{normal}.edges.1.")]
    assert all(bool(alpha.isfinite().all()) for alpha in gdas.alpha.values())
    assert gdas.alpha["normal"][1].tolist() == [0] * 8


def test_alpha_moves_along_the_gradient_by_hand(choice: Callable[..., lnas.ChoiceSpace]) -> None:
    """L = (c_s g_s - y)^2, so dL/dalpha_k = 2 (c_s - y) c_s · h_s (delta_sk - h_k) / temperature."""
    constants, target = (0.5, -2.0, 3.0), torch.tensor([1.5], dtype=torch.float64)
    seen = set()
    for seed in range(12):
        gdas = Gdas(
            choice(*constants), squared, 5, seed, temperature=4.0, alpha_optimizer="sgd", alpha_lr=0.5, alpha_weight_decay=0.0
        )
        before = gdas.alpha["choice"].detach().clone()
        noise = gumbel(before.shape, lnas.stream(seed, "gdas"))
        hot = int((before + noise).argmax())
        seen.add(hot)
        h = torch.softmax((before + noise)[0] / 4.0, 0)
        worth = 2 * (constants[hot] - float(target)) * constants[hot]
        by_hand = [float(worth * h[hot] * (float(k == hot) - float(h[k])) / 4.0) for k in range(3)]
        metrics = gdas.step(target, target)
        moved = (before - gdas.alpha["choice"].detach())[0] / 0.5
        assert moved.tolist() == pytest.approx(by_hand, rel=1e-10)
        assert float(metrics["alpha_loss"]) == pytest.approx((constants[hot] - float(target)) ** 2, rel=1e-14)
    assert seen == {0, 1, 2}


def test_theta_is_trained_on_a_sample_of_its_own_from_the_alpha_that_the_step_began_with(
    choice: Callable[..., lnas.ChoiceSpace],
) -> None:
    """theta_s <- theta_s - lr · 2 (c_s - y) c_s, and no other theta moves."""
    target = torch.tensor([0.25], dtype=torch.float64)
    differs = 0
    for seed in range(12):
        # alpha's update is huge: a sample from what it leaves would be another one
        gdas = Gdas(choice(1.0, 2.0, -1.0), squared, 0, seed, lr=0.1, alpha_lr=50.0, momentum=0.0, weight_decay=0.0, clip=0.0)
        alpha = gdas.alpha["choice"].detach().clone()
        generator = lnas.stream(seed, "gdas")
        first, second = (largest(alpha + gumbel(alpha.shape, generator), torch.ones(1, 3, dtype=torch.bool)) for _ in range(2))
        differs += not torch.equal(first, second)
        metrics = gdas.step(target, target)
        hot = int(second[0].nonzero())
        c = (1.0, 2.0, -1.0)[hot]
        assert float(metrics["loss"]) == pytest.approx((c - 0.25) ** 2, rel=1e-14)
        for k, (_, weight) in enumerate(gdas.space.named_parameters()):
            expected = 1 - 0.1 * 2 * (c - 0.25) * c if k == hot else 1.0
            assert float(weight.detach()) == pytest.approx(expected, rel=1e-14)
    assert differs > 3


def test_the_temperature_falls_linearly_from_the_first_step_to_the_last(choice: Callable[..., lnas.ChoiceSpace]) -> None:
    target = torch.tensor([1.0], dtype=torch.float64)
    gdas = Gdas(choice(1.0, 2.0), squared, 5, temperature=10.0, temperature_min=2.0)
    seen = []
    for _ in range(6):
        seen.append(gdas.temperature)
        gdas.step(target, target)
    assert seen == [10.0, 8.0, 6.0, 4.0, 2.0, 2.0]
    forever = Gdas(choice(1.0, 2.0), squared, temperature=3.0)
    forever.step(target, target)
    assert forever.temperature == 3.0
    assert Gdas(choice(1.0, 2.0), squared, 1).temperature == 10.0


def test_the_better_candidate_wins(choice: Callable[..., lnas.ChoiceSpace]) -> None:
    """Candidates give -1, 2 and 0.9; the target is 1."""
    target = torch.tensor([1.0], dtype=torch.float64)
    gdas = Gdas(choice(-1.0, 2.0, 0.9), squared, 150, temperature=2.0, temperature_min=0.5, alpha_lr=0.05, lr=0.0, lr_min=0.0)
    for _ in range(150):
        gdas.step(target, target)
    assert gdas.genotype().groups["choice"] == (lnas.Gene("x2", 0, 1),)
    gates = gdas.gates()["choice"][0].detach()
    assert float(gates[2]) > 0.6


def test_where_only_none_was_drawn_nothing_moves() -> None:
    """The network then is 0, and depends on no parameter."""
    line = torch.nn.Linear(1, 1, bias=False).double()
    gdas = Gdas(lnas.ChoiceSpace(lnas.MixedOp({"line": line, "none": torch.nn.Identity()})), squared, 30, 1, weight_decay=0.0)
    target = torch.tensor([1.0], dtype=torch.float64)
    empty = 0
    for _ in range(30):
        before = line.weight.detach().clone()
        if float(gdas.step(target, target)["loss"]) == 1:
            empty += 1
            assert torch.equal(line.weight.detach(), before)
    assert 5 < empty < 25


@pytest.mark.parametrize("options", [{}, {"alternate": 2}])
def test_the_state_is_all_that_steers_the_next_step(
    cells: Callable[..., lnas.CellSpace], batches: Any, options: dict[str, Any]
) -> None:
    straight = Gdas(cells(), lnas.cross_entropy, 4, 1, **options)
    for t, pair in enumerate(batches(4)):
        state = copy.deepcopy(straight.state_dict())
        resumed = Gdas(cells(seed=t + 5), lnas.cross_entropy, 4, 99, **options)
        resumed.load_state_dict(state)
        assert same(resumed.state_dict(), straight.state_dict())
        mine, theirs = resumed.step(*pair), straight.step(*pair)
        assert same(dict(mine), dict(theirs))
        assert same(resumed.state_dict(), straight.state_dict())


def test_a_rewind_under_a_newer_mask_goes_on(cells: Callable[..., lnas.CellSpace], batches: Any) -> None:
    schedule = lnas.Iterative(sparsity=0.75, rounds=2)
    pruning = lnas.Pruning(lnas.Alpha, schedule, lnas.probability, rewind=1)
    gdas = Gdas(cells(), lnas.cross_entropy, 6, 1)
    rounds = lnas.Rounds(gdas, lnas.Alpha(gdas), pruning, 2, 2)
    for pair in batches(6):
        rounds.step(*pair)
    assert rounds.done
    assert all(int(bits.sum()) == 2 * 5 for bits in gdas.space.alive.values())
    assert {name.split(".")[5] for name, _ in gdas.space.named_parameters() if ".operations." in name} <= {
        gene.operation for genes in gdas.genotype().groups.values() for gene in genes
    }


def test_samples_depend_on_the_seed_and_not_on_the_dtype_or_the_global_generator(cells: Callable[..., lnas.CellSpace]) -> None:
    def draws(space: lnas.CellSpace, seed: int) -> list[Tensor]:
        gdas = Gdas(space, lnas.cross_entropy, 0, seed)
        return [gdas.draw()[1]["normal"] for _ in range(5)]

    def equal(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
        return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))

    reference = draws(cells(), 3)
    with lnas.seeded(8, "other"):
        assert equal(draws(cells(seed=4), 3), reference)
    assert equal(draws(cells().float(), 3), reference)
    assert not equal(draws(cells(), 4), reference)


def test_gradients_go_through_the_average(cells: Callable[..., lnas.CellSpace], batches: Any) -> None:
    (pair,) = batches(1)
    gdas = Gdas(cells(), lnas.cross_entropy, 4, 1)
    asked: list[int] = []

    def nothing(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        asked.append(len(tensors))
        return tuple(torch.zeros_like(tensor) for tensor in tensors)

    gdas.average = nothing
    before = copy.deepcopy([*gdas.alpha.values(), *gdas.space.parameters()])
    gdas.alpha_optimizer.param_groups[0]["weight_decay"] = gdas.sgd.optimizer.param_groups[0]["weight_decay"] = 0.0
    gdas.step(*pair)
    assert asked[0] == 2, "two alphas"
    assert len(asked) == 2
    assert all(torch.equal(a, b) for a, b in zip(before, [*gdas.alpha.values(), *gdas.space.parameters()], strict=True))


def test_predicting_draws_nothing_and_runs_the_likeliest_paths(cells: Callable[..., lnas.CellSpace], batches: Any) -> None:
    gdas = Gdas(cells(), lnas.cross_entropy, 4, 1)
    (pictures, _), _ = batches(1)[0]
    state = gdas.generator.get_state()
    gdas.space.eval()
    output = gdas.predict(pictures)
    paths = {kind: torch.nn.functional.one_hot(alpha.argmax(1), 8).bool() for kind, alpha in gdas.alpha.items()}
    assert torch.equal(output, gdas.space(pictures, {kind: bits.double() for kind, bits in paths.items()}, paths))
    assert torch.equal(gdas.generator.get_state(), state)
    slopes = torch.autograd.grad(output.sum(), list(gdas.alpha.values()))
    assert all(bool((slope != 0).any()) for slope in slopes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.05}, "temperature must be finite and at least temperature_min, 0.1, not 0.05"),
        ({"temperature": float("nan")}, "temperature must be finite and at least temperature_min, 0.1, not nan"),
        ({"temperature": float("inf")}, "temperature must be finite"),
        ({"temperature_min": 0.0}, "temperature_min must be finite and above 0, not 0.0"),
        ({"alternate": 0}, "alternate must be at least 1, not 0"),
        ({"alpha_lr": -1.0}, "alpha_lr must be finite and at least 0, not -1.0"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), not 1.0"),
    ],
)
def test_what_is_out_of_range_is_refused(choice: Callable[..., lnas.ChoiceSpace], options: dict[str, Any], message: str) -> None:
    with pytest.raises(lnas.ConfigError, match=message):
        Gdas(choice(1.0, 2.0), squared, 5, **options)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_nothing_waits_for_the_device_but_the_copy_of_alpha(cells: Callable[..., lnas.CellSpace], batches: Any) -> None:
    on_cpu = Gdas(cells(), lnas.cross_entropy, 3, 1)
    expected = [on_cpu.draw()[1]["normal"] for _ in range(3)]
    gdas = Gdas(cells().cuda(), lnas.cross_entropy, 3, 1)
    assert all(torch.equal(gdas.draw()[1]["normal"], paths) for paths in expected)
    moved = [tuple((x.cuda(), y.cuda()) for x, y in pair) for pair in batches(3)]
    gdas.step(*moved[0])  # the first step may set up libraries
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch calls its own mode a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        for pair in moved[1:]:
            gdas.step(*pair)
    finally:
        torch.cuda.set_sync_debug_mode("default")
