"""MixedCell: a cell of the supernet, all five operations on each of its six edges."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

import lnas
from lnas_nasbench201.enumeration import EDGES, NODES, OPERATIONS


class MixedCell(nn.Module):
    """(B, C, H, W) -> the same shape: a node is the sum of its edges, each a weighted sum of its open operations.

    The batch norms have no scale and no shift, as in the benchmark's search: a scale would take the place of a gate.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(lnas.MixedOperation({name: _operation(name, channels) for name in OPERATIONS}) for _ in EDGES)

    def forward(self, x: Tensor, gates: Sequence[Sequence[Tensor]], paths: Sequence[Sequence[bool]]) -> Tensor:
        """The last node; a node without an open path that computes something is 0."""
        nodes: list[Tensor | None] = [x, *[None] * (NODES - 1)]
        for (source, node), edge, gate, opened in zip(EDGES, self.edges, gates, paths, strict=True):
            read, sofar = nodes[source], nodes[node]
            term = edge(torch.zeros_like(x) if read is None else read, gate, opened)
            if term is not None:
                nodes[node] = term if sofar is None else sofar + term
        output = nodes[-1]
        return torch.zeros_like(x) if output is None else output

    def release(self, alive: Sequence[Sequence[bool]]) -> None:
        """Delete the operations of dead paths."""
        for edge, row in zip(self.edges, alive, strict=True):
            assert isinstance(edge, lnas.MixedOperation)
            edge.release(row)


def _operation(name: str, channels: int) -> nn.Module:
    """A candidate; no mixture holds the module of `none`."""
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    if not name.startswith("nor_conv"):
        return nn.Identity()
    kernel = 1 if name == "nor_conv_1x1" else 3
    convolution = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(channels, affine=False))
