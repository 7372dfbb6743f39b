"""The supernet is what the benchmark describes, counts what it should, and becomes the derived network under one-hot gates."""

import random
from collections import Counter

import pytest
import torch
from lnas_nasbench201 import NasBench201Space, architectures
from torch import Tensor, nn
from torch.nn import functional

import lnas
from lnas.cost import multiply_adds, parameters

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
RANDOM = [" ".join(random.Random(seed).choices(".s13p", k=6)) for seed in range(8)]
CIFAR = lnas.Task((3, 32, 32), 10)


def pictures(dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(seed)).to(dtype)


def one_hot(genotype: lnas.Genotype, dtype: torch.dtype) -> dict[str, Tensor]:
    gates = torch.zeros(6, 5, dtype=dtype)
    for gene in genotype.groups["cell"]:
        gates[EDGES.index((gene.source, gene.node)), OPERATIONS.index(gene.operation)] = 1.0
    return {"cell": gates}


def derived(supernet: NasBench201Space, genotype: lnas.Genotype, dtype: torch.dtype) -> lnas.NasBench201Network:
    """The derived network with the supernet's weights and statistics; only it has a scale and a shift in its cells' norms."""
    network = supernet.derive(genotype).to(dtype)
    genes = [gene for gene in sorted(genotype.groups["cell"], key=lambda gene: gene.node) if gene.operation != "none"]
    weights, values = supernet.state_dict(), {}
    for name, own in network.state_dict().items():
        source, parts = name, name.split(".")
        if "operations" in parts:
            gene = genes[int(parts[3])]
            edge = EDGES.index((gene.source, gene.node))
            source = ".".join([*parts[:2], "edges", str(edge), "operations", gene.operation, *parts[4:]])
            if source not in weights:
                assert torch.equal(own, torch.full_like(own, 1.0 if name.endswith("weight") else 0.0)), name
        else:
            assert source in weights, name
        values[name] = weights.get(source, own)
    network.load_state_dict(values)
    return network


# Counts ---------------------------------------------------------------------------------------------------------------


def test_the_supernet_has_the_parameters_and_multiply_adds_that_one_can_add_up() -> None:
    supernet = NasBench201Space(CIFAR)
    cells = 5 * 6 * sum(c * c + 9 * c * c for c in (16, 32, 64))  # no scale, no shift
    blocks = sum(9 * c * 2 * c + 4 * c + 9 * 4 * c * c + 4 * c + 2 * c * c for c in (16, 32))
    stem, last, classifier = 3 * 9 * 16 + 2 * 16, 2 * 64, 64 * 10 + 10
    assert parameters(supernet).total == cells + blocks + stem + last + classifier == 1_686_106
    products = 15 * 6 * 10 * 16 * 16 * 32 * 32 + 2 * (9 * 2 + 9 * 4 + 2) * 16 * 16 * 16 * 16 + 3 * 9 * 16 * 32 * 32 + 640
    assert multiply_adds(supernet, CIFAR).dense == products == 243_712_640


@pytest.mark.parametrize(("letter", "total", "convolutions"), [("3", 1_531_546, 220_119_040), ("s", 73_306, 7_782_400)])
def test_the_derived_network_has_the_published_size(cell, letter: str, total: int, convolutions: int) -> None:
    network = NasBench201Space(CIFAR, channels=1, cells=1).derive(cell(" ".join(letter * 6)))
    assert parameters(network).total == total
    assert multiply_adds(network, CIFAR).dense == convolutions + 640


# The forward pass -----------------------------------------------------------------------------------------------------


def by_hand(supernet: NasBench201Space, x: Tensor, gates: Tensor) -> Tensor:
    """The supernet in training mode, written down."""
    weights = dict(supernet.named_parameters())

    def norm(x: Tensor, name: str = "") -> Tensor:
        mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
        x = (x - mean) / (var + 1e-5).sqrt()
        return x * weights[f"{name}.weight"].view(-1, 1, 1) + weights[f"{name}.bias"].view(-1, 1, 1) if name else x

    def convolution(x: Tensor, name: str, stride: int = 1) -> Tensor:
        kernel = weights[f"{name}.weight"]
        return functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)

    def cell(x: Tensor, place: int) -> Tensor:
        around = functional.avg_pool2d(torch.ones_like(x), 3, 1, 1)  # how much of each window lies inside
        nodes = [x]
        for node in (1, 2, 3):
            total = torch.zeros_like(x)
            for source in range(node):
                edge, read = EDGES.index((source, node)), nodes[source]
                name = f"body.{place}.edges.{edge}.operations"
                total = total + gates[edge, 1] * read
                total = total + gates[edge, 2] * norm(convolution(read.clamp(min=0), f"{name}.nor_conv_1x1.1"))
                total = total + gates[edge, 3] * norm(convolution(read.clamp(min=0), f"{name}.nor_conv_3x3.1"))
                total = total + gates[edge, 4] * functional.avg_pool2d(read, 3, 1, 1) / around
            nodes.append(total)
        return nodes[3]

    def block(x: Tensor, place: int) -> Tensor:
        name = f"body.{place}"
        first = norm(convolution(x.relu(), f"{name}.residual.0.1", 2), f"{name}.residual.0.2")
        second = norm(convolution(first.relu(), f"{name}.residual.1.1"), f"{name}.residual.1.2")
        return second + convolution(functional.avg_pool2d(x, 2), f"{name}.shortcut.1")

    x = norm(convolution(x, "stem.0"), "stem.1")
    for place, is_cell in enumerate([True, True, False, True, True, False, True, True]):
        x = cell(x, place) if is_cell else block(x, place)
    x = norm(x, "last.0").relu().mean((2, 3))
    return x @ weights["classifier.weight"].T + weights["classifier.bias"]


def test_the_supernet_and_its_gradients_are_those_of_a_hand_written_one(space, random_alpha) -> None:
    supernet, x = space(), pictures(torch.float64)
    for parameter in supernet.parameters():
        nn.init.normal_(parameter, std=0.5)  # norms too
    mine, theirs = random_alpha(3).requires_grad_(), random_alpha(3).requires_grad_()
    found, expected = supernet(x, {"cell": mine}), by_hand(supernet, x, theirs)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    inputs = list(supernet.parameters())
    *slopes, of_mine = torch.autograd.grad(found.square().sum(), [*inputs, mine])
    *right, of_theirs = torch.autograd.grad(expected.square().sum(), [*inputs, theirs])
    assert of_mine[:, 0].eq(0).all() and of_mine[:, 1:].ne(0).all()
    for slope, other in zip([*slopes, of_mine], [*right, of_theirs], strict=True):
        torch.testing.assert_close(slope, other, rtol=1e-6, atol=1e-7 * float(other.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("letters", ["3 1 p s 3 1", "s . 3 . s 1", ". . . . . 3", "3 . 3 . . .", *RANDOM])
def test_the_supernet_under_one_hot_gates_is_the_derived_network_bit_for_bit(space, cell, dtype, letters: str) -> None:
    supernet, genotype = space(dtype), cell(letters)
    network = derived(supernet, genotype, dtype)
    gates, paths = one_hot(genotype, dtype), supernet.paths(genotype)
    assert torch.equal(paths["cell"], gates["cell"] == 1)
    for training in (True, False):
        supernet.train(training), network.train(training)
        expected = network(pictures(dtype, int(training)))
        assert expected.std() > 0.01 and expected.dtype == dtype
        assert torch.equal(supernet(pictures(dtype, int(training)), gates, paths), expected)
    assert torch.equal(supernet(pictures(dtype), gates), network(pictures(dtype)))  # the others run, weigh 0 and change nothing
    supernet.alive["cell"].copy_(paths["cell"])
    supernet.release()
    assert torch.equal(supernet(pictures(dtype), gates), network(pictures(dtype)))


@pytest.mark.parametrize("policy", ["survivors", "gated"])
def test_the_supernet_of_the_survivors_is_the_derived_network(space, random_alpha, policy: str) -> None:
    supernet, alpha = space(policy=policy), {"cell": random_alpha(5)}
    alive = supernet.alive["cell"]
    alive &= torch.rand(6, 5, generator=torch.Generator().manual_seed(5)) < 0.5
    alive |= supernet.required(alpha)["cell"]
    supernet.release()
    genotype = supernet.discretize(alpha)
    assert len(genotype.groups["cell"]) > 8
    gates = {"cell": lnas.relax(alpha["cell"], alive) if policy == "gated" else alive.double()}
    network = derived(supernet, genotype, torch.float64)
    torch.testing.assert_close(supernet(pictures(torch.float64), gates), network(pictures(torch.float64)), rtol=0, atol=1e-12)
    with pytest.raises(lnas.GenotypeError, match="one operation on each|multiplied by"):
        lnas.unparse_nasbench201(genotype)


# Paths ----------------------------------------------------------------------------------------------------------------


def operations_of(supernet: NasBench201Space) -> dict[tuple[int, int, str], nn.Module]:
    places = [0, 1, 3, 4, 6, 7]
    return {
        (place, edge, name): module
        for place in places
        for edge, mixed in enumerate(supernet.body[place].edges)
        for name, module in mixed.operations.items()
    }


def test_only_open_paths_run_whatever_their_gate(space) -> None:
    supernet = space()
    called: Counter[tuple[int, int, str]] = Counter()
    for key, module in operations_of(supernet).items():
        module.register_forward_hook(lambda *_, key=key: called.update([key]))
    gates = {"cell": torch.ones(6, 5, dtype=torch.float64)}
    supernet(pictures(torch.float64), gates)
    assert len(called) == 6 * 6 * 4 and set(called.values()) == {1}
    called.clear()
    paths = torch.zeros(6, 5, dtype=torch.bool)
    paths[0, 3] = paths[4, 4] = paths[5, 0] = True
    supernet(pictures(torch.float64), {"cell": torch.zeros(6, 5, dtype=torch.float64)}, {"cell": paths})
    wanted = [(place, *path) for place in (0, 1, 3, 4, 6, 7) for path in ((0, "nor_conv_3x3"), (4, "avg_pool_3x3"))]
    assert called == Counter(dict.fromkeys(wanted, 1))
    called.clear()
    supernet.alive["cell"].copy_(paths)  # dead, and not deleted yet
    supernet(pictures(torch.float64), gates)
    assert called == Counter(dict.fromkeys(wanted, 1))


def test_a_dead_path_is_deleted_and_costs_nothing(space) -> None:
    supernet = space(network_cells=1)
    task = supernet.task
    before = multiply_adds(supernet, task).dense
    supernet.alive["cell"][[0, 1, 5], [2, 3, 4]] = False
    supernet.alive["cell"][3] = False
    whole = len(list(supernet.parameters()))
    supernet.release(), supernet.release()
    left = {(edge, name) for _, edge, name in operations_of(supernet)}
    gone = {(0, "nor_conv_1x1"), (1, "nor_conv_3x3"), (5, "avg_pool_3x3")} | {(3, name) for name in OPERATIONS}
    assert left == {(edge, name) for edge in range(6) for name in OPERATIONS[1:]} - gone
    assert len(list(supernet.parameters())) == whole - 6 * 4
    per_place = 9 * (1 + 9 + 10)  # products of 3 channels at a place of a cell of the first stage; as many in the others
    assert before - multiply_adds(supernet, task).dense == 6 * per_place * 64
    supernet.alive["cell"][0, 2] = True
    with pytest.raises(lnas.ConfigError, match="nor_conv_1x1 was deleted and cannot come alive again"):
        supernet.release()


@pytest.mark.parametrize("policy", ["argmax", "survivors"])
def test_paths_is_the_inverse_of_discretize(space, random_alpha, policy: str) -> None:
    for seed in range(20):
        supernet = space(torch.float32, channels=1, cells=1)
        alive = supernet.alive["cell"]
        alive &= torch.rand(6, 5, generator=torch.Generator().manual_seed(seed)) < 0.7
        alive[4] = False
        alive |= supernet.required({"cell": random_alpha(seed)})["cell"]
        genotype = supernet.discretize({"cell": random_alpha(seed)}, policy)
        kept = supernet.paths(genotype)["cell"]
        expected = torch.zeros_like(alive)
        for gene in genotype.groups["cell"]:
            expected[EDGES.index((gene.source, gene.node)), OPERATIONS.index(gene.operation)] = True
        assert torch.equal(kept, expected)
        assert not (expected & ~alive).any()
        if policy == "survivors":
            assert torch.equal(kept[:, 1:], alive[:, 1:])


def test_a_gene_that_is_no_path_is_refused(space, cell) -> None:
    genes = cell("3 3 3 3 3 3").groups["cell"]
    for group, gene in (
        ("cell", lnas.Gene("sep_conv_3x3", 0, 1)),
        ("cell", lnas.Gene("nor_conv_3x3", 0, 4)),
        ("normal", genes[0]),
    ):
        with pytest.raises(lnas.GenotypeError, match=f"{group}: {gene.operation} from 0 to {gene.node} is no path"):
            space().paths(lnas.Genotype({group: (gene,)}))


# Options --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["channels", "cells", "network_channels", "network_cells"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5])
def test_a_size_below_one_is_refused(name: str, value: object) -> None:
    with pytest.raises(lnas.ConfigError, match=f"^{name} must be a whole number of at least 1, not {value}$"):
        NasBench201Space(CIFAR, **{name: value})


def test_what_else_cannot_be_is_refused() -> None:
    with pytest.raises(lnas.ConfigError, match="policy 'best' does not exist"):
        NasBench201Space(CIFAR, channels=1, cells=1, policy="best")
    with pytest.raises(lnas.ConfigError, match="pictures"):
        NasBench201Space(lnas.Task((64,), 4), channels=1, cells=1)


@pytest.mark.parametrize(("cells", "side"), [(1, 8), (3, 7)])
def test_the_sizes_are_those_that_were_asked_for(cells: int, side: int) -> None:
    task = lnas.Task((2, side, side), 3)
    supernet = NasBench201Space(task, channels=2, cells=cells, network_channels=3, network_cells=2)
    shapes = []
    for part in supernet.body:
        part.register_forward_hook(lambda module, args, out: shapes.append(tuple(out.shape[1:])))
    assert supernet(torch.randn(4, 2, side, side), {"cell": torch.ones(6, 5)}).shape == (4, 3)
    sides = (side, (side + 1) // 2, (side + 3) // 4)
    expected = [(2 * 2**s, sides[s], sides[s]) for s in range(3) for _ in range(cells + (s > 0))]
    assert shapes == expected
    network = supernet.derive(lnas.parse_nasbench201(next(architectures())))
    assert network.stem[0].out_channels == 3 and len(network.body) == 8 and network.task == task
