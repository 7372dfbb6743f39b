"""A group of a genotype, drawn as a graph that a person can read from top to bottom."""

from collections.abc import Sequence
from html import escape

import networkx

from lnas.core.genotype import Genotype
from lnas.report.sketch import STYLE, Sketch
from lnas.report.text import line

_MOST_NODES, _MOST_GENES = 40, 800


def equations(genotype: Genotype, group: str) -> tuple[str, ...]:
    """The same in words, a line for each node: "2 = sep_conv_3x3(c_{k-2}) + skip_connect(c_{k-1})"."""
    graph, inputs = _graph(genotype, group)
    names = _names(inputs)
    lines = []
    for node in sorted(set(graph) - set(inputs)):
        terms = [
            f"{'' if gene.weight == 1 else f'{gene.weight:.3g}·'}{line(gene.operation)}({names.get(source, source)})"
            for source in sorted(graph.pred[node])
            for gene in graph.edges[source, node]["genes"]
        ]
        lines.append(f"{node} = {' + '.join(terms) or 'nothing'}")
    if outputs := genotype.outputs.get(group):
        lines.append(f"output = concatenation of {', '.join(str(node) for node in outputs)}")
    return tuple(lines)


def draw_cell(genotype: Genotype, group: str) -> str:
    """An SVG element of one group; it has no ids, so that any number of them can stand on one page.

    Colours come from the page's variables where it sets them (`--ink`, `--card`, ...).  A node that cannot be reached
    from an input, or does not reach the output, is dashed.

    Args:
        genotype: any, but where a group does not fit a page (`fits_a_page`), its drawing is huge.
        group: one of its groups.
    """
    graph, inputs = _graph(genotype, group)
    sketch = Sketch(graph, _names(inputs), tuple(genotype.outputs.get(group, ())))
    sketch.draw()
    width, height = sketch.size
    label = escape(f"{line(group)}: {'; '.join(equations(genotype, group))}")
    view = f'width="{width:.0f}" height="{height:.0f}" viewBox="{-width / 2:.1f} 0 {width:.1f} {height:.1f}"'
    return (
        f'<svg class="cell" xmlns="http://www.w3.org/2000/svg" {view} role="img" aria-label="{label}">'
        f"<style>{STYLE}</style>{sketch.elements()}</svg>"
    )


def fits_a_page(genotype: Genotype, group: str) -> bool:
    """Whether a group is small enough that a person reads it."""
    return _node_count(genotype, group) <= _MOST_NODES and len(genotype.groups[group]) <= _MOST_GENES


def _node_count(genotype: Genotype, group: str) -> int:
    """Inputs included, the output not."""
    return 1 + max([0, *(gene.node for gene in genotype.groups[group]), *genotype.outputs.get(group, ())])


def _graph(genotype: Genotype, group: str) -> tuple[networkx.DiGraph, tuple[int, ...]]:
    """Nodes by number, the genes of an edge in `genes`; and the inputs: all nodes before the first that has a gene."""
    genes = genotype.groups[group]
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(_node_count(genotype, group)))
    for gene in sorted(genes):
        if not graph.has_edge(gene.source, gene.node):
            graph.add_edge(gene.source, gene.node, genes=[])
        graph.edges[gene.source, gene.node]["genes"].append(gene)
    return graph, tuple(range(min((gene.node for gene in genes), default=1)))


def _names(inputs: Sequence[int]) -> dict[int, str]:
    if len(inputs) == 2:  # a cell's inputs are the outputs of the two cells before it
        return {0: "c_{k-2}", 1: "c_{k-1}"}
    return {node: "input" if len(inputs) == 1 else f"input {node}" for node in inputs}
