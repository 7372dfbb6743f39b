"""Whether an architecture has collapsed: DARTS left alone tends to cells of skip connections, which learn nothing."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb

from lnas.core.genotype import NONE, Genotype

_SKIP, _POOLS = "skip_connect", ("max_pool", "avg_pool")

CHANCE = 0.1
"""A cell that is as likely as this among architectures drawn at random says nothing about the search."""


@dataclass(frozen=True)
class ParameterFree:
    """What one group of a genotype holds that has no weights."""

    group: str
    operations: tuple[tuple[str, int], ...]
    """(parameter-free operation, how often), most frequent first."""
    count: int
    """How many genes in all."""
    edges: int
    empty: tuple[tuple[int, int], ...]
    """Edges that have nothing but parameter-free operations, in order."""
    chance: float
    """That an architecture drawn at random has as many such edges; or, where that is less, as many with nothing but a skip
    connection.  1 for a number that is not half of the edges."""

    @property
    def parameter_free(self) -> int:
        """How many genes have no weights."""
        return sum(count for _, count in self.operations)

    @property
    def collapsed(self) -> bool:
        """At least half of the edges of a cell that keeps its size learn nothing, and that is hardly chance.

        A reduction cell is made to pool, and a single choice may well be a skip connection: neither counts.
        """
        return self.edges > 1 and self.group != "reduce" and self.chance < CHANCE


def is_parameter_free(operation: str) -> bool:
    """By name: skip connections (with stride 1; with 2 they are small convolutions), pools and `none`."""
    return operation.startswith((_SKIP, *_POOLS, NONE))


def parameter_free(genotype: Genotype, group: str, candidates: Sequence[str]) -> ParameterFree:
    """Count them in one group.

    Args:
        genotype: any.
        group: one of its groups.
        candidates: the operations that the search chose among; () where there was none, and then nothing has collapsed.
    """
    genes = genotype.groups[group]
    on = {edge: [g.operation for g in genes if (g.source, g.node) == edge] for edge in {(g.source, g.node) for g in genes}}
    counts = Counter(gene.operation for gene in genes if is_parameter_free(gene.operation))
    empty = [edge for edge, names in on.items() if all(map(is_parameter_free, names))]
    skipping = [edge for edge, names in on.items() if all(name.startswith(_SKIP) for name in names)]
    sizes = [len(names) for names in on.values()]
    free = sum(map(is_parameter_free, candidates))
    # `none` is chosen in some spaces only: of the two ways to count, each time the one by which chance does more
    skips, computing = (sum(map(test, candidates)) for test in (lambda o: o.startswith(_SKIP), lambda o: o != NONE))
    return ParameterFree(
        group,
        tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        len(genes),
        len(on),
        tuple(sorted(empty, key=lambda edge: edge[::-1])),
        min(
            at_least(len(edges), [_all_of(marked, drawn, size) for size in sizes]) if 2 * len(edges) >= len(on) else 1.0
            for edges, marked, drawn in ((empty, free, len(candidates)), (skipping, skips, computing))
        ),
    )


def at_least(number: int, probabilities: Iterable[float]) -> float:
    """The probability that at least `number` of independent events happen (Poisson binomial; by the recursion of its sums)."""
    exactly = [1.0]
    """Entry i: the probability that i of the events so far happen."""
    for p in probabilities:
        exactly = [here * (1 - p) + before * p for here, before in zip([*exactly, 0.0], [0.0, *exactly], strict=True)]
    return min(1.0, sum(exactly[number:]))


def _all_of(marked: int, candidates: int, drawn: int) -> float:
    """The probability that all of the different candidates drawn on an edge are marked; 1 where there is nothing to draw from."""
    return comb(marked, drawn) / comb(candidates, drawn) if 0 < drawn <= candidates else 1.0
