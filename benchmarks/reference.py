"""The yardstick: DARTS' search network and evaluation network, written plainly and the way the published code is.

What is as published, and what the measured ratios are about: each edge owns its eight operations, each with a ReLU of its own;
`none` multiplies by 0 and is added like the others; every gate multiplies the output of its operation; NCHW; batch norms of
the search have no scale and no shift, but those of the stem.  Pooling is followed by such a batch norm in both networks, so
that the numbers equal those of `lnas.CellSpace` and `lnas.CellNetwork`; the published evaluation network has none there.

What was not made worse: the softmax of alpha is taken once a forward pass, not once a cell; a sum begins with its first term,
not with 0; no value is read back to the CPU within a step; drop path and the auxiliary head, which would cost both sides
alike, are left out.  The steps are in `reference_search`.
"""

from collections.abc import Iterator, Mapping
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn

import lnas

NODES = 4
OPERATIONS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
EDGES = tuple((source, node) for node in range(2, 2 + NODES) for source in range(node))


class Zero(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x.mul(0.0) if self.stride == 1 else x[:, :, :: self.stride, :: self.stride].mul(0.0)


class FactorizedReduce(nn.Module):
    """Half the resolution: two strided 1x1 convolutions, one of them a pixel further; sides must be even."""

    def __init__(self, inputs: int, outputs: int, affine: bool) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.first = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.second = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(outputs, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        normed: Tensor = self.norm(torch.cat([self.first(x), self.second(x[:, :, 1:, 1:])], 1))
        return normed


def relu_conv_norm(inputs: int, outputs: int, affine: bool) -> nn.Module:
    return nn.Sequential(nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs, affine=affine))


def separable(channels: int, kernel: int, stride: int, dilation: int, affine: bool) -> list[nn.Module]:
    padding = dilation * (kernel - 1) // 2
    return [
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels, affine=affine),
    ]


def operation(name: str, channels: int, stride: int, affine: bool) -> nn.Module:
    """(B, channels, H, W) -> (B, channels, H / stride, W / stride)."""
    match name.split("_"):
        case ["none"]:
            return Zero(stride)
        case ["skip", "connect"]:
            return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, affine)
        case ["max", "pool", "3x3"]:
            return nn.Sequential(nn.MaxPool2d(3, stride, 1), nn.BatchNorm2d(channels, affine=False))
        case ["avg", "pool", "3x3"]:
            pool = nn.AvgPool2d(3, stride, 1, count_include_pad=False)
            return nn.Sequential(pool, nn.BatchNorm2d(channels, affine=False))
        case ["sep", "conv", side]:
            kernel = int(side[0])
            return nn.Sequential(*separable(channels, kernel, stride, 1, affine), *separable(channels, kernel, 1, 1, affine))
        case ["dil", "conv", side]:
            return nn.Sequential(*separable(channels, int(side[0]), stride, 2, affine))
    raise ValueError(f"the reference has no operation {name!r}")


class MixedEdge(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.operations = nn.ModuleList(operation(name, channels, stride, affine=False) for name in OPERATIONS)

    def forward(self, x: Tensor, gates: Tensor) -> Tensor:
        """(B, C, H, W) and (operations,) -> (B, C, H', W')."""
        return reduce(add, (gate * apply(x) for gate, apply in zip(gates, self.operations, strict=True)))


class CellInputs(nn.Module):
    """Bring the outputs of the two cells before to the channels and the resolution of a cell."""

    def __init__(self, before: int, last: int, channels: int, halve: bool, affine: bool) -> None:
        super().__init__()
        self.before = (FactorizedReduce if halve else relu_conv_norm)(before, channels, affine)
        self.last = relu_conv_norm(last, channels, affine)

    def forward(self, before: Tensor, last: Tensor) -> list[Tensor]:
        return [self.before(before), self.last(last)]


class SearchCell(nn.Module):
    def __init__(self, inputs: CellInputs, channels: int, reduces: bool) -> None:
        super().__init__()
        self.inputs = inputs
        self.edges = nn.ModuleList(MixedEdge(channels, 2 if reduces and source < 2 else 1) for source, _ in EDGES)

    def forward(self, before: Tensor, last: Tensor, gates: Tensor) -> Tensor:
        """(B, *, H, W) twice and (edges, operations) -> (B, nodes · channels, H', W')."""
        states = self.inputs(before, last)
        at = 0
        for _ in range(NODES):
            terms = [self.edges[at + source](state, gates[at + source]) for source, state in enumerate(states)]
            at += len(states)
            states.append(reduce(add, terms))
        return torch.cat(states[2:], 1)


class DerivedCell(nn.Module):
    def __init__(self, genotype: lnas.Genotype, kind: str, inputs: CellInputs, channels: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.genes = sorted(genotype.groups[kind], key=lambda gene: gene.node)
        self.outputs = genotype.outputs[kind]
        self.operations = nn.ModuleList(
            operation(gene.operation, channels, 2 if kind == "reduce" and gene.source < 2 else 1, affine=True)
            for gene in self.genes
        )

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        """(B, *, H, W) twice -> (B, outputs · channels, H', W')."""
        states = self.inputs(before, last)
        for gene, apply in zip(self.genes, self.operations, strict=True):
            term = apply(states[gene.source])
            if gene.node == len(states):
                states.append(term)
            else:
                states[gene.node] = states[gene.node] + term
        return torch.cat([states[node] for node in self.outputs], 1)


def cells(channels: int, layers: int, outputs: int, affine: bool) -> Iterator[tuple[str, int, CellInputs]]:
    """Kind, channels and inputs of each cell: at 1/3 and 2/3 of the depth the channels double and the resolution halves."""
    before, last, width, halve = 3 * channels, 3 * channels, channels, False
    for layer in range(layers):
        reduces = layer in (layers // 3, 2 * layers // 3)
        width *= 2 if reduces else 1
        yield "reduce" if reduces else "normal", width, CellInputs(before, last, width, halve, affine)
        before, last, halve = last, outputs * width, reduces


def stem(pictures: int, channels: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(pictures, 3 * channels, 3, padding=1, bias=False), nn.BatchNorm2d(3 * channels))


class Supernet(nn.Module):
    """The search network; every cell of a kind has the same alpha, which is an argument."""

    def __init__(self, task: lnas.Task, channels: int, layers: int) -> None:
        super().__init__()
        self.stem = stem(task.shape[0], channels)
        self.kinds, self.cells = [], nn.ModuleList()
        for kind, width, inputs in cells(channels, layers, NODES, affine=False):
            self.kinds.append(kind)
            self.cells.append(SearchCell(inputs, width, kind == "reduce"))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(NODES * width, task.classes)

    def forward(self, x: Tensor, alpha: Mapping[str, Tensor]) -> Tensor:
        """(B, channels, H, W) and (edges, operations) of each kind -> logits (B, classes)."""
        gates = {kind: scores.softmax(-1) for kind, scores in alpha.items()}
        before = last = self.stem(x)
        for kind, cell in zip(self.kinds, self.cells, strict=True):
            before, last = last, cell(before, last, gates[kind])
        logits: Tensor = self.classifier(self.pool(last).flatten(1))
        return logits


class Network(nn.Module):
    """The evaluation network of a genotype whose cells all output as many nodes."""

    def __init__(self, genotype: lnas.Genotype, task: lnas.Task, channels: int, layers: int) -> None:
        super().__init__()
        outputs = len(genotype.outputs["normal"])
        self.stem = stem(task.shape[0], channels)
        self.cells = nn.ModuleList()
        for kind, width, inputs in cells(channels, layers, outputs, affine=True):
            self.cells.append(DerivedCell(genotype, kind, inputs, width))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(outputs * width, task.classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> logits (B, classes)."""
        before = last = self.stem(x)
        for cell in self.cells:
            before, last = last, cell(before, last)
        logits: Tensor = self.classifier(self.pool(last).flatten(1))
        return logits
