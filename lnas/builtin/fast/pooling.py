"""Average pooling as the depthwise convolution that it is: every weight is 1, and each sum is divided by its count."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lnas.builtin.fast.depthwise import input_gradient


def average_pool(x: Tensor, stride: int = 1) -> Tensor:
    """`avg_pool2d(x, 3, stride, padding=1, count_include_pad=False)`, faster on the CPU, forward and backward.

    x (B, C, H, W) in any memory format -> (B, C, ceil(H / stride), ceil(W / stride)) of its dtype, under autocast too.
    Differentiable any number of times in reverse mode.  `avg_pool2d` itself on other devices, with a stride in channels_last,
    where it is as fast, and below single precision, where it rounds once instead of three times.  On a GPU it goes through NCHW,
    as `AveragePool` does, and gives the layout of x.
    """
    if x.is_cuda:
        layout = torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
        pooled = functional.avg_pool2d(x.contiguous(), 3, stride, 1, count_include_pad=False)
        return pooled.contiguous(memory_format=layout)
    strided = stride > 1 and x.is_contiguous(memory_format=torch.channels_last)
    if x.device.type != "cpu" or strided or x.dtype not in (torch.float32, torch.float64):
        return functional.avg_pool2d(x, 3, stride, 1, count_include_pad=False)
    y: Tensor = _AveragePool.apply(x, stride)
    return y


class _AveragePool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, stride: int) -> Tensor:
        channels = x.shape[1]
        ones = x.new_ones(channels, 1, 3, 3)
        share = 1 / functional.avg_pool2d(x.new_ones(1, 1, *x.shape[2:]), 3, stride, 1, divisor_override=1)  # of each summand
        ctx.save_for_backward(ones, share)
        ctx.size, ctx.stride = x.shape, stride
        with torch.autocast("cpu", enabled=False):
            return functional.conv2d(x, ones, None, stride, 1, 1, channels).mul_(share)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        ones, share = ctx.saved_tensors
        with torch.autocast("cpu", enabled=False):
            return input_gradient(grad * share, ones, ctx.size, ctx.stride, 1), None
