"""Every node keeps an input and the input reaches the output, or it is said which node does not; an oracle walks the graph."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lnas
from lnas.builtin.cells import CellSpace
from lnas.builtin.choices import ChoiceSpace, MixedOp
from lnas.builtin.classification import cross_entropy
from lnas.builtin.darts import Darts
from lnas.builtin.network import CellNetwork
from lnas.builtin.targets import Alpha
from lnas.core.errors import GenotypeError, NumericalError
from lnas.core.genotype import Gene, Genotype
from lnas.core.mask import prune
from lnas.core.space import SearchSpace, require_connected, require_finite
from lnas.core.types import Task

TASK = Task((1, 4, 4), 2)
OPERATIONS = ("none", "skip_connect", "sep_conv_3x3")


def cells(policy: str = "auto", nodes: int = 2) -> CellSpace:
    sizes: dict[str, Any] = {"channels": 2, "layers": 1, "nodes": nodes, "network_channels": 2, "network_layers": 1}
    return CellSpace(TASK, operations=OPERATIONS, policy=policy, **sizes)


def choices() -> ChoiceSpace:
    def choice() -> MixedOp:
        return MixedOp({"none": nn.Identity(), "narrow": nn.Linear(4, 4), "wide": nn.Linear(4, 4)})

    return ChoiceSpace(nn.Sequential(choice(), choice()))


def scores(space: SearchSpace, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {group: torch.randn(mask.shape, generator=generator) for group, mask in space.alive.items()}


def unreached(genes: tuple[Gene, ...], nodes: int) -> list[int]:
    """The intermediate nodes that no operation which computes leads to, by walking from the inputs until nothing is new."""
    reached, size = {0, 1}, 0
    while size < len(reached):
        size = len(reached)
        reached |= {gene.node for gene in genes if gene.source in reached and gene.operation != "none"}
    return [node for node in range(2, 2 + nodes) if node not in reached]


@pytest.mark.parametrize("scope", ["edge", "global"])
@pytest.mark.parametrize("seed", range(4))
def test_pruned_as_far_as_it_goes_every_node_of_a_cell_is_reached(scope: Any, seed: int) -> None:
    strategy = Darts(cells(nodes=3), cross_entropy)
    target = Alpha(strategy, scope=scope)
    for sparsity in (0.2, 0.4, 0.5, 0.6, 2 / 3, 0.75, 0.8, 0.88):
        with torch.no_grad():
            for group, values in scores(strategy.space, seed).items():
                strategy.alpha[group].copy_(values)
        try:
            prune(target, sparsity)
        except lnas.SparsityError:
            assert sparsity > (2 / 3 if scope == "edge" else 0.8)  # a path an edge, or a path a node, of three each
        for policy in ("survivors", "argmax"):
            genotype = strategy.space.discretize(strategy.alpha, policy)
            assert [unreached(genes, 3) for genes in genotype.groups.values()] == [[], []]
            require_connected(genotype, strategy.space)
            strategy.space.derive(genotype)


@pytest.mark.parametrize("policy", ["survivors", "argmax"])
def test_whatever_has_died_a_cell_is_connected_or_names_itself_and_its_node(policy: str) -> None:
    generator = torch.Generator().manual_seed(0)
    refused = 0
    for seed in range(80):
        space = cells(policy)
        for mask in space.alive.values():
            mask &= torch.rand(mask.shape, generator=generator) < 0.4
        genotype = space.discretize(scores(space, seed), policy)
        lost = {kind: unreached(genes, 2) for kind, genes in genotype.groups.items() if unreached(genes, 2)}
        if not lost:
            require_connected(genotype, space)
            space.derive(genotype)
            continue
        refused += 1
        kind, nodes = next(iter(lost.items()))
        with pytest.raises(GenotypeError, match=f"^group '{kind}': no path is left from its input to node {nodes[0]}, ") as error:
            require_connected(genotype, space)
        assert error.value.exit_code == 2
        with pytest.raises(GenotypeError, match=f"no '?{kind}'? cell|^{kind} cell: .*node {nodes[0]}"):
            space.derive(genotype)
    assert 10 < refused < 70


def test_the_end_of_a_search_refuses_what_is_not_connected() -> None:
    strategy = Darts(cells(), cross_entropy)
    strategy.space.alive["reduce"][2:] = False  # all that leads to node 3
    stage = lnas.Search(strategy, lnas.Pruning(Alpha, lnas.Never(), lnas.probability), 1)
    rounds = stage.begin(lnas.Ticket())
    with pytest.raises(
        GenotypeError, match="group 'reduce': no path is left from its input to node 3, which is part of its output"
    ):
        stage.end(rounds, lnas.Ticket())


def test_a_node_with_nothing_but_none_has_no_input() -> None:
    genes = {"normal": (Gene("skip_connect", 0, 2), Gene("none", 1, 3)), "reduce": (Gene("skip_connect", 0, 2),)}
    genotype = Genotype(genes, {"normal": (2, 3), "reduce": (2,)})
    with pytest.raises(GenotypeError, match="normal cell: node 3 has no input but none"):
        CellNetwork(genotype, TASK, channels=2, layers=1)
    with pytest.raises(GenotypeError, match="group 'normal': no path is left from its input to node 3"):
        require_connected(genotype, cells())
    both = Genotype({**genes, "normal": (*genes["normal"], Gene("sep_conv_3x3", 0, 3))}, genotype.outputs)
    CellNetwork(both, TASK, channels=2, layers=1)
    require_connected(both, cells())


def test_a_choice_keeps_a_candidate_that_computes_or_names_itself() -> None:
    strategy = Darts(choices(), cross_entropy)
    prune(Alpha(strategy), 0.9)  # of three candidates, at least one stays
    genotype = strategy.genotype()
    assert all(len(genes) == 1 and genes[0].operation != "none" for genes in genotype.groups.values())
    strategy.space.derive(genotype)
    strategy.space.alive["1"][0] = torch.tensor([True, False, False])  # by hand: no target does that
    with pytest.raises(GenotypeError, match="choice '1' keeps no candidate") as error:
        strategy.space.derive(strategy.genotype())
    assert error.value.exit_code == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("make", [cells, choices])
def test_a_score_that_is_not_finite_names_its_group_edge_and_operation(make: Any, value: float) -> None:
    space = make()
    group = list(space.edges)[-1]
    given: Mapping[str, Tensor] = scores(space, 0)
    row = len(space.edges[group]) - 1
    given[group][row, 2] = value
    source, node = space.edges[group][row]
    words = (
        f"alpha is not finite: in group '{group}', on the edge from {source} to {node}, {space.operations[group][2]} has {value};"
        " no architecture can be read from it"
    )
    for policy in ("argmax", "survivors", "gated"):
        with pytest.raises(NumericalError) as error:
            space.discretize(given, policy)
        assert (str(error.value), error.value.exit_code) == (words, 3)
    space.alive[group][row, 2] = False  # what is dead does not matter
    require_finite(given, space)
    space.discretize(given)
