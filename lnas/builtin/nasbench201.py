"""NAS-Bench-201 (Dong and Yang 2020): its architecture strings, and the networks that they describe.

A cell has four nodes, the first its input and the last its output, and one operation on each of the six edges from a node
to a later one: 5 to the power of 6, or 15,625 architectures.
"""

import re
from collections.abc import Sequence

from torch import Tensor, nn

from lnas.builtin.network import check_pictures, check_sizes
from lnas.builtin.operations import NONE, AveragePool, ReluConvNorm
from lnas.core.errors import GenotypeError, UnknownNameError
from lnas.core.genotype import Gene, Genotype
from lnas.core.types import Task

GROUP = "cell"
NODES = 4
EDGES = tuple((source, node) for node in range(1, NODES) for source in range(node))
OPERATIONS = (NONE, "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

_FORM = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
_FAULT = f"a NAS-Bench-201 cell has one operation on each of the edges {EDGES}"


def parse_nasbench201(text: str) -> Genotype:
    """A string such as `|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|` as a genotype.

    The parts between `+` are the nodes 1 to 3; `op~0` is an operation whose input is node 0.

    Raises:
        GenotypeError: where the text is of another form, or an operation does not exist.
    """
    genes = []
    for node, part in enumerate(text.strip().split("+"), 1):
        if not re.fullmatch(r"\|(\w+~\d+\|)+", part):
            raise GenotypeError(f"{text[:80]!r} is no NAS-Bench-201 architecture; one has the form {_FORM}")
        for term in part.strip("|").split("|"):
            operation, source = term.split("~")
            genes.append(Gene(operation, int(source), node))
    found = Genotype({GROUP: tuple(genes)}, {GROUP: (NODES - 1,)})
    if _edges(_checked(found)) != EDGES:
        raise GenotypeError(f"{_FAULT}, not {_edges(genes)}")
    if _edges(genes) != EDGES:
        raise GenotypeError(f"{text[:80]!r} names the inputs of a node out of order; the form is {_FORM}")
    return found


def unparse_nasbench201(genotype: Genotype) -> str:
    """The architecture string of a genotype: the inverse of `parse_nasbench201`.  An edge without a gene is one of `none`.

    Raises:
        GenotypeError: where the genotype is no NAS-Bench-201 cell, or one with weighted genes, which the string cannot say.
    """
    genes = _checked(genotype)
    for gene in genes:
        if gene.weight != 1.0:
            raise GenotypeError(f"a NAS-Bench-201 string cannot say that {gene.operation} is multiplied by {gene.weight:g}")
    if len(set(_edges(genes))) < len(genes):
        raise GenotypeError(f"{_FAULT}, not {_edges(genes)}")
    chosen = {(gene.source, gene.node): gene.operation for gene in genes}
    nodes = ([f"{chosen.get((source, node), NONE)}~{source}" for source in range(node)] for node in range(1, NODES))
    return "+".join(f"|{'|'.join(terms)}|" for terms in nodes)


class NasBench201Network(nn.Module):
    """The network that NAS-Bench-201 trains for a cell: three stages of equal cells, a residual block before the 2nd and 3rd.

    Args:
        genotype: with the group "cell", as `parse_nasbench201` gives it.  An edge may also hold several operations, with
            weights, or none at all: what is left of a pruned supernet.
        task: pictures (channels, height, width) and classes.
        channels: C of the first stage; each residual block doubles it and halves the resolution.
        cells: cells of each stage, N.

    Raises:
        GenotypeError: where the genotype is no NAS-Bench-201 cell.
        ConfigError: where a size is below 1 or the task's inputs are no pictures.
    """

    def __init__(self, genotype: Genotype, task: Task, *, channels: int = 16, cells: int = 5) -> None:
        super().__init__()
        check_pictures(task)
        check_sizes(channels=channels, cells=cells)
        genes = _checked(genotype)
        self.task = task
        self.stem = nn.Sequential(nn.Conv2d(task.shape[0], channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        body: list[nn.Module] = []
        for stage in range(3):
            if stage:
                body.append(ResidualBlock(channels, 2 * channels))
                channels *= 2
            body += [Cell(genes, channels) for _ in range(cells)]
        self.body = nn.Sequential(*body)
        self.last = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, task.classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> logits (B, classes)."""
        logits: Tensor = self.classifier(self.pool(self.last(self.body(self.stem(x)))).flatten(1))
        return logits


class Cell(nn.Module):
    """(B, C, H, W) -> the same shape; a node is the sum of its inputs' operations, `none` adding nothing."""

    def __init__(self, genes: tuple[Gene, ...], channels: int) -> None:
        super().__init__()
        self.genes = tuple(gene for gene in genes if gene.operation != NONE)
        self.operations = nn.ModuleList(_operation(gene.operation, channels) for gene in self.genes)

    def forward(self, x: Tensor) -> Tensor:
        """The last node; zeros where nothing leads into a node."""
        nodes: dict[int, Tensor] = {0: x}
        for gene, apply in zip(self.genes, self.operations, strict=True):
            source = nodes[gene.source] if gene.source in nodes else x.new_zeros(x.shape)
            term = apply(source) if gene.weight == 1.0 else gene.weight * apply(source)
            nodes[gene.node] = nodes[gene.node] + term if gene.node in nodes else term
        return nodes[NODES - 1] if NODES - 1 in nodes else x.new_zeros(x.shape)


class ResidualBlock(nn.Module):
    """(B, inputs, H, W) -> (B, outputs, ceil(H / 2), ceil(W / 2)).  An odd side rounds up on both ways, so that they add."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            ReluConvNorm(inputs, outputs, 3, stride=2, padding=1), ReluConvNorm(outputs, outputs, 3, padding=1)
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Two convolutions beside a pooled projection."""
        total: Tensor = self.shortcut(x) + self.residual(x)
        return total


def _operation(name: str, channels: int) -> nn.Module:
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return AveragePool(1)
    kernel = 1 if name == "nor_conv_1x1" else 3
    return ReluConvNorm(channels, channels, kernel, padding=kernel // 2)


def _checked(genotype: Genotype) -> tuple[Gene, ...]:
    """All genes in the order of `EDGES`; those of one edge in their own order."""
    if set(genotype.groups) != {GROUP}:
        raise GenotypeError(f"a NAS-Bench-201 genotype has the one group {GROUP!r}, not {sorted(genotype.groups)}")
    genes = tuple(sorted(genotype.groups[GROUP], key=lambda gene: (gene.node, gene.source)))
    for gene in genes:
        if gene.operation not in OPERATIONS:
            raise GenotypeError(str(UnknownNameError("NAS-Bench-201 operation", gene.operation, OPERATIONS)))
    if not set(EDGES).issuperset(_edges(genes)):
        raise GenotypeError(f"{_FAULT}, not {_edges(genes)}")
    if genotype.outputs.get(GROUP, ()) not in ((), (NODES - 1,)):
        raise GenotypeError(f"the output of a NAS-Bench-201 cell is node {NODES - 1}, not {genotype.outputs[GROUP]}")
    return genes


def _edges(genes: Sequence[Gene]) -> tuple[tuple[int, int], ...]:
    return tuple((gene.source, gene.node) for gene in genes)
