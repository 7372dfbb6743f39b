"""The genotype, against the rule of the paper written as a loop; and what the strategy suggests."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from lnas_pcdarts import PcDarts
from torch import nn

import lnas

MakeSpace = Callable[..., lnas.CellSpace]


def drawn(space: lnas.SearchSpace, seed: int) -> PcDarts:
    """alpha and beta far from equal."""
    strategy, generator = PcDarts(space, lnas.cross_entropy), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in strategy.alpha.values():
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
    return strategy


def two_strongest(strategy: PcDarts, kind: str) -> list[tuple[str, int, int]]:
    """Of every node the two edges whose best live path but `none` has the largest softmax(alpha) times softmax(beta)."""
    edges, names, alive = strategy.space.edges[kind], strategy.space.operations[kind], strategy.space.alive[kind].tolist()
    alpha, beta = strategy.alphas()[kind].exp().tolist(), strategy.beta[kind].exp().tolist()
    found = []
    for node in sorted({node for _, node in edges}):
        rows = [row for row, edge in enumerate(edges) if edge[1] == node and any(alive[row])]
        ranking = []
        for row in rows:
            share = beta[row] / sum(beta[other] for other in rows)
            live = [column for column, bit in enumerate(alive[row]) if bit]
            total = sum(alpha[row][column] for column in live)
            paths = [(alpha[row][o] / total * share, names[o], row) for o in live if names[o] != "none"]
            ranking += [max(paths)] if paths else []
        for _, name, row in sorted(sorted(ranking, reverse=True)[:2], key=lambda entry: entry[2]):
            found.append((name, *edges[row]))
    return found


def test_the_genotype_is_read_from_alpha_times_beta(make_space: MakeSpace) -> None:
    space, different = make_space(), 0
    for seed in range(8):
        strategy = drawn(space, seed)
        genotype, plain = strategy.genotype(), strategy.space.discretize(strategy.alphas())
        assert genotype.outputs == plain.outputs
        for kind, genes in genotype.groups.items():
            assert [(gene.operation, gene.source, gene.node) for gene in genes] == two_strongest(strategy, kind)
        different += genotype != plain
        for beta in strategy.beta.values():
            beta.data.zero_()
        assert strategy.genotype() == plain
    assert different > 4


@pytest.mark.parametrize("seed", range(3))
def test_the_strongest_of_what_is_alive(make_space: MakeSpace, seed: int) -> None:
    """Some edges have one path left, whose softmax(alpha) is 1: beta alone tells them apart."""
    strategy = drawn(make_space(policy="argmax"), seed)
    for alive in strategy.space.alive.values():
        alive &= torch.rand(alive.shape, generator=torch.Generator().manual_seed(seed)) < 0.2
    lnas.Alpha(strategy).apply()
    for kind, genes in strategy.genotype().groups.items():
        assert [(gene.operation, gene.source, gene.node) for gene in genes] == two_strongest(strategy, kind)


def test_the_surviving_paths_are_all_kept(make_space: MakeSpace) -> None:
    strategy = drawn(make_space(), 0)
    target = lnas.Alpha(strategy)
    lnas.prune(target, 0.5)
    target.apply()
    genotype = strategy.genotype()
    assert genotype == strategy.space.discretize(strategy.alphas())
    for kind, kept in strategy.space.paths(genotype).items():
        assert torch.equal(kept[:, 1:], strategy.space.alive[kind][:, 1:])  # all but `none`


@pytest.mark.parametrize("sparsity", [0.5, 0.875])
def test_a_gated_network_computes_what_the_supernet_does(make_space: MakeSpace, sparsity: float) -> None:
    """With all channels; at 0.875 every edge has one path left, whose softmax(alpha) is 1."""
    strategy = drawn(make_space(partial=1, policy="gated"), 0)
    target = lnas.Alpha(strategy)
    lnas.prune(target, sparsity)
    target.apply()
    space = strategy.space
    network = space.derive(strategy.genotype()).double()
    weights, values = space.state_dict(), {}
    for name, own in network.state_dict().items():
        source = name
        if ".operations." in name:
            _, cell, _, index, rest = name.split(".", 4)
            gene = network.cells[int(cell)].genes[int(index)]
            edge = space.edges["normal"].index((gene.source, gene.node))
            source = f"cells.{cell}.edges.{edge}.operations.{gene.operation}.{rest}"
        values[name] = weights.get(source, own)  # the supernet's norms have no scale and no shift
    network.load_state_dict(values)
    x = torch.randn(4, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert (network(x) - strategy.predict(x)).abs().max() < 1e-12


def test_a_choice_has_one_edge_whose_share_is_1() -> None:
    choice = lnas.MixedOp({"one": nn.Linear(4, 8), "two": nn.Linear(4, 8, bias=False)})
    space = lnas.ChoiceSpace(nn.Sequential(choice, nn.Linear(8, 3)))
    strategy, darts = PcDarts(space, lnas.cross_entropy), lnas.Darts(space, lnas.cross_entropy)
    assert torch.equal(strategy.gates()["0"], darts.gates()["0"])
    assert strategy.genotype() == darts.genotype()
    x, y = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 1, 2])
    assert strategy.step((x, y), (x, y)).keys() == {"alpha_loss", "loss"}


def test_nothing_is_read_from_nan(make_space: MakeSpace) -> None:
    strategy = drawn(make_space(), 0)
    strategy.beta["reduce"].data[4] = torch.nan
    with pytest.raises(lnas.NumericalError, match="beta of reduce is not finite"):
        strategy.genotype()
    strategy.beta["reduce"].data[4] = 0
    strategy.alpha["reduce"].data[4, 2] = torch.nan
    with pytest.raises(lnas.NumericalError, match="alpha is not finite"):
        strategy.genotype()


def test_a_quarter_of_the_channels_is_suggested() -> None:
    command = [sys.executable, "-m", "lnas", "config", "--json", "--strategy", "pc-darts"]
    document = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert "partial=4" in document["config"]["space"].split(",")
    origins = document["origins"]
    assert (origins["space.partial"], origins["space.channels"]) == ("strategy pc-darts", "data set digits")


def test_the_whole_way(make_space: MakeSpace, pairs: list[tuple[object, object]]) -> None:
    pipeline = lnas.pipeline(
        "generalized",
        make_space().float(),
        lnas.cross_entropy,
        search=4,
        train=4,
        strategy="pc-darts,warmup=0.25",
        prune=["alpha:one-shot,sparsity=0.5", "theta:one-shot,sparsity=0.5,rewind=0"],
    )
    while not pipeline.done:
        train, val = (tuple(part.float() if part.is_floating_point() else part for part in pair) for pair in pairs[0])
        pipeline.step(train, val)
    assert pipeline.ticket.sparsity["alpha"].attained == 0.5
    assert pipeline.ticket.sparsity["theta"].attained == pytest.approx(0.5, abs=0.01)
