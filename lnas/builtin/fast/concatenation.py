"""The nodes of a cell side by side, with gradients in the layout that batch norms and products are fast in.

torch gives each part of a concatenation a slice of the gradient, whose channels are not next to each other: the backward pass of
a batch norm is six times slower on it.  One copy of each slice, made here, serves all that the part was computed from.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def concatenated(parts: Sequence[Tensor]) -> Tensor:
    """`torch.cat(parts, 1)` of (B, C, H, W) each."""
    whole: Tensor = _Concatenated.apply(*parts)
    return whole


class _Concatenated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *parts: Tensor) -> Tensor:
        ctx.channels = [part.shape[1] for part in parts]
        return torch.cat(parts, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        return tuple(part.contiguous(memory_format=torch.channels_last) for part in torch.split(gradient, ctx.channels, 1))
