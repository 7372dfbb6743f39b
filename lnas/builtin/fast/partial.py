"""Partial channel connections, node by node: what edges share is computed once, and channels are shuffled once.

The edges of a node give Σ_e shuffle([m_e, w_e x''_e]), m_e the mix of e's candidates, x''_e what goes past them and w_e the sum
of the open gates.  The shuffle is linear: it is shuffle([Σ_e m_e, Σ_e w_e x''_e]), and the first sum is that of a node whose
channels are narrower.
"""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from lnas.builtin.fast.concatenation import together
from lnas.builtin.fast.node import Source
from lnas.builtin.mixed import check_beside, past


class Divided:
    """A state of a cell: the channels that candidates read, and those that go past them.

    Args:
        source: the state, C channels.
        partial: K; C / K channels go through the candidates, all where it is 1.

    Attributes:
        x: the state, (B, C, H, W).
    """

    def __init__(self, source: Source, partial: int) -> None:
        self.x = source.x
        self._source = source
        self._partial = partial
        self._past: dict[int, Tensor] = {}

    @cached_property
    def through(self) -> Source:
        """The first C / K channels."""
        return self._source if self._partial == 1 else Source(self._parts[0])

    def past(self, stride: int) -> Tensor:
        """The other channels, at the resolution of what the candidates give."""
        if stride not in self._past:
            self._past[stride] = past(self._parts[1], stride)
        return self._past[stride]

    @cached_property
    def _parts(self) -> tuple[Tensor, ...]:
        width = self.x.shape[1] // self._partial
        return torch.split(self.x, [width, self.x.shape[1] - width], 1)


def joined(mixed: Tensor, others: Sequence[tuple[Tensor, Tensor]], partial: int) -> Tensor:
    """shuffle([mixed, Σ weight · x'']), in channels_last.

    Args:
        mixed: (B, C / partial, H, W).
        others: x'' (B, C - C / partial, H, W) and 0-d weight of each edge, at least one.
        partial: K.

    Raises:
        ConfigError: where `mixed` has another shape.
    """
    (first, weight), *rest = others
    total = weight * first
    for x, weight in rest:
        total = total + weight * x
    width = total.shape[1] // (partial - 1)
    check_beside(mixed, (len(total), width, *total.shape[2:]))
    inner = together(mixed).permute(0, 2, 3, 1).unsqueeze(4)  # (B, H, W, C / K, 1)
    outer = torch.unflatten(together(total).permute(0, 2, 3, 1), 3, (partial - 1, width)).transpose(3, 4)
    return torch.cat([inner, outer], 4).flatten(3).permute(0, 3, 1, 2)
