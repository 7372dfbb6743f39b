"""From dead channels to tensors: what is set to zero in place, and what is cut away for good."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import lnas
from lnas_channels.copies import copy_of
from lnas_channels.groups import Group
from lnas_channels.layers import UNTOUCHED, Port, channels, extent, places, resize


@dataclass(frozen=True)
class Cut:
    """What is dead of one tensor: a row for each of its dimensions that has dead entries, True where dead."""

    layer: str
    tensor: str
    dims: int
    dead: Mapping[int, Tensor]

    def mask(self) -> Tensor:
        """True where dead, on the CPU, of a shape that broadcasts to the tensor's."""
        whole = torch.zeros((1,) * self.dims, dtype=torch.bool)
        for dim, row in self.dead.items():
            whole = whole | row.view([-1 if d == dim else 1 for d in range(self.dims)])
        return whole


def dead_channels(groups: Iterable[Group], masks: Mapping[str, Tensor]) -> dict[Port, set[int]]:
    """The channels that go with the masked entries, by port."""
    dead: dict[Port, set[int]] = {}
    for group in groups:
        for entry, alive in zip(group.entries, masks[group.name].tolist(), strict=True):
            if not alive:
                for port, channel in entry:
                    dead.setdefault(port, set()).add(channel)
    return dead


def cuts(layers: Mapping[str, nn.Module], dead: Mapping[Port, set[int]]) -> list[Cut]:
    """What dead channels mean for the tensors of a network."""
    rows: dict[tuple[str, str], dict[int, Tensor]] = {}
    for port, gone in dead.items():
        layer = layers[port.layer]
        for place in places(layer, port.side):
            size = getattr(layer, place.tensor).shape[place.dim]
            row = torch.zeros(size, dtype=torch.bool)
            row[[channel % size for channel in gone]] = True
            rows.setdefault((port.layer, place.tensor), {})[place.dim] = row
    return [Cut(layer, tensor, getattr(layers[layer], tensor).dim(), dead_rows) for (layer, tensor), dead_rows in rows.items()]


@torch.no_grad()
def zero(network: nn.Module, dead: Mapping[Port, set[int]]) -> None:
    """Set whatever belongs to dead channels to exactly 0."""
    layers = dict(network.named_modules())
    for cut in cuts(layers, dead):
        if cut.tensor not in UNTOUCHED:
            tensor = getattr(layers[cut.layer], cut.tensor)
            tensor.masked_fill_(cut.mask().to(tensor.device), 0)


@torch.no_grad()
def without(network: nn.Module, dead: Mapping[Port, set[int]]) -> nn.Module:
    """A copy of the network that has no dead channels.

    Raises:
        SparsityError: where a layer has another number of channels afterwards than it should.
    """
    small = copy_of(network)
    layers = dict(small.named_modules())
    aims = {port: channels(layers[port.layer], port.side) - len(gone) for port, gone in dead.items()}
    for cut in cuts(layers, dead):
        _shrink(layers[cut.layer], cut)
    for port in sorted(dead, key=lambda port: port.side, reverse=True):  # out before in
        resize(layers[port.layer], port.side, aims[port])
    _check_counts(layers, aims)
    return small


def _shrink(layer: nn.Module, cut: Cut) -> None:
    old = getattr(layer, cut.tensor)
    new = old.detach()
    for dim, row in cut.dead.items():
        new = new.index_select(dim, (~row).nonzero().flatten().to(old.device))
    new = new.clone(memory_format=torch.contiguous_format)
    setattr(layer, cut.tensor, nn.Parameter(new, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else new)


def _check_counts(layers: Mapping[str, nn.Module], aims: Mapping[Port, int]) -> None:
    """Compare with the tensors themselves what each layer should have left."""
    for port, aim in aims.items():
        layer = layers[port.layer]
        found = {channels(layer, port.side), *(extent(layer, place) for place in places(layer, port.side))}
        if found != {aim} or aim < 1:
            counts = " and ".join(map(str, sorted(found)))
            raise lnas.SparsityError(f"channels: layer {port.layer} has {counts} channels {port.side} where {aim} should be left")
