"""The fast cell equals the sum of its mixed operations: outputs, every gradient, and running statistics."""

import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lnas.builtin.cells import CellSpace
from lnas.builtin.classification import cross_entropy
from lnas.builtin.darts import Darts
from lnas.builtin.fast import node as node_module
from lnas.builtin.mixed_cell import MixedCell
from lnas.builtin.network import genotype_edges
from lnas.builtin.operations import CANDIDATES, OPERATIONS
from lnas.core.errors import ConfigError
from lnas.core.types import Task

EDGES = genotype_edges(3)
TASK = Task((3, 8, 8), 4)
TERMS = {"sep_conv_3x3": 2, "sep_conv_5x5": 2, "dil_conv_3x3": 1, "dil_conv_5x5": 1}
"""Of the fused mix, by operation."""


def cell(
    mixed: str,
    *,
    reduces: bool = False,
    checkpointing: bool = False,
    operations: Sequence[str] = CANDIDATES,
    fused: bool = True,
) -> MixedCell:
    torch.manual_seed(0)
    made = MixedCell(
        EDGES,
        operations,
        4,
        (nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)),
        reduces=reduces,
        mixed=mixed,  # type: ignore[arg-type]
        activation_checkpointing=checkpointing,
    )
    if fused:
        made.fused_from = 0
    return made.double()


def answers(made: MixedCell, paths: Tensor, *, batch: int = 2, side: int = 7) -> tuple[Tensor, list[Tensor]]:
    """The output, and the gradients by inputs, gates and parameters, of a scalar that weighs all entries unequally."""
    generator = torch.Generator().manual_seed(1)

    def leaf(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()

    before, last, gates = leaf(batch, 3, side, side), leaf(batch, 3, side, side), leaf(len(EDGES), len(made.edges[0].names))
    output = made(before, last, gates, paths.tolist())
    weights = torch.randn(output.shape, dtype=torch.float64, generator=generator)
    scalar = (output * weights).sum() + (output**2 * weights).sum() + 0 * (before.sum() + gates.sum())
    leaves = [before, last, gates, *made.parameters()]
    return output.detach(), list(torch.autograd.grad(scalar, leaves, allow_unused=True, materialize_grads=True))


def assert_equal(ours: MixedCell, theirs: MixedCell, paths: Tensor, **sizes: int) -> None:
    output, slopes = answers(ours, paths, **sizes)
    expected, wanted = answers(theirs, paths, **sizes)
    scale = max(1.0, expected.abs().max().item())
    assert (output - expected).abs().max() < 1e-12 * scale
    largest = max(slope.abs().max().item() for slope in wanted)
    for got, slope in zip(slopes, wanted, strict=True):
        assert (got - slope).abs().max() <= 1e-12 * max(slope.abs().max().item(), 1e-2 * largest)  # some are 0 but for rounding
    for (name, buffer), other in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        assert torch.allclose(buffer, other, rtol=1e-12, atol=1e-14), name


ALL = torch.ones(len(EDGES), len(CANDIDATES), dtype=torch.bool)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("reduces", [False, True])
@pytest.mark.parametrize(("batch", "side"), [(2, 7), (1, 6)])
@pytest.mark.parametrize("fused", [True, False])
def test_with_all_paths_open(*, reduces: bool, checkpointing: bool, batch: int, side: int, fused: bool) -> None:
    ours = cell("fast", reduces=reduces, checkpointing=checkpointing, fused=fused)
    assert_equal(ours, cell("reference", reduces=reduces), ALL, batch=batch, side=side)


@pytest.mark.parametrize("operation", range(len(CANDIDATES)))
@pytest.mark.parametrize("reduces", [False, True])
def test_with_one_operation(operation: int, *, reduces: bool) -> None:
    paths = torch.zeros_like(ALL)
    paths[:, operation] = True
    assert_equal(cell("fast", reduces=reduces), cell("reference", reduces=reduces), paths)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("fused", [True, False])
def test_with_any_subset(seed: int, *, fused: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    paths = torch.rand(ALL.shape, generator=generator) < (0.1, 0.3, 0.6)[seed % 3]
    reduces = seed % 2 == 1
    assert_equal(cell("fast", reduces=reduces, fused=fused), cell("reference", reduces=reduces), paths)


@pytest.mark.parametrize("reduces", [False, True])
def test_nodes_with_many_numbers_are_fused(monkeypatch: pytest.MonkeyPatch, *, reduces: bool) -> None:
    made, paths = cell("fast", reduces=reduces), torch.zeros_like(ALL)
    for edge, (_, node) in enumerate(EDGES):
        paths[edge, CANDIDATES.index("sep_conv_3x3" if node == 3 else "dil_conv_3x3")] = True
    side = 8 if reduces else 4
    terms = {2: 2, 3: 2 * 3, 4: 4}  # of each node: two stages an edge, or one
    calls: list[int] = []
    real = node_module.mix
    monkeypatch.setattr(node_module, "mix", lambda terms, *rest, **more: calls.append(len(terms)) or real(terms, *rest, **more))
    for fewest in range(1, 8):
        made.fused_from = fewest * 2 * 4 * 4 * 4
        calls.clear()
        answers(made, paths, side=side)
        halves = 3 if terms[3] >= fewest else 0
        assert sum(calls) == sum(count for count in terms.values() if count >= fewest)
        assert calls.count(1) == halves


def test_with_no_path_at_all_it_is_zero() -> None:
    output, slopes = answers(cell("fast", reduces=True), torch.zeros_like(ALL))
    assert output.shape == (2, 12, 4, 4)
    assert not output.any()
    assert not any(slope.any() for slope in slopes)


def test_with_every_operation_of_the_table() -> None:
    names = [name for name in OPERATIONS if name != "none"]
    paths = torch.ones(len(EDGES), len(names), dtype=torch.bool)
    assert_equal(cell("fast", operations=names), cell("reference", operations=names), paths)


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def test_an_operation_of_a_stranger_runs_as_it_is() -> None:
    ours, theirs = cell("fast"), cell("reference")
    for made in (ours, theirs):
        made.edges[0].operations["sep_conv_3x3"] = Doubled()
        made.edges[2].operations["dil_conv_3x3"][3] = nn.BatchNorm2d(4, affine=True).double()
        made.edges[3].operations["max_pool_3x3"] = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.GroupNorm(2, 4).double())
        made.edges[4].operations["sep_conv_5x5"][1][1] = nn.Conv2d(4, 4, 3, padding=1).double()
        torch.manual_seed(3)
        for parameter in made.parameters():
            nn.init.normal_(parameter, std=0.3)
    assert_equal(ours, theirs, ALL)


def test_an_operation_with_another_shape_is_refused() -> None:
    made = cell("fast")
    made.edges[1].operations["skip_connect"] = nn.Conv2d(4, 1, 1).double()
    with pytest.raises(ConfigError, match=r"\(2, 1, 7, 7\).*\(2, 4, 7, 7\)"):
        answers(made, ALL)


def test_hooks_are_called() -> None:
    made = cell("fast")
    calls: list[str] = []
    for name in ("0.sep_conv_3x3.1.2", "1.dil_conv_5x5", "2.max_pool_3x3.0", "3.skip_connect"):
        edge, operation, *place = name.split(".", 2)
        module = made.edges[int(edge)].operations[operation].get_submodule(".".join(place))
        module.register_forward_hook(lambda *_, name=name: calls.append(name))
    assert_equal(made, cell("reference"), ALL)
    assert sorted(calls) == ["0.sep_conv_3x3.1.2", "1.dil_conv_5x5", "2.max_pool_3x3.0", "3.skip_connect"]
    made.edges[4].register_forward_hook(lambda *_: calls.append("edge"))
    answers(made, ALL)
    assert calls.count("edge") == 1


def test_evaluation_mode_uses_the_running_statistics() -> None:
    ours, theirs = cell("fast"), cell("reference")
    for made in (ours, theirs):
        answers(made, ALL)
        made.eval()
    before = [buffer.clone() for buffer in ours.buffers()]
    assert_equal(ours, theirs, ALL)
    for buffer, was in zip(ours.buffers(), before, strict=True):
        assert torch.equal(buffer, was)


def test_norms_without_statistics_and_with_another_momentum() -> None:
    ours, theirs = cell("fast"), cell("reference")
    for made in (ours, theirs):
        made.edges[0].operations["dil_conv_3x3"][3] = nn.BatchNorm2d(4, affine=False, track_running_stats=False).double()
        made.edges[1].operations["dil_conv_3x3"][3].momentum = 0.5
        made.edges[2].operations["dil_conv_3x3"][3].momentum = None
        made.edges[3].operations["dil_conv_3x3"][3].eps = 0.1
        answers(made, ALL)
    assert_equal(ours, theirs, ALL)


class Kernels(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[str(func)] += 1
        return func(*args, **(kwargs or {}))


def test_a_dead_path_runs_no_kernel_and_deleting_it_changes_nothing() -> None:
    made = cell("fast")
    counts = []
    half = torch.rand(ALL.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    for paths in (ALL, half, half):
        with Kernels() as kernels:
            answers(made, paths)
        counts.append(kernels.counts)
        made.release(half.tolist())
    for paths, count in zip((ALL, half), counts, strict=False):
        terms = sum(times * int(paths[:, CANDIDATES.index(name)].sum()) for name, times in TERMS.items())
        pooled = {source for (source, _), row in zip(EDGES, paths, strict=True) if row[CANDIDATES.index("avg_pool_3x3")]}
        # a term is convolved for its mean and its value, and in the backward pass for its value and its input
        assert count["aten.convolution.default"] == 2 + 4 * terms + 2 * len(pooled)
    assert counts[2] == counts[1]
    assert sum(counts[1].values()) < 0.7 * sum(counts[0].values())


@contextmanager
def bytes_kept() -> Iterator[dict[int, int]]:
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield kept


def test_it_keeps_a_fifth_of_what_the_reference_keeps() -> None:
    sizes, held = {}, []
    for mixed in ("reference", "fast"):
        with bytes_kept() as kept:
            x = torch.randn(8, 3, 16, 16, dtype=torch.float64, requires_grad=True)
            gates = torch.ones(ALL.shape, dtype=torch.float64, requires_grad=True)
            held.append(cell(mixed)(x, x, gates, ALL.tolist()))  # alive, so that no address comes twice
        sizes[mixed] = sum(kept.values())
    assert sizes["fast"] < 0.25 * sizes["reference"]


def test_checkpointing_keeps_none_of_the_tensors_in_between() -> None:
    alive: list[weakref.ref[Tensor]] = []

    class Born(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            if isinstance(made, Tensor) and made.numel() >= 8 * 4 * 16 * 16:
                alive.append(weakref.ref(made))
            return made

    left = []
    for checkpointing in (False, True):
        made = cell("fast", checkpointing=checkpointing)
        x = torch.randn(8, 3, 16, 16, dtype=torch.float64, requires_grad=True)
        gates = torch.ones(ALL.shape, dtype=torch.float64, requires_grad=True)
        alive.clear()
        with Born():
            output = made(x, x, gates, ALL.tolist())
        left.append(sum(reference() is not None for reference in alive))
        output.sum().backward()
    assert left[0] > 10
    assert left[1] <= 1  # the output


@pytest.mark.parametrize("unrolled", ["no", "exact", "finite"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_strategy_takes_the_same_steps(unrolled: str, *, checkpointing: bool) -> None:
    alphas = []
    for mixed, twice in (("fast", checkpointing), ("reference", False)):
        torch.manual_seed(0)
        space = CellSpace(TASK, channels=2, layers=3, nodes=2, mixed=mixed, activation_checkpointing=twice).double()
        for made in space.cells:
            made.fused_from = 0
        strategy = Darts(space, cross_entropy, 10, alpha_lr=0.1, unrolled=unrolled)
        generator = torch.Generator().manual_seed(2)
        for _ in range(2):
            x = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=generator)
            y = torch.tensor([0, 1, 2, 3])
            strategy.step((x, y), (x.flip(0), y.flip(0)))
        alphas.append(torch.cat([alpha.detach().flatten() for alpha in strategy.alpha.values()]))
    assert (alphas[0] - alphas[1]).abs().max() < (1e-7 if unrolled == "finite" else 1e-10)


def test_the_update_of_alpha_computes_no_gradient_of_a_weight() -> None:
    counts = []
    for frozen in (False, True):
        torch.manual_seed(0)
        space = CellSpace(TASK, channels=2, layers=3, nodes=2)
        for made in space.cells:
            made.fused_from = 0
        strategy = Darts(space, cross_entropy)
        batch = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
        with Kernels() as kernels:
            if frozen:
                strategy.alpha_gradient(batch, batch)
            else:
                torch.autograd.grad(strategy.loss(strategy.predict, batch), list(strategy.alpha.values()))
        counts.append(kernels.counts["aten.convolution_backward.default"])
    assert counts[1] < 0.3 * counts[0]  # of the input only, where the kernel of the input is torch's own


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_half_precision_modules_and_double_precision_under_autocast(dtype: torch.dtype) -> None:
    outputs = []
    for mixed in ("fast", "reference"):
        made = cell(mixed).to(dtype)
        x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.float64):
            outputs.append(made(x, x, torch.full(ALL.shape, 0.1, dtype=dtype), ALL.tolist()))
    assert outputs[0].dtype == outputs[1].dtype == dtype
    assert (outputs[0] - outputs[1]).abs().max() < (1e-12 if dtype == torch.float64 else 0.1) * outputs[1].abs().max()


def test_an_empty_batch() -> None:
    x = torch.zeros(0, 3, 8, 8, dtype=torch.float64)
    assert cell("fast")(x, x, torch.ones(ALL.shape, dtype=torch.float64), ALL.tolist()).shape == (0, 12, 8, 8)


def test_another_way_of_computing_is_refused() -> None:
    with pytest.raises(ConfigError, match="mixed must be fast or reference, not 'fsat'"):
        cell("fsat")


def test_hooks_that_change_what_a_cell_is_given_and_a_forward_of_its_own() -> None:
    results = []
    for mixed in ("fast", "reference"):
        torch.manual_seed(0)
        space = CellSpace(TASK, channels=2, layers=3, nodes=2, mixed=mixed).double()
        shift = torch.linspace(-2, 2, 8, dtype=torch.float64)
        space.cells[1].register_forward_pre_hook(lambda _, given, shift=shift: (given[0], given[1] + shift, *given[2:]))
        space.cells[0].edges[0].operations["sep_conv_3x3"].forward = lambda x: 3 * x
        x = torch.randn(3, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        gates = {kind: torch.full(bits.shape, 0.1, dtype=torch.float64) for kind, bits in space.alive.items()}
        results.append(space(x, gates))
    assert torch.allclose(results[0], results[1], rtol=1e-11, atol=1e-12)


def test_shapes_without_data() -> None:
    x = torch.zeros(2, 3, 8, 8, dtype=torch.float64, device="meta")
    made = cell("fast").to("meta")
    assert made(x, x, torch.ones(ALL.shape, dtype=torch.float64, device="meta"), ALL.tolist()).shape == (2, 12, 8, 8)
