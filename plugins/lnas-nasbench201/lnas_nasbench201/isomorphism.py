"""Which cells of NAS-Bench-201 are the same, by the benchmark's own rule and by an exact one.

`none` adds nothing, `skip_connect` hands on what it is given, and inputs are added in any order: many of the 15,625 strings
say the same.  Both rules take what is computed from a node without inputs to be nothing, and so leave out the shift of a
batch norm.

The benchmark compares a string of each cell (`unique`): 12,751 differ where `skip_connect` is looked through, and 6,466
where `none` is too, the number that the paper gives.  The string is neither a normal form nor a graph.  It tells `(a + b) + c`
from `a + (b + c)` where a skip makes the bracket, and keeps a sign for each edge that adds nothing; and it writes out what two
operations read from one node twice, so that a convolution whose output is read twice and two equal convolutions are one.

`canonical` compares graphs: operations are nodes, each reads a sum of others and of the input, and the cell is the sum of
some of them.  Two cells have one graph when one network can take over the weights of the other and compute the same.
5,425 graphs differ.
"""

from collections.abc import Mapping
from itertools import groupby, permutations, product
from typing import NamedTuple

import lnas
from lnas_nasbench201.enumeration import EDGES, GROUP, NODES, NONE, SKIP

INPUT = (0, 0)
"""Stands for the input of a cell where others name an edge."""


def unique(genotype: lnas.Genotype, *, zero: bool = True) -> str:
    """The string by which the benchmark tells cells apart.

    Args:
        genotype: of a cell of NAS-Bench-201.
        zero: whether `none` is looked through, or only `skip_connect`.

    Raises:
        GenotypeError: where the genotype is no cell of NAS-Bench-201.
    """
    chosen = _operations(genotype)
    nodes = ["0"]
    for node in range(1, NODES):
        nodes.append("+".join(sorted(_term(chosen[source, node], nodes[source], zero) for source in range(node))))
    return nodes[-1]


def canonical(genotype: lnas.Genotype) -> str:
    """The graph of a cell in words, the same for two cells that have the same graph.

    For example "1 = nor_conv_3x3(0); 2 = nor_conv_1x1(0 + 1); 1 + 2": 0 is the input, and what stands last is the output.

    Raises:
        GenotypeError: where the genotype is no cell of NAS-Bench-201.
    """
    graph = _graph(genotype)
    trees = {edge: _tree(edge, graph.inputs, graph.operations) for edge in graph.operations}
    # what an operation reads has a shorter tree; only operations of one tree can change places
    ranked = sorted(graph.operations, key=lambda edge: (len(trees[edge]), trees[edge]))
    ties = [tuple(tied) for _, tied in groupby(ranked, key=lambda edge: trees[edge])]
    orders = product(*(permutations(tied) for tied in ties))
    return min(_words(graph, [edge for tied in order for edge in tied]) for order in orders)


def isomorphic(one: lnas.Genotype, other: lnas.Genotype) -> bool:
    """Whether two cells have the same graph: `canonical` says the same of both.

    Raises:
        GenotypeError: where a genotype is no cell of NAS-Bench-201.
    """
    return canonical(one) == canonical(other)


class _Graph(NamedTuple):
    """The operations that lie between the input and the output, by the edge they stand on.

    Attributes:
        operations: the name of each.
        inputs: what each reads: edges, and `INPUT`; one that is read twice stands twice.
        outputs: what the output adds up.
    """

    operations: Mapping[tuple[int, int], str]
    inputs: Mapping[tuple[int, int], list[tuple[int, int]]]
    outputs: list[tuple[int, int]]


def _graph(genotype: lnas.Genotype) -> _Graph:
    chosen = _operations(genotype)
    sums: list[list[tuple[int, int]]] = [[INPUT], *([] for _ in range(1, NODES))]  # what each node adds up
    inputs = {}
    for source, node in EDGES:
        if chosen[source, node] == SKIP:
            sums[node] += sums[source]
        elif chosen[source, node] != NONE and sums[source]:
            inputs[source, node] = sums[source]
            sums[node].append((source, node))
    used = set(sums[-1])
    for edge in reversed(inputs):  # readers come after what they read
        if edge in used:
            used.update(inputs[edge])
    operations = {edge: chosen[edge] for edge in inputs if edge in used}
    return _Graph(operations, {edge: inputs[edge] for edge in operations}, sums[-1])


def _tree(
    edge: tuple[int, int], inputs: Mapping[tuple[int, int], list[tuple[int, int]]], operations: Mapping[tuple[int, int], str]
) -> str:
    """An operation with all that it depends on, written out."""
    if edge == INPUT:
        return "0"
    return f"{operations[edge]}({' + '.join(sorted(_tree(read, inputs, operations) for read in inputs[edge]))})"


def _words(graph: _Graph, order: list[tuple[int, int]]) -> str:
    """The graph, its operations numbered in this order."""
    number = {INPUT: 0, **{edge: index for index, edge in enumerate(order, 1)}}

    def added(edges: list[tuple[int, int]]) -> str:
        return " + ".join(map(str, sorted(number[edge] for edge in edges))) or "nothing"

    lines = [f"{number[edge]} = {graph.operations[edge]}({added(graph.inputs[edge])})" for edge in order]
    return "; ".join([*lines, added(graph.outputs)])


def _operations(genotype: lnas.Genotype) -> dict[tuple[int, int], str]:
    """The operation of each edge."""
    cell = lnas.parse_nasbench201(lnas.unparse_nasbench201(genotype))  # all six edges, and nothing else
    return {(gene.source, gene.node): gene.operation for gene in cell.groups[GROUP]}


def _term(operation: str, source: str, zero: bool) -> str:
    if zero and (operation == NONE or source == "#"):
        return "#"
    return source if operation == SKIP else f"({source})@{operation}"
