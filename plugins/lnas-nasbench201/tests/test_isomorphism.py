"""Which cells are the same: against the paper's counts, against graphs that networkx compares, and by what the cells compute."""

import itertools
import random
from functools import cache

import networkx
import pytest
import torch
from lnas_nasbench201 import architectures, canonical, isomorphic, unique
from torch import Tensor

import lnas

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


@cache
def cells() -> list[lnas.Genotype]:
    return [lnas.parse_nasbench201(text) for text in architectures()]


@cache
def classes() -> dict[str, list[int]]:
    """canonical -> the numbers of its cells."""
    found: dict[str, list[int]] = {}
    for index, genotype in enumerate(cells()):
        found.setdefault(canonical(genotype), []).append(index)
    return found


# The benchmark's rule -------------------------------------------------------------------------------------------------


def test_the_counts_of_the_benchmark() -> None:
    assert len({unique(genotype) for genotype in cells()}) == 6_466
    assert len({unique(genotype, zero=False) for genotype in cells()}) == 12_751


def test_strings_that_were_worked_out_by_hand(cell) -> None:
    # node 1 is nothing, node 2 two nothings, node 3 the input and two nothings
    assert unique(cell(". . . s . .")) == "#+#+0"
    nested = "(((0)@none)@none+(0)@none)@none"
    assert unique(cell(". . . s . ."), zero=False) == f"{nested}+((0)@none)@none+0"
    # node 1 is the input, node 2 a convolution of it, node 3 a convolution of that and the input
    assert unique(cell("s . 3 . s 1")) == "#+(#+(0)@nor_conv_3x3)@nor_conv_1x1+0"
    inner = "(0)@none+(0)@nor_conv_3x3"
    assert unique(cell("s . 3 . s 1"), zero=False) == f"({inner})@nor_conv_1x1+(0)@none+0"


# The exact rule -------------------------------------------------------------------------------------------------------


def test_graphs_that_were_worked_out_by_hand(cell) -> None:
    assert canonical(cell(". . . . . .")) == "nothing"
    assert canonical(cell("s s s s s s")) == "0 + 0 + 0 + 0"  # as in 4x, node by node: x, 2x, 4x
    assert canonical(cell("3 s 1 . . s")) == "1 = nor_conv_3x3(0); 2 = nor_conv_1x1(1); 0 + 2"
    assert canonical(cell("3 . . . . 1")) == "nothing"  # one leads nowhere, the other comes from nowhere
    # the same pooling twice, or read twice
    assert canonical(cell("p s . . p .")) == "1 = avg_pool_3x3(0); 2 = avg_pool_3x3(1); 2"
    assert canonical(cell("3 3 . . 1 1")) == (
        "1 = nor_conv_3x3(0); 2 = nor_conv_3x3(0); 3 = nor_conv_1x1(1); 4 = nor_conv_1x1(2); 3 + 4"
    )
    assert canonical(cell("3 . s . 1 1")) == "1 = nor_conv_3x3(0); 2 = nor_conv_1x1(1); 3 = nor_conv_1x1(1); 2 + 3"


def test_where_the_two_rules_differ(cell) -> None:
    twice, shared = cell("3 3 . . 1 1"), cell("3 . s . 1 1")  # two 3x3 convolutions, or one that is read twice
    assert unique(twice) == unique(shared) and not isomorphic(twice, shared)
    one, other = cell(". 3 . s . s"), cell("s . . s 3 .")  # 0 + 3x3(0), by way of node 2 and of node 1
    assert isomorphic(one, other) and unique(one) != unique(other)


def test_there_are_5425_graphs() -> None:
    assert len(classes()) == 5_425


def networkx_graph(genotype: lnas.Genotype) -> networkx.DiGraph:
    """Operations, input and output, with how often each reads another: the skips between two nodes, counted by a matrix."""
    operations = {(gene.source, gene.node): gene.operation for gene in genotype.groups["cell"]}
    skips = torch.tensor([[float(operations.get((i, j)) == "skip_connect") for j in range(4)] for i in range(4)])
    ways = torch.linalg.inv(torch.eye(4) - skips).round().int().tolist()  # 1 + S + SS + SSS
    graph = networkx.DiGraph()
    graph.add_node("in", name="in")
    graph.add_node("out", name="out")
    ends = {"in": 0} | {edge: edge[1] for edge, name in operations.items() if name not in OPERATIONS[:2]}
    starts = {"out": 3} | {edge: edge[0] for edge in ends if edge != "in"}
    graph.add_nodes_from((edge, {"name": operations[edge]}) for edge in starts if edge != "out")
    for end, start in itertools.product(ends, starts):
        if end != start and ways[ends[end]][starts[start]]:
            graph.add_edge(end, start, times=ways[ends[end]][starts[start]])
    used = networkx.descendants(graph, "in") & networkx.ancestors(graph, "out")
    return graph.subgraph({"in", "out"} | used)


def same_graph(one: networkx.DiGraph, other: networkx.DiGraph) -> bool:
    return networkx.is_isomorphic(
        one, other, node_match=lambda a, b: a["name"] == b["name"], edge_match=lambda a, b: a["times"] == b["times"]
    )


def profile(graph: networkx.DiGraph) -> tuple[object, ...]:
    """The same for graphs that are the same: each node with its neighbours on both sides."""

    def sides(node: object) -> tuple[object, ...]:
        before = sorted((graph.nodes[other]["name"], graph.edges[other, node]["times"]) for other in graph.pred[node])
        after = sorted((graph.nodes[other]["name"], graph.edges[node, other]["times"]) for other in graph.succ[node])
        return graph.nodes[node].get("name"), tuple(before), tuple(after)

    return tuple(sorted(map(sides, graph)))


def test_two_cells_have_one_canonical_form_exactly_where_networkx_finds_one_graph() -> None:
    """Two cells of each class have one graph, and no two classes even one profile."""
    profiles, rng = set(), random.Random(0)
    for first, *others in classes().values():
        graph = networkx_graph(cells()[first])
        profiles.add(profile(graph))
        assert not others or same_graph(graph, networkx_graph(cells()[rng.choice(others)]))
    assert len(profiles) == len(classes())


def test_isomorphic_is_an_equal_canonical_form() -> None:
    rng = random.Random(0)
    several = [rng.sample(members, 2) for members in classes().values() if len(members) > 1]
    assert all(isomorphic(cells()[one], cells()[other]) for one, other in rng.sample(several, 100))
    firsts = [members[0] for members in rng.sample(list(classes().values()), 30)]
    assert not any(isomorphic(cells()[one], cells()[other]) for one, other in itertools.combinations(firsts, 2))


def outputs() -> Tensor:
    """(15625, 3) what every cell computes, each operation one random function everywhere, and 0 of 0."""
    matrices = [3 * torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(k)) for k in range(3)]
    chosen = torch.cartesian_prod(*[torch.arange(5)] * 6)
    nodes = [torch.ones(len(chosen), 3, dtype=torch.float64) * torch.tensor([0.3, -0.7, 0.5], dtype=torch.float64)]
    for node in (1, 2, 3):
        total = torch.zeros_like(nodes[0])
        for source in range(node):
            x = nodes[source]
            candidates = torch.stack([torch.zeros_like(x), x, *(torch.sin(x @ matrix) for matrix in matrices)])
            total = total + candidates[chosen[:, EDGES.index((source, node))], torch.arange(len(chosen))]
        nodes.append(total)
    return nodes[3]


def test_isomorphic_cells_compute_the_same_and_others_differ_but_for_what_is_shared() -> None:
    """With one function for each operation, a convolution that is read twice is two equal ones; else graphs differ in value."""
    found = outputs()
    values = [tuple(round(x, 9) + 0.0 for x in row) for row in found.tolist()]
    by_graph = {text: {values[index] for index in members} for text, members in classes().items()}
    assert all(len(of_graph) == 1 for of_graph in by_graph.values())
    trees = {text: expanded(text) for text in by_graph}
    by_tree: dict[str, set[tuple[float, ...]]] = {}
    for text, of_graph in by_graph.items():
        by_tree.setdefault(trees[text], set()).update(of_graph)
    assert all(len(of_tree) == 1 for of_tree in by_tree.values())
    assert len(set(values)) == len(by_tree) == 4_930


def expanded(text: str) -> str:
    """A graph in words with each number replaced by what it stands for."""
    *lines, output = text.split("; ")
    meaning = {"0": "0", "nothing": "nothing"}

    def added(terms: str) -> str:
        return " + ".join(sorted(meaning[term] for term in terms.split(" + ")))

    for line in lines:
        number, _, call = line.partition(" = ")
        name, _, terms = call.removesuffix(")").partition("(")
        meaning[number] = f"{name}({added(terms)})"
    return added(output)


@pytest.mark.parametrize("function", [unique, canonical])
def test_what_is_no_cell_of_the_benchmark_is_refused(function, cell) -> None:
    genes = cell("3 3 3 3 3 3").groups["cell"]
    for wrong in ((*genes, lnas.Gene("none", 0, 4)), (*genes, genes[0]), (lnas.Gene("sep_conv_3x3", 0, 1), *genes[1:])):
        with pytest.raises(lnas.GenotypeError, match="NAS-Bench-201"):
            function(lnas.Genotype({"cell": wrong}))
    with pytest.raises(lnas.GenotypeError, match="multiplied by 0.5"):
        function(lnas.Genotype({"cell": (lnas.Gene("nor_conv_3x3", 0, 1, 0.5), *genes[1:])}))
