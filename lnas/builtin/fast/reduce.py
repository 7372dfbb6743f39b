"""A factorized reduce without shifted copies of its input.

Its two 1x1 convolutions of stride 2 read the pixels (2i, 2j) and (2i + 1, 2j + 1) of relu(x).  They are taken out first, a
quarter of x each, and put back into one tensor of zeros in the backward pass; the convolutions then have stride 1.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lnas.builtin.fast.concatenation import concatenated
from lnas.builtin.fast.layout import laid_out
from lnas.builtin.operations import FactorizedReduce


def reduced(operation: FactorizedReduce, halves: tuple[Tensor, Tensor]) -> Tensor:
    """What `operation` gives for x, from `halves(relu(x))`: (B, outputs, ceil(H / 2), ceil(W / 2))."""
    even, odd = halves
    both = functional.conv2d(even, operation.even.weight), functional.conv2d(odd, operation.odd.weight)
    value: Tensor = operation.norm(concatenated(both))
    return value


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """x[:, :, ::2, ::2] and x[:, :, 1::2, 1::2], each (B, C, ceil(H / 2), ceil(W / 2)); beyond an odd side is 0."""
    even, odd = _Halves.apply(x)
    return even, odd


class _Halves(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.size = x.shape
        height, width = x.shape[2:]
        even = laid_out(x[:, :, ::2, ::2])
        odd = functional.pad(x[:, :, 1::2, 1::2], (0, width % 2, 0, height % 2))
        return even, laid_out(odd)

    @staticmethod
    def backward(ctx: Any, by_even: Tensor, by_odd: Tensor) -> Tensor:
        height, width = ctx.size[2:]
        by_x = laid_out(by_even.new_zeros(ctx.size))
        by_x[:, :, ::2, ::2] = by_even
        by_x[:, :, 1::2, 1::2] = by_odd[:, :, : height // 2, : width // 2]
        return by_x
