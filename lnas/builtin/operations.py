"""The candidate operations O: one table from a name to a module.

An operation maps (B, C, H, W) to (B, C, ceil(H / stride), ceil(W / stride)).  Convolutions follow the order ReLU,
convolution, batch norm (DARTS, Liu et al. 2019).  Pooling is followed by a batch norm without scale in the supernet and in
derived networks alike, as in the library that the paper's authors used, so that both compute the same.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import torch
from torch import Tensor, nn

from lnas.core.errors import UnknownNameError

MakeOperation: TypeAlias = Callable[[int, int, bool], nn.Module]
"""`make(channels, stride, affine)`; `affine`: whether batch norms have a scale and a shift."""

NONE = "none"
PARAMETER_FREE = frozenset({NONE, "skip_connect", "max_pool_3x3", "avg_pool_3x3"})
"""Operations without convolutions.  A normal cell of nothing else is how DARTS collapses."""


class ReluConvNorm(nn.Sequential):
    """ReLU, one convolution per (kernel, stride, padding), batch norm."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, padding: int = 0, affine: bool = True
    ) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(outputs, affine=affine),
        )


class SeparableConv(nn.Sequential):
    """ReLU, depthwise convolution (strided or dilated), pointwise convolution, batch norm."""

    def __init__(self, channels: int, kernel: int, *, stride: int, dilation: int = 1, affine: bool) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel, stride, dilation * (kernel - 1) // 2, dilation, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels, affine=affine),
        )


class FactorizedReduce(nn.Module):
    """Half the resolution without a kernel larger than 1: two strided convolutions on grids one pixel apart.

    (B, inputs, H, W) -> (B, outputs, ceil(H / 2), ceil(W / 2)); `outputs` must be even.
    """

    def __init__(self, inputs: int, outputs: int, *, affine: bool = True) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(inputs, outputs - outputs // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(outputs, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """Concatenate both grids, then normalise."""
        x = self.relu(x)
        height, width = x.shape[-2:]
        shifted = nn.functional.pad(x, (0, width % 2, 0, height % 2))[:, :, 1:, 1:]  # an odd side has no last odd pixel
        normed: Tensor = self.norm(torch.cat([self.even(x), self.odd(shifted)], 1))
        return normed


class AveragePool(nn.AvgPool2d):
    """3x3, padding 1, each window divided by the pixels within the picture.

    On a GPU it goes through NCHW: the gradient of a padded `avg_pool2d` in channels_last is wrong there, without a word, in torch
    2.11 and others (PyTorch issue 188344).
    """

    def __init__(self, stride: int) -> None:
        super().__init__(3, stride, 1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, ceil(H / stride), ceil(W / stride))."""
        return super().forward(x.contiguous() if x.is_cuda else x)


class Zero(nn.Module):
    """The operation `none`.  A supernet does not even run it; a derived network may hold it."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Zeros of the strided shape."""
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


def _pooling(pool: nn.Module, channels: int) -> nn.Module:
    return nn.Sequential(pool, nn.BatchNorm2d(channels, affine=False))


def _separable(channels: int, kernel: int, stride: int, affine: bool) -> nn.Module:
    return nn.Sequential(
        SeparableConv(channels, kernel, stride=stride, affine=affine),
        SeparableConv(channels, kernel, stride=1, affine=affine),
    )


def _one_by_seven(channels: int, stride: int, affine: bool) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, (1, 7), (1, stride), (0, 3), bias=False),
        nn.Conv2d(channels, channels, (7, 1), (stride, 1), (3, 0), bias=False),
        nn.BatchNorm2d(channels, affine=affine),
    )


OPERATIONS: Mapping[str, MakeOperation] = MappingProxyType(
    {
        NONE: lambda channels, stride, affine: Zero(stride),
        "max_pool_3x3": lambda channels, stride, affine: _pooling(nn.MaxPool2d(3, stride, 1), channels),
        "avg_pool_3x3": lambda channels, stride, affine: _pooling(AveragePool(stride), channels),
        "skip_connect": lambda channels, stride, affine: (
            nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, affine=affine)
        ),
        "sep_conv_3x3": lambda channels, stride, affine: _separable(channels, 3, stride, affine),
        "sep_conv_5x5": lambda channels, stride, affine: _separable(channels, 5, stride, affine),
        "sep_conv_7x7": lambda channels, stride, affine: _separable(channels, 7, stride, affine),
        "dil_conv_3x3": lambda channels, stride, affine: SeparableConv(channels, 3, stride=stride, dilation=2, affine=affine),
        "dil_conv_5x5": lambda channels, stride, affine: SeparableConv(channels, 5, stride=stride, dilation=2, affine=affine),
        "conv_7x1_1x7": _one_by_seven,
    }
)
"""Every operation that a cell may hold; the published genotypes use all of them."""

CANDIDATES = (
    NONE,
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""The eight operations that the paper searches over, in the order of alpha's columns."""


def operation(name: str, channels: int, *, stride: int = 1, affine: bool = True) -> nn.Module:
    """The module of an operation.

    Raises:
        UnknownNameError: naming the operations there are.
    """
    if name not in OPERATIONS:
        raise UnknownNameError("operation", name, OPERATIONS)
    return OPERATIONS[name](channels, stride, affine)
