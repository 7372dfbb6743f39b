"""Which modules another computation may stand in for: those that are to the last setting what the table of operations makes.

Anything else runs as it is: an operation of a stranger, a built-in one with a part replaced, one that somebody watches.
"""

from typing import NamedTuple, TypeGuard

from torch import nn
from torch.nn.modules import module as global_hooks

from lnas.builtin.operations import AveragePool, FactorizedReduce, ReluConvNorm, SeparableConv


class Stage(NamedTuple):
    """A separable convolution behind its ReLU."""

    depthwise: nn.Conv2d
    pointwise: nn.Conv2d
    norm: nn.BatchNorm2d


class Pooling(NamedTuple):
    """A 3x3 pooling of padding 1 and a batch norm without scale."""

    pool: nn.MaxPool2d | AveragePool
    norm: nn.BatchNorm2d
    stride: int


def watched(*modules: nn.Module) -> bool:
    """Whether somebody would notice that one of these modules is not called: a hook on it or on all, a `forward` of its own."""
    return bool(global_hooks._global_forward_hooks or global_hooks._global_forward_pre_hooks) or any(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or "forward" in vars(module)
        for module in modules
    )


def stages(operation: nn.Module) -> list[Stage]:
    """The separable convolutions that it is made of; none where it is anything else."""
    if type(operation) is SeparableConv:
        parts: list[nn.Module] = [operation]
    elif type(operation) is nn.Sequential and not watched(operation):
        parts = list(operation)
    else:
        return []
    found = [stage for part in parts if (stage := _stage(part))]
    return found if len(found) == len(parts) else []


def pooling(operation: nn.Module) -> Pooling | None:
    """A pooling of the table; None where it is anything else."""
    if type(operation) is not nn.Sequential or len(operation) != 2 or watched(operation, *operation):
        return None
    pool, norm = operation
    if not _of_the_batch(norm) or norm.affine or not isinstance(pool, nn.MaxPool2d | AveragePool):
        return None
    if type(pool) is nn.MaxPool2d:
        usual = pool.dilation == 1 and not pool.return_indices
    else:
        usual = type(pool) is AveragePool and not pool.count_include_pad and pool.divisor_override is None
    if not usual or pool.ceil_mode or (pool.kernel_size, pool.padding) != (3, 1) or not isinstance(pool.stride, int):
        return None
    return Pooling(pool, norm, pool.stride)


def factorized_reduce(operation: nn.Module) -> TypeGuard[FactorizedReduce]:
    """Whether it is the factorized reduce of the table."""
    if type(operation) is not FactorizedReduce or watched(operation, *operation.children()):
        return False
    return type(operation.relu) is nn.ReLU and all(
        _convolves(part, kernel=1) and part.stride == (2, 2) for part in (operation.even, operation.odd)
    )


def relu_conv_norm(operation: nn.Module) -> TypeGuard[ReluConvNorm]:
    """Whether a ReLU stands first, so that what follows may be given an input that went through one."""
    return type(operation) is ReluConvNorm and type(operation[0]) is nn.ReLU and not watched(operation, *operation)


def _stage(part: nn.Module) -> Stage | None:
    if type(part) is not SeparableConv or len(part) != 4 or watched(part, *part):
        return None
    relu, depthwise, pointwise, norm = part
    if type(relu) is not nn.ReLU or not _of_the_batch(norm) or type(depthwise) is not nn.Conv2d:
        return None
    kernel, stride, dilation = depthwise.kernel_size[0], depthwise.stride[0], depthwise.dilation[0]
    padding = dilation * (kernel - 1) // 2
    usual = (
        kernel % 2 == 1
        and depthwise.kernel_size == (kernel, kernel)
        and depthwise.stride == (stride, stride)
        and depthwise.dilation == (dilation, dilation)
        and depthwise.padding == (padding, padding)
        and depthwise.padding_mode == "zeros"
        and depthwise.bias is None
        and depthwise.in_channels == depthwise.out_channels == depthwise.groups
    )
    if not usual or not _convolves(pointwise, kernel=1) or pointwise.stride != (1, 1):
        return None
    return Stage(depthwise, pointwise, norm)


def _convolves(part: nn.Module, *, kernel: int) -> TypeGuard[nn.Conv2d]:
    """Whether it is an ungrouped convolution without padding and bias."""
    return (
        type(part) is nn.Conv2d
        and part.kernel_size == (kernel, kernel)
        and part.padding == (0, 0)
        and part.groups == 1
        and part.bias is None
    )


def _of_the_batch(norm: nn.Module) -> TypeGuard[nn.BatchNorm2d]:
    """Whether it is an ordinary batch norm that normalises by the batch now, with running statistics that decay."""
    return type(norm) is nn.BatchNorm2d and norm.training and norm.momentum is not None
