"""Oracles 4 and 5: the supernet under one-hot gates is the derived network, and a dead path does not run, learn or exist."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lnas.builtin.cells import CellSpace
from lnas.builtin.darts import Darts
from lnas.builtin.network import CellNetwork
from lnas.builtin.operations import CANDIDATES
from lnas.builtin.targets import Alpha
from lnas.core.errors import ConfigError, GenotypeError
from lnas.core.genotype import Gene, Genotype
from lnas.core.mask import prune
from lnas.core.space import relax
from lnas.core.types import Task

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
KINDS = ("normal", "reduce")


def supernet(dtype: torch.dtype, **options: Any) -> CellSpace:
    """3 nodes, every parameter and running statistic at a random value."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"channels": 4, "layers": 3, "nodes": 3, "network_channels": 4, "network_layers": 3, **options}
    space = CellSpace(Task((3, 6, 6), 5), **sizes)
    for buffer in space.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    return space.to(dtype)


def test_a_search_is_the_same_whatever_shapes_the_derived_network_alone(make_space: Any, make_batches: Any, loss: Any) -> None:
    others = {"network_channels": 5, "network_layers": 4, "auxiliary": True, "drop_path": 0.3}
    assert set(others) == CellSpace.derived_only
    found = []
    for options in ({}, others):
        space = make_space(**options)
        strategy = Darts(space, loss, 2)
        for train, val in make_batches(2):
            strategy.step(train, val)
        prune(Alpha(strategy), 0.5)
        network = space.derive(strategy.genotype())
        found.append((strategy.genotype(), space.state_dict(), strategy.alphas(), sum(p.numel() for p in network.parameters())))
    (genotype, theta, alpha, size), (other_genotype, other_theta, other_alpha, other_size) = found
    assert genotype == other_genotype
    assert theta.keys() == other_theta.keys() and all(torch.equal(value, other_theta[name]) for name, value in theta.items())
    assert all(torch.equal(value, other_alpha[kind]) for kind, value in alpha.items())
    assert size < other_size


def one_hot(space: CellSpace, genotype: Genotype, dtype: torch.dtype) -> dict[str, Tensor]:
    gates = {kind: torch.zeros(bits.shape, dtype=dtype) for kind, bits in space.alive.items()}
    for kind, genes in genotype.groups.items():
        for gene in genes:
            edge = space.edges[kind].index((gene.source, gene.node))
            gates[kind][edge, space.operations[kind].index(gene.operation)] = 1.0
    return gates


def derived(space: CellSpace, genotype: Genotype, dtype: torch.dtype) -> CellNetwork:
    """The derived network with the supernet's weights and statistics; only it has a scale and a shift in its norms."""
    network = space.derive(genotype).to(dtype)
    weights = space.state_dict()
    values = {}
    for name, own in network.state_dict().items():
        source = name
        if name.startswith("cells.") and ".operations." in name:
            _, cell, _, index, rest = name.split(".", 4)
            gene = network.cells[int(cell)].genes[int(index)]  # type: ignore[index, union-attr]
            edge = space.edges["normal"].index((gene.source, gene.node))
            source = f"cells.{cell}.edges.{edge}.operations.{gene.operation}.{rest}"
        if source not in weights:
            assert torch.equal(own, torch.full_like(own, 1.0 if name.endswith("weight") else 0.0)), name
        values[name] = weights.get(source, own)
    network.load_state_dict(values)
    assert sum(value is not own for value, own in zip(values.values(), network.state_dict().values(), strict=True)) > 40
    return network


def pictures(dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(3, 3, 6, 6, generator=torch.Generator().manual_seed(seed)).to(dtype)


def close(mine: Tensor, theirs: Tensor) -> bool:
    assert mine.dtype == theirs.dtype
    assert theirs.abs().max() > 0.05
    return torch.allclose(mine, theirs, rtol=0, atol=TOLERANCE[mine.dtype])


def random_genotype(space: CellSpace, seed: int) -> Genotype:
    generator = torch.Generator().manual_seed(seed)
    return space.discretize({kind: torch.randn(bits.shape, generator=generator) for kind, bits in space.alive.items()}, "argmax")


# Oracle 4 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("seed", range(10))
def test_the_supernet_under_one_hot_gates_is_the_derived_network(dtype: torch.dtype, seed: int) -> None:
    space = supernet(dtype)
    genotype = random_genotype(space, seed)
    network = derived(space, genotype, dtype)
    gates, paths = one_hot(space, genotype, dtype), space.paths(genotype)
    assert all(torch.equal(gates[kind] == 1, paths[kind]) for kind in KINDS)
    x, other = pictures(dtype), pictures(dtype, 1)
    assert space.training
    assert network.training
    first = network(x)
    assert close(space(x, gates, paths), first)
    space.eval(), network.eval()
    evaluated = network(x)
    assert not close(first, evaluated)  # with the statistics that the training pass left behind
    assert close(space(x, gates, paths), evaluated)
    assert close(space(other, gates, paths), network(other))
    space.train(), network.train()
    for kind, bits in space.alive.items():  # and once more where all other paths are dead and deleted
        bits &= paths[kind]
    space.release()
    alone = {kind: relax(torch.randn(bits.shape, dtype=dtype), bits) for kind, bits in space.alive.items()}
    assert all(torch.equal(alone[kind], gates[kind]) for kind in KINDS)
    assert close(space(other, alone), network(other))
    loss, theirs = space(x, alone).square().sum(), network(x).square().sum()
    loss.backward(), theirs.backward()
    for part in ("stem.0.weight", "cells.1.inputs.0.1.weight", "cells.2.inputs.0.even.weight", "classifier.weight"):
        mine, right = space.get_parameter(part).grad, network.get_parameter(part).grad
        assert mine is not None
        assert right is not None
        assert torch.allclose(mine, right, rtol=0, atol=10 * TOLERANCE[dtype] * float(right.abs().max())), part


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("policy", ["survivors", "gated"])
def test_the_supernet_of_the_survivors_is_the_derived_network(dtype: torch.dtype, policy: str) -> None:
    space = supernet(dtype, policy=policy)
    generator = torch.Generator().manual_seed(7)
    alpha = {kind: torch.randn(bits.shape, generator=generator).to(dtype) for kind, bits in space.alive.items()}
    for bits in space.alive.values():
        bits &= torch.rand(bits.shape, generator=generator) < 0.3
        bits[[0, 2, 5], 4] = True
    space.release()
    genotype = space.discretize(alpha)
    assert max(Counter((g.source, g.node) for g in genotype.groups["normal"]).values()) > 1
    network = derived(space, genotype, dtype)
    gates = {kind: relax(alpha[kind], bits) if policy == "gated" else bits.to(dtype) for kind, bits in space.alive.items()}
    assert close(space(pictures(dtype), gates), network(pictures(dtype)))
    space.eval(), network.eval()
    assert close(space(pictures(dtype), gates), network(pictures(dtype)))


# Oracle 5 -------------------------------------------------------------------------------------------------------------


class Kernels(TorchDispatchMode):
    """Counts what reaches ATen."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[str(func)] += 1
        return func(*args, **(kwargs or {}))


def candidates(space: CellSpace) -> dict[tuple[int, int, str], nn.Module]:
    return {
        (c, e, name): module
        for c, cell in enumerate(space.cells)
        for e, edge in enumerate(cell.edges)  # type: ignore[arg-type, union-attr]
        for name, module in edge.operations.items()
    }


def convolutions(module: nn.Module) -> int:
    return sum(isinstance(part, nn.Conv2d) for part in module.modules())


def halved(make_space: Any, loss: Any, batches: list[Any]) -> tuple[Darts, dict[tuple[int, int, str], nn.Module]]:
    """A search of a few steps whose alpha then lost half of its paths, and all the candidates that it had."""
    darts = Darts(make_space(), loss)
    for batch in batches:
        darts.step(*batch)
    before = candidates(darts.space)  # type: ignore[arg-type]
    prune(Alpha(darts), 0.5, importance=lambda tensors, masks, loss: tensors)
    return darts, before


def test_a_dead_path_runs_no_kernel(make_space: Any, make_batches: Any, loss: Any) -> None:
    plain = make_space()
    for cell in plain.cells:
        cell.mixed = "reference"  # kernels are counted one by one; for the fast cell see test_mixed_cell.py
    called: Counter[tuple[int, int, str]] = Counter()
    for key, module in candidates(plain).items():
        module.register_forward_hook(lambda *_, key=key: called.update([key]))
    x = make_batches(1)[0][0][0]
    gates = {kind: relax(torch.zeros(bits.shape), bits) for kind, bits in plain.alive.items()}
    with Kernels() as all_paths:
        plain(x, gates).sum().backward()
    assert called == Counter(dict.fromkeys(candidates(plain), 1))

    called.clear()
    generator = torch.Generator().manual_seed(2)
    for bits in plain.alive.values():  # dead, and not even deleted yet
        bits &= torch.rand(bits.shape, generator=generator) < 0.5
    gates = {kind: relax(torch.zeros(bits.shape), bits) for kind, bits in plain.alive.items()}
    with Kernels() as half:
        plain(x, gates).sum().backward()
    living = {
        key: module
        for key, module in candidates(plain).items()
        if plain.alive[plain.kinds[key[0]]][key[1], CANDIDATES.index(key[2])]
    }
    assert 0 < len(living) < 70
    assert called == Counter(dict.fromkeys(living, 1))
    outside = convolutions(plain.stem) + sum(convolutions(cell.inputs) for cell in plain.cells)  # type: ignore[arg-type]
    everything = outside + sum(map(convolutions, candidates(plain).values()))
    assert all_paths.counts["aten.convolution.default"] == everything
    assert half.counts["aten.convolution.default"] == outside + sum(map(convolutions, living.values()))
    norms = sum(isinstance(part, nn.BatchNorm2d) for module in living.values() for part in module.modules())
    assert half.counts["aten.native_batch_norm.default"] + half.counts["aten._native_batch_norm_legit.default"] == (
        norms
        + sum(
            isinstance(part, nn.BatchNorm2d) for part in (plain.stem, *(c.inputs for c in plain.cells)) for part in part.modules()
        )
    )
    assert sum(half.counts.values()) < 0.7 * sum(all_paths.counts.values())

    called.clear()
    plain.release()
    with Kernels() as deleted:
        plain(x, gates).sum().backward()
    assert called == Counter(dict.fromkeys(living, 1))
    assert deleted.counts == half.counts


def test_a_closed_path_that_is_alive_does_not_run_and_an_open_one_with_gate_zero_does(make_space: Any, make_batches: Any) -> None:
    space = make_space()
    called: Counter[tuple[int, int, str]] = Counter()
    for key, module in candidates(space).items():
        module.register_forward_hook(lambda *_, key=key: called.update([key]))
    paths = {kind: torch.zeros_like(bits) for kind, bits in space.alive.items()}
    paths["normal"][1, 4] = True
    gates = {kind: torch.zeros(bits.shape) for kind, bits in space.alive.items()}
    space(make_batches(1)[0][0][0], gates, paths)
    assert called == Counter({(0, 1, "sep_conv_3x3"): 1})


def test_a_dead_path_has_no_gradient_no_parameters_and_no_state(make_space: Any, make_batches: Any, loss: Any) -> None:
    batches = make_batches(4)
    darts, before = halved(make_space, loss, batches[:2])
    after = candidates(darts.space)  # type: ignore[arg-type]
    dead = [module for key, module in before.items() if key not in after]
    assert len(before) == 105
    assert sum(int(bits.sum()) for bits in darts.space.alive.values()) == 40
    gone = [parameter for module in dead for parameter in module.parameters()]
    assert len(gone) > 50
    values = [parameter.detach().clone() for parameter in gone]
    everything = list(darts.space.parameters())
    grouped = darts.sgd.optimizer.param_groups[0]["params"]
    assert [id(parameter) for parameter in grouped] == [id(parameter) for parameter in everything]
    assert darts.sgd.optimizer.param_groups[0]["param_names"] == [name for name, _ in darts.space.named_parameters()]
    assert {id(p) for p in darts.sgd.optimizer.state} <= {id(p) for p in everything}
    assert not {id(p) for p in gone} & {id(p) for p in everything}
    for batch in batches[2:]:
        loss(darts.predict, batch[0]).backward()
        assert all(parameter.grad is None for parameter in gone)
        darts.space.zero_grad()
        darts.step(*batch)
    assert all(parameter.grad is None for parameter in gone)
    assert all(parameter not in darts.sgd.optimizer.state for parameter in gone)
    assert all(torch.equal(parameter, value) for parameter, value in zip(gone, values, strict=True))


def test_a_fully_dead_edge_gives_zero_and_finite_gradients(make_space: Any, make_batches: Any, loss: Any) -> None:
    with_edge, without = make_space(), make_space()
    for bits in with_edge.alive.values():
        bits[3] = False
    alpha = {kind: torch.randn(bits.shape, requires_grad=True) for kind, bits in with_edge.alive.items()}
    gates = {kind: relax(alpha[kind], bits) for kind, bits in with_edge.alive.items()}
    batch = make_batches(1)[0][0]
    value = loss(lambda x: with_edge(x, gates), batch)
    zeroed = {kind: gate.detach() * torch.tensor([1.0, 1, 1, 0, 1])[:, None] for kind, gate in gates.items()}
    assert value.item() == pytest.approx(loss(lambda x: without(x, zeroed), batch).item(), abs=1e-6)
    value.backward()
    for slopes in alpha.values():
        assert slopes.grad is not None
        assert slopes.grad.isfinite().all()
        assert slopes.grad[3].eq(0).all()
        assert slopes.grad[[0, 1, 2, 4]].abs().sum() > 0
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in with_edge.parameters())


def test_a_node_without_an_open_path_is_zero_of_the_right_shape(make_space: Any) -> None:
    space = make_space()
    x = torch.randn(2, 1, 7, 5)  # odd sides: a reduction rounds up
    gates = {kind: torch.ones(bits.shape, requires_grad=True) for kind, bits in space.alive.items()}
    seen: list[Tensor] = []
    for cell in space.cells:
        cell.register_forward_hook(lambda module, args, out: seen.append(out))
    whole = space(x, gates)
    shapes = [out.shape for out in seen]
    assert [shape[-2:] for shape in shapes] == [(7, 5), (4, 3), (2, 2)]
    for dead_edges in ([0, 1], [2, 3, 4], [0, 1, 2, 3, 4]):
        seen.clear()
        paths = {kind: bits.clone() for kind, bits in space.alive.items()}
        for bits in paths.values():
            bits[dead_edges] = False
        logits = space(x, gates, paths)
        assert logits.shape == whole.shape
        assert [out.shape for out in seen] == shapes
        for out in seen:
            first, second = out.chunk(2, 1)
            assert first.eq(0).all() == (0 in dead_edges)
            assert second.eq(0).all() == (2 in dead_edges)
        logits.sum().backward()
        for gate in gates.values():
            assert gate.grad is None or gate.grad.isfinite().all()
    none_only = {kind: torch.zeros_like(bits) for kind, bits in space.alive.items()}
    for bits in none_only.values():
        bits[:, 0] = True
    seen.clear()
    assert space(x, gates, none_only).shape == whole.shape
    assert all(out.eq(0).all() for out in seen)


# The space ------------------------------------------------------------------------------------------------------------


def test_the_sizes_of_the_supernet(make_space: Any) -> None:
    space = make_space()
    assert space.kinds == ["normal", "reduce", "reduce"]
    assert space.edges["normal"] == ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    assert space.operations["reduce"] == CANDIDATES
    assert all(bits.shape == (5, 8) and bits.all() and bits.device.type == "cpu" for bits in space.alive.values())
    big = CellSpace(Task((3, 32, 32), 10), channels=1, layers=1)
    assert sum(bits.numel() for bits in big.alive.values()) == 224
    assert big.edges["normal"] == tuple((i, j) for j in range(2, 6) for i in range(j))
    no_scale = [part for part in space.cells.modules() if isinstance(part, nn.BatchNorm2d)]
    assert no_scale
    assert all(not part.affine for part in no_scale)
    assert space(torch.randn(2, 1, 6, 6), {k: torch.ones(5, 8) for k in KINDS}).shape == (2, 3)


def test_discretize_and_paths_are_inverse(make_space: Any) -> None:
    space = make_space()
    for seed in range(5):
        genotype = random_genotype(space, seed)
        assert [len(genes) for genes in genotype.groups.values()] == [4, 4]
        assert genotype.outputs == {"normal": (2, 3), "reduce": (2, 3)}
        paths = space.paths(genotype)
        assert [int(bits.sum()) for bits in paths.values()] == [4, 4]
        for kind in KINDS:
            space.alive[kind].copy_(paths[kind])
        assert space.discretize({kind: torch.zeros(5, 8) for kind in KINDS}) == genotype
        for bits in space.alive.values():
            bits.fill_(True)


@pytest.mark.parametrize(
    ("group", "gene"),
    [("normal", Gene("skip_connect", 0, 4)), ("normal", Gene("conv_7x1_1x7", 0, 2)), ("other", Gene("skip_connect", 0, 2))],
)
def test_paths_refuses_what_is_no_path_of_the_space(make_space: Any, group: str, gene: Gene) -> None:
    with pytest.raises(GenotypeError, match="is no path of this space"):
        make_space().paths(Genotype({group: (gene,)}))


def test_required_is_the_best_computing_path_of_each_node_or_edge(make_space: Any) -> None:
    space = make_space()
    scores = {kind: torch.arange(40.0).view(5, 8) for kind in KINDS}
    scores["normal"][:, 0] = 100.0  # none never counts
    space.alive["normal"][4] = False
    space.alive["normal"][3, 7] = False
    space.alive["normal"][0, 1:] = False
    found = {per: space.required(scores, per)["normal"].nonzero().tolist() for per in ("node", "edge")}
    assert found == {"node": [[1, 7], [3, 6]], "edge": [[1, 7], [2, 7], [3, 6]]}


def test_the_derived_network_is_drawn_from_the_global_generator(make_space: Any) -> None:
    space = make_space()
    genotype = random_genotype(space, 0)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(space.derive(genotype).state_dict())
    assert all(torch.equal(value, drawn[1][name]) for name, value in drawn[0].items())
    assert not torch.equal(drawn[0]["stem.0.weight"], drawn[2]["stem.0.weight"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"channels": 0}, "channels must be a whole number of at least 1, not 0"),
        ({"layers": -1}, "layers must be a whole number of at least 1, not -1"),
        ({"nodes": 0}, "nodes must be"),
        ({"nodes": 1.5}, "nodes must be"),
        ({"network_channels": 0}, "network_channels must be"),
        ({"network_layers": True}, "network_layers must be"),
        ({"operations": ()}, "operations must be distinct and compute something, not nothing"),
        ({"operations": ("none",)}, "operations must be distinct and compute something, not none"),
        ({"operations": ("skip_connect", "skip_connect")}, "operations must be distinct"),
        ({"operations": ("skip_conect",)}, "unknown operation 'skip_conect'; did you mean 'skip_connect'"),
        ({"policy": "best"}, "policy 'best' does not exist; there are: auto, argmax, survivors, gated"),
        ({"drop_path": 1.0}, r"drop_path must be in \[0, 1\), not 1.0"),
    ],
)
def test_what_cannot_be_built_is_refused(make_space: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make_space(**options)


@pytest.mark.parametrize("task", [Task((3, 32), 10), Task((3, 0, 32), 10), Task((), 10), Task((3, 32, 32), 0)])
def test_inputs_that_are_no_pictures_are_refused(task: Task) -> None:
    with pytest.raises(ConfigError, match="cells need pictures"):
        CellSpace(task)
