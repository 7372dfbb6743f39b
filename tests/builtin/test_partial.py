"""Partial channel connections: the cell is PC-DARTS', fast equals readable, and what is dead does not run."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lnas.builtin.cells import CellSpace
from lnas.builtin.classification import cross_entropy
from lnas.builtin.darts import Darts
from lnas.builtin.mixed import shuffled
from lnas.builtin.mixed_cell import MixedCell
from lnas.builtin.network import CellNetwork, genotype_edges
from lnas.builtin.operations import CANDIDATES
from lnas.core.errors import ConfigError
from lnas.core.genotype import Genotype
from lnas.core.space import relax
from lnas.core.types import Task

EDGES = genotype_edges(3)
ALL = torch.ones(len(EDGES), len(CANDIDATES), dtype=torch.bool)
ONLY_NONE = ALL & torch.tensor([name == "none" for name in CANDIDATES])
TASK = Task((3, 8, 8), 4)


def cell(
    mixed: str = "fast", *, reduces: bool = False, partial: int = 4, fused: bool = True, checkpointing: bool = False
) -> MixedCell:
    torch.manual_seed(0)
    inputs = (nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 1))
    made = MixedCell(
        EDGES,
        CANDIDATES,
        8,
        inputs,
        reduces=reduces,
        mixed=mixed,  # type: ignore[arg-type]
        activation_checkpointing=checkpointing,
        partial=partial,
    )
    if fused:
        made.fused_from = 0
    return made.double()


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# ---- the formula -------------------------------------------------------------------------------------------------------------


def by_hand(made: MixedCell, states: Sequence[Tensor], alpha: Tensor, beta: Tensor) -> Tensor:
    """Xu et al. 2020, Eq. 2 and 3, number by number: f = Σ_o softmax(alpha)_o o(S * x) + (1 - S) * x, edges weighed by beta.

    S samples the first 1/K of the channels, of which each is put between those that it did not sample.
    """
    states = list(states)
    for node in range(2, 5):
        rows = [index for index, edge in enumerate(EDGES) if edge[1] == node]
        total: Any = 0
        for row, beta_hat in zip(rows, torch.exp(beta[rows]) / torch.exp(beta[rows]).sum(), strict=True):
            x = states[EDGES[row][0]]
            sampled = 8 // made.partial
            weights = torch.exp(alpha[row]) / torch.exp(alpha[row]).sum()
            part: Any = 0
            for weight, name in zip(weights, CANDIDATES, strict=True):
                if name != "none":
                    part = part + weight * made.edges[row].operations[name](x[:, :sampled])
            rest = x[:, sampled:]
            if part.shape[2] != rest.shape[2]:
                rest = torch.stack([rest[:, :, a::2, b::2] for a in (0, 1) for b in (0, 1)]).amax(0)
            beside = torch.cat([part, rest], 1)
            order = [group * sampled + channel for channel in range(sampled) for group in range(made.partial)]
            total = total + beta_hat * torch.stack([beside[:, channel] for channel in order], 1)
        states.append(total)
    return torch.cat(states[2:], 1)


@pytest.mark.parametrize("mixed", ["fast", "reference"])
@pytest.mark.parametrize(("reduces", "partial"), [(False, 2), (False, 4), (False, 8), (True, 2), (True, 4)])
def test_a_cell_is_that_of_the_paper_and_so_are_the_gradients_of_alpha_and_beta(
    mixed: str, *, reduces: bool, partial: int
) -> None:
    made, twin = (cell(mixed, reduces=reduces, partial=partial) for _ in range(2))
    before, last = drawn(3, 3, 6, 6, seed=1), drawn(3, 3, 6, 6, seed=2)
    alpha, beta = drawn(len(EDGES), len(CANDIDATES), seed=3).requires_grad_(), drawn(len(EDGES), seed=4).requires_grad_()
    shares = torch.cat([beta[[i for i, edge in enumerate(EDGES) if edge[1] == node]].softmax(0) for node in (2, 3, 4)])
    output = made(before, last, relax(alpha, ALL) * shares.unsqueeze(1), ALL.tolist())
    expected = by_hand(twin, [twin.inputs[0](before), twin.inputs[1](last)], alpha, beta)
    assert output.shape == (3, 24, 3 if reduces else 6, 3 if reduces else 6)
    assert (output - expected).abs().max() < 1e-12 * expected.abs().max()
    weights = drawn(*output.shape, seed=5)
    mine = torch.autograd.grad((output * weights).sum(), (alpha, beta))
    theirs = torch.autograd.grad((expected * weights).sum(), (alpha, beta))
    for got, slope in zip(mine, theirs, strict=True):
        assert slope.abs().max() > 0.01
        assert (got - slope).abs().max() < 1e-11 * slope.abs().max()


def test_the_shuffle_puts_every_mixed_channel_before_those_that_went_past() -> None:
    x = torch.arange(8.0).view(1, 8, 1, 1)  # 0 and 1 are mixed
    assert shuffled(x, 4).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]


def test_none_lets_the_other_channels_through() -> None:
    for mixed in ("fast", "reference"):
        x = drawn(2, 3, 6, 6, seed=1)
        made = cell(mixed)
        gates = torch.full(ALL.shape, 0.5, dtype=torch.float64)
        first = made(x, x, gates, ONLY_NONE.tolist())[:, :8].unflatten(1, (2, 4))
        assert not first[:, :, 0].any()
        others = 0.5 * (made.inputs[0](x) + made.inputs[1](x))[:, 2:]
        assert torch.allclose(first[:, :, 1:].transpose(1, 2).flatten(1, 2), others, rtol=1e-12)


def test_an_edge_without_an_open_path_gives_nothing() -> None:
    x = drawn(2, 3, 7, 7, seed=1)
    for mixed in ("fast", "reference"):
        output = cell(mixed, reduces=True)(x, x, torch.ones(ALL.shape, dtype=torch.float64), torch.zeros_like(ALL).tolist())
        assert output.shape == (2, 24, 4, 4)
        assert not output.any()


def test_the_supernet_of_the_authors() -> None:
    space = CellSpace(Task((3, 32, 32), 10), channels=16, layers=8, partial=4)
    assert sum(parameter.numel() for parameter in space.parameters()) == 299_578


# ---- fast is readable ---------------------------------------------------------------------------------------------------------


def answers(made: MixedCell, paths: Tensor, *, batch: int = 2, side: int = 7) -> tuple[Tensor, list[Tensor]]:
    """The output, and the gradients by inputs, gates and parameters, of a scalar that weighs all entries unequally."""
    before, last = drawn(batch, 3, side, side, seed=1).requires_grad_(), drawn(batch, 3, side, side, seed=2).requires_grad_()
    gates = drawn(*ALL.shape, seed=3).requires_grad_()
    output = made(before, last, gates, paths.tolist())
    weights = drawn(*output.shape, seed=4)
    scalar = (output * weights).sum() + (output**2 * weights).sum() + 0 * (before.sum() + gates.sum())
    leaves = [before, last, gates, *made.parameters()]
    return output.detach(), list(torch.autograd.grad(scalar, leaves, allow_unused=True, materialize_grads=True))


def assert_equal(ours: MixedCell, theirs: MixedCell, paths: Tensor, **sizes: int) -> None:
    output, slopes = answers(ours, paths, **sizes)
    expected, wanted = answers(theirs, paths, **sizes)
    assert (output - expected).abs().max() < 1e-12 * max(1.0, expected.abs().max().item())
    largest = max(slope.abs().max().item() for slope in wanted)
    for got, slope in zip(slopes, wanted, strict=True):
        assert (got - slope).abs().max() <= 1e-12 * max(slope.abs().max().item(), 1e-2 * largest)  # some are 0 but for rounding
    for (name, buffer), other in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        assert torch.allclose(buffer, other, rtol=1e-12, atol=1e-14), name


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("reduces", [False, True])
@pytest.mark.parametrize(("batch", "side"), [(2, 7), (1, 6)])
@pytest.mark.parametrize("fused", [True, False])
def test_fast_is_the_reference(*, reduces: bool, checkpointing: bool, batch: int, side: int, fused: bool) -> None:
    ours = cell(reduces=reduces, checkpointing=checkpointing, fused=fused)
    assert_equal(ours, cell("reference", reduces=reduces), ALL, batch=batch, side=side)


@pytest.mark.parametrize("seed", range(6))
def test_fast_is_the_reference_with_any_subset(seed: int) -> None:
    paths = torch.rand(ALL.shape, generator=torch.Generator().manual_seed(seed)) < (0.1, 0.3, 0.6)[seed % 3]
    reduces, fused = seed % 2 == 1, seed < 3
    assert_equal(cell(reduces=reduces, fused=fused), cell("reference", reduces=reduces), paths)


@pytest.mark.parametrize("unrolled", ["no", "exact", "finite"])
def test_a_strategy_takes_the_same_steps(unrolled: str) -> None:
    alphas = []
    for mixed in ("fast", "reference"):
        torch.manual_seed(0)
        space = CellSpace(TASK, channels=4, layers=3, nodes=2, mixed=mixed, partial=2).double()  # type: ignore[arg-type]
        strategy = Darts(space, cross_entropy, 10, alpha_lr=0.1, unrolled=unrolled)  # type: ignore[arg-type]
        for seed in range(2):
            x, y = drawn(4, 3, 8, 8, seed=seed), torch.tensor([0, 1, 2, 3])
            strategy.step((x, y), (x.flip(0), y.flip(0)))
        alphas.append(torch.cat([alpha.detach().flatten() for alpha in strategy.alpha.values()]))
    assert (alphas[0] - alphas[1]).abs().max() < (1e-7 if unrolled == "finite" else 1e-10)


def test_a_space_sums_the_gates_of_its_open_paths() -> None:
    outputs = []
    for mixed in ("fast", "reference"):
        torch.manual_seed(0)
        space = CellSpace(TASK, channels=4, layers=3, nodes=2, mixed=mixed, partial=4).double()  # type: ignore[arg-type]
        gates = {kind: drawn(*bits.shape, seed=len(kind)) for kind, bits in space.alive.items()}
        paths = {kind: gate > 0.3 for kind, gate in gates.items()}  # the other gates are not 0
        outputs.append(space(drawn(2, 3, 8, 8, seed=1), gates, paths))
        space.eval()
        outputs.append(space(drawn(2, 3, 8, 8, seed=1), gates, paths))
    assert torch.allclose(outputs[0], outputs[2], rtol=1e-11, atol=1e-12)
    assert torch.allclose(outputs[1], outputs[3], rtol=1e-11, atol=1e-12)
    assert not torch.allclose(outputs[0], outputs[1], rtol=0.1)


# ---- what is dead, and what is refused ---------------------------------------------------------------------------------------


class Kernels(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[str(func)] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("mixed", ["fast", "reference"])
def test_a_dead_path_runs_no_kernel_and_deleting_it_changes_nothing(mixed: str) -> None:
    made = cell(mixed, reduces=True)
    one = torch.zeros_like(ALL)
    one[2, CANDIDATES.index("skip_connect")] = True  # the first edge into node 3, of stride 2
    counts = []
    for paths in (ALL, one, one):
        x = drawn(2, 3, 8, 8, seed=1).requires_grad_()
        with Kernels() as kernels:
            made(x, x, torch.ones(ALL.shape, dtype=torch.float64), paths.tolist()).sum().backward()
        counts.append(kernels.counts)
        made.release(paths.tolist())
    pooled = "aten.max_pool2d_with_indices.default"
    operations = sum(source < 2 for source, _ in EDGES) + 3  # a candidate each: 6 of stride 2, 3 of stride 1
    assert counts[0][pooled] == {"fast": 2 + 2 + 2, "reference": operations + 6}[mixed]  # fast: by source, stride and channels
    assert counts[1][pooled] == 1  # what goes past that edge
    assert counts[1]["aten.convolution.default"] == 2 + 2
    assert counts[2] == counts[1]


def test_a_derived_network_knows_nothing_of_it() -> None:
    space = CellSpace(TASK, channels=4, layers=3, nodes=2, network_channels=4, network_layers=3, partial=4)
    genotype: Genotype = space.discretize({kind: torch.zeros(bits.shape) for kind, bits in space.alive.items()})
    network = space.derive(genotype)
    assert isinstance(network, CellNetwork)
    full = CellNetwork(genotype, TASK, channels=4, layers=3)
    assert [p.shape for p in network.parameters()] == [p.shape for p in full.parameters()]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"channels": 6, "partial": 4},
            "partial=4 does not divide channels=6; set channels to a multiple of 4, or partial to 1 or 2 or 3 or 6",
        ),
        ({"partial": 0}, "partial must be a whole number of at least 1, not 0"),
        ({"partial": True}, "partial must be a whole number of at least 1, not True"),
    ],
)
def test_a_share_that_is_none_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        CellSpace(TASK, **{"channels": 4, "layers": 3, "nodes": 2, **options})


@pytest.mark.parametrize("mixed", ["fast", "reference"])
def test_a_candidate_that_cannot_stand_beside_the_others_is_refused(mixed: str) -> None:
    made = cell(mixed)
    paths = torch.zeros_like(ALL)
    paths[:2, CANDIDATES.index("skip_connect")] = True
    for edge in range(2):
        made.edges[edge].operations["skip_connect"] = nn.AvgPool2d(2)
    with pytest.raises(ConfigError, match=r"give \(2, 2, 3, 3\); beside the other channels it must be \(2, 2, 7, 7\)"):
        answers(made, paths)
