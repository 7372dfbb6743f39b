"""The yardstick computes what it is compared with; benchmarks print ratios, and how large those are is no test's business."""

import gc
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import lnas
from benchmarks import __main__ as program
from benchmarks import dead_paths, gradients, growth, guard, memory, search, sizes, startup, steps, variant2
from benchmarks.activations import saved_bytes
from benchmarks.gradients import largest_error
from benchmarks.launches import LAUNCH, launches
from benchmarks.reference import Network, Supernet
from benchmarks.reference_search import NetworkTraining, Search
from benchmarks.sizes import Size
from benchmarks.timing import interleaved, ratio

TINY = Size(2, 3, 3, 16)
EVERY_OPERATION = (
    *(lnas.Gene("sep_conv_3x3", 0, 2), lnas.Gene("skip_connect", 1, 2)),
    *(lnas.Gene("dil_conv_3x3", 0, 3), lnas.Gene("max_pool_3x3", 2, 3)),
    *(lnas.Gene("sep_conv_5x5", 1, 4), lnas.Gene("avg_pool_3x3", 0, 4)),
    *(lnas.Gene("dil_conv_5x5", 3, 5), lnas.Gene("skip_connect", 0, 5)),
)
GENOTYPE = lnas.Genotype(dict.fromkeys(("normal", "reduce"), EVERY_OPERATION), dict.fromkeys(("normal", "reduce"), (2, 3, 4, 5)))
RADIUS = 2 * torch.finfo(torch.float64).eps ** (1 / 3)


@pytest.fixture(autouse=True, scope="module")
def old_objects_are_no_garbage() -> Iterator[None]:
    """What other tests left is not searched before every step that is timed."""
    gc.freeze()
    yield
    gc.unfreeze()


def batches(count: int = 1) -> list[tuple[Tensor, Tensor]]:
    draws = torch.Generator().manual_seed(3)
    return [
        (
            torch.randn(TINY.batch, 3, 16, 16, generator=draws, dtype=torch.float64),
            torch.randint(10, (TINY.batch,), generator=draws),
        )
        for _ in range(count)
    ]


def same_theta(reference: nn.Module, ours: nn.Module) -> None:
    """Copy theta, which both hold in the same order."""
    with torch.no_grad():
        for mine, theirs in zip(ours.parameters(), reference.parameters(), strict=True):
            assert mine.shape == theirs.shape
            theirs.copy_(mine)


def searches(unrolled: str = "no", mixed: str = "fast") -> tuple[Search, lnas.Darts]:
    """The yardstick and our search, in float64, with the same theta and alpha."""
    torch.manual_seed(0)
    space = lnas.CellSpace(TINY.task, channels=TINY.channels, layers=TINY.layers, mixed=mixed).double()  # type: ignore[arg-type]
    darts = lnas.Darts(space, lnas.cross_entropy, unrolled=unrolled)  # type: ignore[arg-type]
    reference = Search(Supernet(TINY.task, TINY.channels, TINY.layers).double(), radius=RADIUS)
    same_theta(reference.network, space)
    with torch.no_grad():
        for kind, alpha in darts.alpha.items():
            alpha.copy_(torch.randn(alpha.shape, generator=torch.Generator().manual_seed(len(kind))))
            reference.alpha[kind].copy_(alpha)
    return reference, darts


def networks() -> tuple[Network, lnas.CellNetwork]:
    """The yardstick's evaluation network and our derived one, in float64, with the same theta."""
    torch.manual_seed(0)
    ours = lnas.CellNetwork(GENOTYPE, TINY.task, channels=4, layers=3).double()
    reference = Network(GENOTYPE, TINY.task, 4, 3).double()
    same_theta(reference, ours)
    return reference, ours


def outcome(logits: Tensor, y: Tensor, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    loss = cross_entropy(logits, y)
    slopes = torch.autograd.grad(loss, list(leaves.values()))
    assert all(slope.abs().max() > 1e-4 for slope in slopes)  # rounding alone would compare nothing
    return {"logits": logits.detach(), "loss": loss.detach(), **dict(zip(leaves, slopes, strict=True))}


def numbered(module: nn.Module) -> dict[str, Tensor]:
    return {str(index): parameter for index, parameter in enumerate(module.parameters())}


@pytest.mark.parametrize("mixed", ["fast", "reference"])
def test_the_search_network_of_the_yardstick_is_ours(mixed: str) -> None:
    reference, darts = searches(mixed=mixed)
    ((x, y),) = batches()
    x.requires_grad_()
    theirs = outcome(reference.network(x, reference.alpha), y, {"x": x, **reference.alpha, **numbered(reference.network)})
    ours = outcome(darts.predict(x), y, {"x": x, **darts.alpha, **numbered(darts.space)})
    assert largest_error(ours, theirs) < 1e-11


def test_steps_of_the_yardstick_are_ours() -> None:
    reference, darts = searches()
    for train, val in zip(batches(4)[::2], batches(4)[1::2], strict=True):
        reference.step(train, val)
        darts.step(train, val)
    ours = {**darts.alpha, **numbered(darts.space)}
    assert largest_error(ours, {**reference.alpha, **numbered(reference.network)}) < 1e-9


def test_the_unrolled_gradient_of_the_yardstick_is_ours() -> None:
    reference, darts = searches(unrolled="finite")
    train, val = batches(2)
    theta = {name: tensor.clone() for name, tensor in numbered(reference.network).items()}
    reference.unrolled_backward(train, val)
    _, slopes = darts.alpha_gradient(train, val)
    assert largest_error(numbered(reference.network), theta) < 1e-12  # it is put back but for rounding
    gradient = {kind: alpha.grad for kind, alpha in reference.alpha.items() if alpha.grad is not None}
    assert largest_error(dict(zip(darts.alpha, slopes, strict=True)), gradient) < 1e-8
    _, first_order = searches()[1].alpha_gradient(train, val)
    assert largest_error(dict(zip(darts.alpha, first_order, strict=True)), gradient) > 1e-2


def test_the_evaluation_network_of_the_yardstick_is_our_derived_network() -> None:
    reference, ours = networks()
    ((x, y),) = batches()
    x.requires_grad_()
    theirs = outcome(reference(x), y, {"x": x, **numbered(reference)})
    assert largest_error(outcome(ours(x), y, {"x": x, **numbered(ours)}), theirs) < 1e-11
    mine, their = lnas.WeightTraining(ours, lnas.cross_entropy), NetworkTraining(reference)
    for batch in batches(3):
        mine.step(batch)
        their.step(batch)
    assert largest_error(numbered(ours), numbered(reference)) < 1e-9


def test_no_operation_survives_more_often_than_another() -> None:
    darts = search.strategy(TINY)
    lnas.prune(lnas.Alpha(darts), 0.5, importance=lnas.probability)
    for alive in darts.space.alive.values():
        assert alive.sum(1).tolist() == [4] * 14
        assert alive.sum(0).tolist() == [7] * 8
    lnas.prune(lnas.Alpha(darts), 0.875, importance=lnas.probability)
    assert all(alive.sum(0).tolist() == [0] + [2] * 7 for alive in darts.space.alive.values())


class Hoard(torch.autograd.Function):
    """Keeps its input where no hook sees it."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        ctx.kept = x.detach().clone()  # type: ignore[attr-defined]
        return 2 * x

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, slope: Tensor) -> Tensor:
        return 2 * slope


def test_what_is_saved_for_the_backward_pass_counts_once() -> None:
    linear = nn.Linear(4, 8, bias=False)
    x = torch.randn(16, 4)
    assert saved_bytes(linear, lambda: linear(x).exp().sum()) == 16 * 8 * 4 + 16 * 4 * 4  # exp's output and x, not the weight
    assert saved_bytes(linear, lambda: (lambda y: y.exp() * y.t().exp().t())(linear(x)).sum()) == 2 * 16 * 8 * 4 + 16 * 4 * 4
    assert saved_bytes(linear, lambda: Hoard.apply(linear(x)).sum()) == 16 * 8 * 4 + 16 * 4 * 4


def test_an_error_is_relative_to_its_tensor() -> None:
    one, two = torch.tensor([1.0, 4.0]), torch.tensor([1.0, 5.0])
    assert largest_error({"a": two, "b": one}, {"a": one, "b": one}) == 0.25
    assert largest_error({"a": one * 0}, {"a": one * 0}) == 0
    assert largest_error({"a": one}, {"a": one * 0}) == float("inf")
    assert largest_error({"a": one}, {"a": one * torch.nan}) == float("inf")


def test_variants_are_interleaved_and_warmed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    calls: list[str] = []
    seconds = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3, warmup=1)
    assert "".join(calls) == "baabbaab"
    assert {name: len(spent) for name, spent in seconds.items()} == {"a": 3, "b": 3}
    assert ratio([2.0, 9.0, 1.0], [1.0, 3.0, 4.0]) == 2.0


def test_a_launch_is_known_by_its_name() -> None:
    names = ["cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernelEx", "cudaGraphLaunch", "cudaMemcpyAsync", "aten::mul"]
    assert [bool(LAUNCH.match(name)) for name in names] == [True] * 4 + [False] * 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="kernels are launched on a GPU")
def test_launches_are_counted() -> None:
    x = torch.ones(8, device="cuda")
    assert launches({"three": lambda: [x.mul_(2) for _ in range(3)]}) == {"launches_per_step": {"three": 3.0}}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every benchmark at its smallest: one round, no warm-up."""
    for name in sizes.QUICK:
        monkeypatch.setitem(sizes.QUICK, name, TINY)
    monkeypatch.setattr(gradients, "CASES", gradients.CASES[-1:])
    monkeypatch.setattr(growth, "points", lambda base: {"live paths": {0.5: (base, 0.5), 1.0: (base, 0.0)}})
    monkeypatch.setattr(memory, "VARIANTS", {"ours": memory.VARIANTS["ours"]})
    monkeypatch.setattr(variant2, "ROUNDS", 2)
    for module in (steps, dead_paths, growth, guard, startup):
        monkeypatch.setattr(module, "interleaved", lambda variants, **_: interleaved(variants, rounds=1, warmup=0))


@pytest.mark.usefixtures("tiny")
def test_the_last_line_of_the_json_is_one_object_of_ratios(tmp_path: Path) -> None:
    result = CliRunner().invoke(program.main, ["--quick", "--json", "--plot", str(tmp_path / "growth.svg")])
    assert result.exit_code == 0, result.output
    machine, *lines, ratios = map(json.loads, result.stdout.splitlines())
    assert machine["threads"] == torch.get_num_threads()
    assert [line["benchmark"] for line in lines] == list(program.BENCHMARKS)
    assert list(ratios) == [key for benchmark in program.BENCHMARKS.values() for key in benchmark.keys]
    assert all(value > 0 for value in ratios.values())
    assert ratios["float64_gradients"] < 1e-10
    assert ratios["activations_big_checkpointed"] < ratios["activations_big"] < 1
    figures = {line.pop("benchmark"): line for line in lines}
    assert figures["memory"]["peak_megabytes"]["ours"] > 50
    assert figures["startup"]["startup_seconds"].keys() == {
        *("more_than_libraries", "more_than_without_plugins", "help", "help_without_plugins", "libraries"),
    }
    assert figures["startup"]["plugins"].keys() == {"installed", "milliseconds"}
    assert figures["growth"]["growth with live paths, ours"].keys() == {"0.5", "1"}
    assert "live paths" in (tmp_path / "growth.svg").read_text()


@pytest.mark.usefixtures("tiny")
def test_a_benchmark_is_asked_for_by_its_name_or_by_a_key() -> None:
    result = CliRunner().invoke(program.main, ["float64_gradients", "startup", "--quick"])
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == [
        *("float64_gradients", "startup_plugins", "startup_seconds", "plugins"),
    ]


@pytest.mark.parametrize(("arguments", "message"), [(["dead_51"], "dead_51"), (["startup", "--plot", "x.svg"], "growth")])
def test_what_cannot_be_measured_is_refused(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(program.main, arguments)
    assert result.exit_code == 2
    assert message in result.stderr.splitlines()[-1]


def test_each_axis_of_growth_leaves_the_others_alone() -> None:
    base = Size(8, 5, 32)
    found = growth.points(base)
    assert all(len(places) == 4 for places in found.values())
    assert all((base, 0.0) in places.values() for places in found.values())
    assert [size.batch for size, _ in found["batch"].values()] == [8, 16, 32, 64]
    assert [(size, sparsity) for size, sparsity in found["live paths"].values()] == [(base, s) for s in (0.875, 0.5, 0.25, 0.0)]
