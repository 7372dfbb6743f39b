"""Whether a search collapsed: DARTS left alone tends to a cell of skip connections, which learns nothing."""

from collections import Counter
from dataclasses import dataclass

from lnas.core.genotype import Genotype

_PREFIXES = ("skip_connect", "max_pool", "avg_pool", "none")


@dataclass(frozen=True)
class ParameterFree:
    """What one group of a genotype holds that has no weights."""

    group: str
    operations: tuple[tuple[str, int], ...]
    """(parameter-free operation, how often), most frequent first."""
    count: int
    """How many genes in all."""
    edges: int
    empty_edges: int
    """Edges that have nothing but parameter-free operations."""

    @property
    def collapsed(self) -> bool:
        """At least half of the edges of a cell that keeps its size learn nothing.

        A reduction cell is made to pool, and a single choice may well be a skip connection: neither counts.
        """
        return self.edges > 1 and self.group != "reduce" and 2 * self.empty_edges >= self.edges


def is_parameter_free(operation: str) -> bool:
    """By name: skip connections (with stride 1; with 2 they are small convolutions), pools and `none`."""
    return operation.startswith(_PREFIXES)


def parameter_free(genotype: Genotype, group: str) -> ParameterFree:
    """Count them in one group."""
    genes = genotype.groups[group]
    edges = {(gene.source, gene.node) for gene in genes}
    learning = {(gene.source, gene.node) for gene in genes if not is_parameter_free(gene.operation)}
    counts = Counter(gene.operation for gene in genes if is_parameter_free(gene.operation))
    ordered = tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    return ParameterFree(group, ordered, len(genes), len(edges), len(edges - learning))
