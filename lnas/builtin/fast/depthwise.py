"""A depthwise convolution with the gradients that torch is slow at on the CPU.

One k x k kernel per channel: along each axis y[o] = Σ_t w[t] x[s o + d (t - h)], h = (k - 1) / 2, stride s, dilation d, and x = 0
outside.  torch's forward pass is fast for every k and d.  Its gradients are not: of the input for d > 1, and of the weight for
d > 1 or k > 3, since the fast kernel of oneDNN takes kernels of any height there, but of a width of at most 3 and no dilation.

Gradient of the input.  Stride 1: the convolution of the output's gradient with the kernel turned by half a circle.

Gradient of the weight.  Stride 1: a channels_last image lies in memory as (B, H, W, C), which is (B, H, W / f, f C) as well: f
times the channels, where one step to the side is a step of f columns.  A gradient of width 3 there, summed over the f groups of
channels, is that of the columns at -f, 0 and f of the kernel, and f = d, 2 d, ..., h d are all of them, without a copy.  Of the
d (k - 1) + 1 rows of this undilated kernel every d-th is wanted.  Stride 2, k = 5: columns -1, 0 and 1 are one gradient of width
3; -2 and 2 meet even columns of x only, where they are -1 and 1.

A common factor f of s and d: of each axis of x only every f-th pixel is read.  On those it is stride s / f and dilation d / f.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def depthwise(x: Tensor, weight: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
    """`conv2d(x, weight, None, stride, dilation * (k - 1) // 2, dilation, groups=C)`, with faster gradients on the CPU.

    x (B, C, H, W) in any memory format, best in channels_last; weight (C, 1, k, k) -> (B, C, ceil(H / stride), ceil(W / stride)).
    Autocast lowers it as it lowers `conv2d`.  Differentiable any number of times in reverse mode.  The gradient of the weight is
    computed only where it is asked for: `autograd.grad(loss, alpha)` passes it by.  On other devices, and for an even k, it is
    `conv2d` itself.
    """
    channels, kernel = x.shape[1], weight.shape[-1]
    usual = x.device.type == "cpu" and weight.shape == (channels, 1, kernel, kernel) and kernel % 2 == 1
    if not usual or kernel * dilation <= 3:  # there torch is as fast
        return functional.conv2d(x, weight, None, stride, dilation * (kernel - 1) // 2, dilation, channels)
    if torch.is_autocast_enabled("cpu") and x.dtype != torch.float64:
        lower = torch.get_autocast_dtype("cpu")
        x, weight = x.to(lower), weight.to(lower)
    path = _WeightPath.apply(weight, x.shape, stride, dilation) if weight.requires_grad else (None, None)
    y: Tensor = _Convolution.apply(x, weight, *path, stride, dilation)
    return y


def input_gradient(grad: Tensor, weight: Tensor, size: torch.Size, stride: int, dilation: int) -> Tensor:
    """The gradient of x, (B, C, H, W) = `size`, from that of the output and weight (C, 1, k, k), k odd.  Differentiable."""
    channels, kernel = size[1], weight.shape[-1]
    common = math.gcd(stride, dilation)
    if common > 1:
        read = torch.Size((*size[:2], *(-(-side // common) for side in size[2:])))
        by_read = input_gradient(grad, weight, read, stride // common, dilation // common)
        whole = torch.empty(size, dtype=grad.dtype, device=grad.device, memory_format=_format(grad)).zero_()
        whole[:, :, ::common, ::common] = by_read
        return whole
    padding = dilation * (kernel - 1) // 2
    if stride == 1:
        return functional.conv2d(grad, weight.flip(2, 3), None, 1, padding, dilation, channels)
    rest = [(side - 1) % stride for side in size[2:]]
    return functional.conv_transpose2d(grad, weight, None, stride, padding, rest, channels, dilation)


def weight_gradient(grad: Tensor, x: Tensor, kernel: int, stride: int, dilation: int) -> Tensor:
    """The gradient of the weight, (C, 1, kernel, kernel), from that of the output and x (B, C, H, W).  Differentiable."""
    common = math.gcd(stride, dilation)
    if common > 1:
        return weight_gradient(grad, x[:, :, ::common, ::common], kernel, stride // common, dilation // common)
    if stride == 1 and kernel > 1 and kernel * dilation > 3:
        grad, x, rows = _channels_last(grad), _channels_last(x), dilation * (kernel - 1) + 1
        columns = _three_columns(grad, x, rows, dilation)
        for step in range(2, kernel // 2 + 1):
            columns = _around(columns, _three_columns(grad, x, rows, dilation * step))
        return columns[:, :, ::dilation]
    if (kernel, stride, dilation) == (5, 2, 1):
        grad, x = _channels_last(grad), _channels_last(x)
        columns = _torch_weight_gradient(grad, x, (5, 3), (2, 2))
        return _around(columns, _torch_weight_gradient(grad, x[..., ::2], (5, 3), (2, 1)))
    return _torch_weight_gradient(grad, x, (kernel, kernel), (stride, stride), dilation)


def _three_columns(grad: Tensor, x: Tensor, height: int, step: int) -> Tensor:
    """The columns at -step, 0 and step of the gradient of an undilated kernel, (C, 1, height, 3); both images channels_last.

    Zeros at the lower and right border, which add nothing, make the sides fit: the width a multiple of `step`, and the height at
    least that of the kernel, below which oneDNN is slow.
    """
    batch, channels, rows, columns = x.shape
    lower, right = max(0, height - rows), -columns % step
    if lower or right:
        x, grad = (functional.pad(image, (0, right, 0, lower)) for image in (x, grad))
    if step == 1:
        return _torch_weight_gradient(grad, x, (height, 3), (1, 1))
    folded = (batch, rows + lower, (columns + right) // step, step * channels)
    x, grad = (image.permute(0, 2, 3, 1).reshape(folded).permute(0, 3, 1, 2) for image in (x, grad))
    return _torch_weight_gradient(grad, x, (height, 3), (1, 1)).view(step, channels, 1, height, 3).sum(0)


def _around(inner: Tensor, outer: Tensor) -> Tensor:
    """The first and the last column of `outer` to the left and the right of `inner`."""
    return torch.cat((outer[..., :1], inner, outer[..., 2:]), -1)


def _torch_weight_gradient(
    grad: Tensor, x: Tensor, kernel: tuple[int, int], stride: tuple[int, int], dilation: int = 1
) -> Tensor:
    """The same by torch's own kernels, for a kernel (C, 1, height, width) of odd sides: (C, 1, height, width)."""
    channels = x.shape[1]
    unread = x.new_empty(channels, 1, *kernel)
    padding = [dilation * (side // 2) for side in kernel]
    by_weight: Tensor = torch.ops.aten.convolution_backward(
        grad, x, unread, None, stride, padding, [dilation] * 2, False, [0, 0], channels, [False, True, False]
    )[1]
    return by_weight


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _format(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format


class _Convolution(torch.autograd.Function):
    """The convolution, with the gradient of x.  The weight's is that of `_WeightPath`, whose two outputs come in as `path`.

    One function for both gradients would compute both always: `needs_input_grad` says whether a tensor requires a gradient, not
    whether the caller asks for it.  Of two functions torch runs those that lead to what is asked for.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, *path_and_shape: Any) -> Tensor:
        *_, ctx.stride, ctx.dilation = path_and_shape
        ctx.save_for_backward(x, weight)
        padding = ctx.dilation * (weight.shape[-1] // 2)
        return functional.conv2d(x, weight, None, ctx.stride, padding, ctx.dilation, x.shape[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad = grad.contiguous(memory_format=_format(x))
        by_x = input_gradient(grad, weight, x.shape, ctx.stride, ctx.dilation) if ctx.needs_input_grad[0] else None
        path = (grad, x) if ctx.needs_input_grad[2] else (None, None)
        return by_x, None, *path, None, None


class _WeightPath(torch.autograd.Function):
    """Two zeros of the shapes of y and x, one number each in memory, which nobody reads.

    `_Convolution` hands back the gradient of y and x itself as their gradients.  Were x an input, this function would lead to all
    that x depends on.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, size: torch.Size, stride: int, dilation: int) -> tuple[Tensor, Tensor]:
        ctx.kernel, ctx.stride, ctx.dilation = weight.shape[-1], stride, dilation
        zero = weight.new_zeros(())
        return zero.expand(*size[:2], *(-(-side // stride) for side in size[2:])), zero.expand(size)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, x: Tensor) -> tuple[Tensor, None, None, None]:
        return weight_gradient(grad, x, ctx.kernel, ctx.stride, ctx.dilation), None, None, None
