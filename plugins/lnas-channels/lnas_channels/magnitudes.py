"""How large a channel is: the norm of all weights that go with it."""

from collections.abc import Iterable

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
    squares: dict[tuple[str, str, int], Tensor] = {}

    def square(layer: str, tensor: str, dim: int) -> Tensor:
        """The sum of squares of each row of a weight along a dimension."""
        key = (layer, tensor, dim)
        if key not in squares:
            weight = getattr(layers[layer], tensor).detach().cpu().double()
            squares[key] = weight.square().sum([d for d in range(weight.dim()) if d != dim])
        return squares[key]

    found = {}
    for group in groups:
        total = torch.zeros(len(group.entries), dtype=torch.float64)
        for port in sorted(group.ports):
            for tensor, dim in places(layers[port.layer], port.side):
                if getattr(layers[port.layer], tensor).dim() > 1:
                    rows = square(port.layer, tensor, dim)
                    # A set: channels of a grouped convolution can share a row.
                    pairs = {(k, c % len(rows)) for k, entry in enumerate(group.entries) for its, c in entry if its == port}
                    entries, places_of = (torch.tensor(side) for side in zip(*sorted(pairs), strict=True))
                    total.index_add_(0, entries, rows[places_of])
        found[group.name] = total.sqrt()
    return found
