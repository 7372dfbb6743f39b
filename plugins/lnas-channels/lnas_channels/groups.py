"""Groups: sets of channels that compete, each entry with all that has to go with it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor, nn

from lnas_channels.graph import KEPT, dependences
from lnas_channels.layers import ROOTS, Port, couplings

Channel: TypeAlias = tuple[Port, int]
"""One channel of one port."""


@dataclass(frozen=True)
class Group:
    """Channels of the same ports.  Removing an entry removes its channels from every port.

    Attributes:
        name: the first layer that makes the channels; with "[i:]" where the group begins at its channel i.
        entries: for each entry, the channels that go with it.
        producers: layers that make channels, beside those that only pass them on: more than one where results are added.
    """

    name: str
    entries: tuple[tuple[Channel, ...], ...]
    producers: tuple[str, ...]

    @property
    def ports(self) -> frozenset[Port]:
        """Where its channels are."""
        return frozenset(port for port, _ in self.entries[0])


def groups_of(network: nn.Module, inputs: Sequence[Tensor]) -> list[Group]:
    """The groups of a network, in the order of its layers.  What cannot go, and a lone entry, is in none.

    Args:
        network: a copy that may be spoilt.
        inputs: what it is called with.

    Raises:
        PluginError: where torch-pruning cannot trace the network.
    """
    ties = _Ties()
    traced = set()
    for found in dependences(network, inputs):
        root = found[0].port
        for dependence in found:
            traced.add(dependence.port.layer)
            for k, channel in enumerate(dependence.channels):
                ties.tie((root, channel), (dependence.port, dependence.theirs[k] if dependence.port != KEPT else 0))
    layers = dict(network.named_modules())
    for name in traced - {KEPT.layer}:
        for coupled in couplings(layers[name]):
            (side, index), *others = coupled
            for other, theirs in others:
                ties.tie((Port(name, side), index), (Port(name, other), theirs))
    alike: dict[frozenset[Port], list[list[Channel]]] = {}
    for entry in ties.sets():
        if (KEPT, 0) not in entry:
            alike.setdefault(frozenset(port for port, _ in entry), []).append(entry)
    makers = [Port(name, "out") for name, layer in layers.items() if isinstance(layer, ROOTS)]
    found_groups = []
    for ports, entries in alike.items():
        if len(entries) > 1:
            order, root = next((order, port) for order, port in enumerate(makers) if port in ports)
            producers = [layer for layer, side in makers if (layer, side) in ports and (layer, "in") not in ports]
            found_groups.append((order, *_group(root, entries, producers)))
    return [group for _, _, group in sorted(found_groups, key=lambda found: found[:2])]


def _group(root: Port, entries: list[list[Channel]], producers: list[str]) -> tuple[int, Group]:
    """A group, and the first channel of the layer that it is named by."""

    def first(entry: list[Channel]) -> int:
        return min(index for port, index in entry if port == root)

    ordered = sorted(entries, key=first)
    begin = first(ordered[0])
    name = f"{root.layer}[{begin}:]" if begin else root.layer
    return begin, Group(name, tuple(tuple(sorted(entry)) for entry in ordered), tuple(producers))


class _Ties:
    """A union-find over channels, filled by `tie`."""

    def __init__(self) -> None:
        self.parent: dict[Channel, Channel] = {}

    def tie(self, one: Channel, other: Channel) -> None:
        one, other = self._root(one), self._root(other)
        if one != other:
            self.parent[other] = one

    def sets(self) -> Iterator[list[Channel]]:
        found: dict[Channel, list[Channel]] = {}
        for channel in self.parent:
            found.setdefault(self._root(channel), []).append(channel)
        return iter(found.values())

    def _root(self, channel: Channel) -> Channel:
        parent = self.parent.setdefault(channel, channel)
        while parent != channel:
            self.parent[channel] = self.parent[parent]
            channel, parent = parent, self.parent[channel]
        return channel
