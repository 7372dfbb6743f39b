"""How large a channel is: the norm of all weights that go with it."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from lnas_channels.groups import Group
from lnas_channels.layers import places


@torch.no_grad()
def norms(network: nn.Module, groups: Iterable[Group]) -> dict[str, Tensor]:
    """group -> (entries,) float64 on the CPU: the L2 norm of the convolution and linear weights of each entry.

    These are the filters that make its channels and what other layers do with them (after Li et al. 2017, who take the
    filters alone); biases and normalisations are measured in other units and stay out.
    """
    layers = dict(network.named_modules())
    squares: dict[str, Tensor] = {}
    found = {}
    for group in groups:
        total = torch.zeros(len(group.entries), dtype=torch.float64)
        for layer, lines in _lines(group, layers).items():
            if layer not in squares:
                weight = layers[layer].get_parameter("weight").detach().cpu().double()
                squares[layer] = weight.square().flatten(2).sum(2) if weight.dim() > 2 else weight.square()
            for dim, members in lines.items():
                across = squares[layer].sum(1 - dim)
                for entry, indices in enumerate(members):
                    total[entry] += across[sorted(indices)].sum()
            if len(lines) == 2:  # what lies on both a row and a column was counted twice
                for entry, (rows, columns) in enumerate(zip(lines[0], lines[1], strict=True)):
                    total[entry] -= squares[layer][sorted(rows)][:, sorted(columns)].sum()
        found[group.name] = total.sqrt()
    return found


def _lines(group: Group, layers: Mapping[str, nn.Module]) -> dict[str, dict[int, list[set[int]]]]:
    """layer -> dimension of its weight -> for each entry, the rows (or columns) that go; a set, for channels may share one."""
    found: dict[str, dict[int, list[set[int]]]] = {}
    for port in group.ports:
        layer = layers[port.layer]
        for tensor, dim in places(layer, port.side):
            if getattr(layer, tensor).dim() > 1:
                size = getattr(layer, tensor).shape[dim]
                lines = [{channel % size for its, channel in entry if its == port} for entry in group.entries]
                found.setdefault(port.layer, {})[dim] = lines
    return found
