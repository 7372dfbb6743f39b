"""One node of a cell, a weighted sum of operations, with as little work as its operations allow.

Separable and dilated convolutions go into the fused mix.  What several edges need of one state, its ReLU and its normalised
pooling, is computed once.  Any other operation, and any that carries hooks, runs as it is, and is added.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lnas.builtin.fast.depthwise import depthwise
from lnas.builtin.fast.layout import laid_out
from lnas.builtin.fast.mix import Convolution, mix
from lnas.builtin.fast.norms import track
from lnas.builtin.fast.pooling import average_pool
from lnas.builtin.fast.recognised import Pooling, Stage, factorized_reduce, pooling, relu_conv_norm, stages
from lnas.builtin.fast.reduce import halves, reduced
from lnas.builtin.fast.rows import batch_sum, exact, stacked
from lnas.builtin.operations import AveragePool
from lnas.core.errors import ConfigError


class Source:
    """A state of a cell and what edges share of it, each part computed when it is first asked for.

    Args:
        x: (B, C, H, W).
        positive: relu(x), where it is there already.
    """

    def __init__(self, x: Tensor, positive: Tensor | None = None) -> None:
        self.x = laid_out(x)
        self._positive = positive
        self._pooled: dict[object, tuple[Tensor, Tensor, Tensor]] = {}

    @property
    def positive(self) -> Tensor:
        """relu(x)."""
        if self._positive is None:
            self._positive = functional.relu(self.x)
        return self._positive

    @cached_property
    def positive_sum(self) -> Tensor:
        """(1, C, H, W), of relu(x) over the batch."""
        return batch_sum(self.positive)

    @cached_property
    def halves(self) -> tuple[Tensor, Tensor]:
        """Of relu(x), what a factorized reduce reads."""
        return halves(self.positive)

    def pooled(self, pooling: Pooling) -> Tensor:
        """BN(pool(x)); every edge keeps running statistics of its own, of the one batch."""
        pool, norm, stride = pooling
        key = (type(pool), stride, norm.eps)
        if key not in self._pooled:
            value = average_pool(self.x, stride) if isinstance(pool, AveragePool) else pool(self.x)
            mean, variance = torch.zeros(2, value.shape[1], dtype=exact(value.dtype), device=value.device)
            value = functional.batch_norm(value, mean, variance, training=True, momentum=1.0, eps=norm.eps)
            self._pooled[key] = value, mean, variance
        value, mean, variance = self._pooled[key]
        track([norm], [mean], [variance])
        return value


def prepared(operation: nn.Module, source: Source) -> Source:
    """A state of a cell from an output of an earlier one, by a `ReluConvNorm` or a `FactorizedReduce`."""
    if factorized_reduce(operation):
        return Source(reduced(operation, source.halves))
    if relu_conv_norm(operation):
        _, convolution, norm = operation
        return Source(norm(convolution(source.positive)))
    return Source(operation(source.x))


class Member(NamedTuple):
    """One operation of the sum.

    Attributes:
        operation: maps (B, C, H, W) to the shape of the sum.
        source: what it is applied to.
        gate: its weight, 0-d where it is learned.
    """

    operation: nn.Module
    source: Source
    gate: Tensor | float


def weighted_sum(members: Sequence[Member], *, fused_from: float) -> Tensor:
    """Σ gate · operation(source) of at least one member, in training mode.

    Args:
        members: what to add up.
        fused_from: how many numbers the outputs of all separable convolutions must have together to go through the fused mix.
            It keeps a fifth of the memory for the backward pass, but has two matrix products more, C² operations each per
            place, and no batch norm, some C: where memory is no matter, only the depthwise gradients are replaced.

    Raises:
        ConfigError: where two operations give different shapes.
    """
    separated = [stages(member.operation) for member in members]
    fused = sum(_numbers(parts, member.source.x) for parts, member in zip(separated, members, strict=True)) >= fused_from
    terms: list[_Term] = []
    values: list[tuple[Tensor, Tensor | float]] = []
    for parts, (operation, source, gate) in zip(separated, members, strict=True):
        if parts and not fused:
            values.append((_one_by_one(parts, source.positive), gate))
        elif parts:
            x, x_sum = source.positive, source.positive_sum
            for stage in parts[:-1]:
                x = _mixed([_Term(stage, x, x_sum, 1.0)], relu=True)
                x_sum = batch_sum(x)
            terms.append(_Term(parts[-1], x, x_sum, gate))
        elif pools := pooling(operation):
            values.append((source.pooled(pools), gate))
        elif factorized_reduce(operation):
            values.append((reduced(operation, source.halves), gate))
        else:
            values.append((operation(source.x), gate))
    if terms:
        total = _mixed(terms, [(value, gate) for value, gate in values if isinstance(gate, Tensor)])
        values = [(value, gate) for value, gate in values if not isinstance(gate, Tensor)]
    else:
        (first, gate), *values = values
        total = _times(first, gate)
    for value, gate in values:
        _check_shape(value, total.shape)
        total = total + _times(value, gate)
    return total


def _numbers(parts: Sequence[Stage], x: Tensor) -> int:
    """Of all outputs of the stages, applied to x (B, C, H, W)."""
    if not parts:
        return 0
    stride = parts[0].depthwise.stride[0]
    return len(parts) * x.shape[0] * x.shape[1] * -(-x.shape[2] // stride) * -(-x.shape[3] // stride)


class _Term(NamedTuple):
    stage: Stage
    x: Tensor
    x_sum: Tensor
    gate: Tensor | float


def _mixed(terms: Sequence[_Term], values: Sequence[tuple[Tensor, Tensor]] = (), *, relu: bool = False) -> Tensor:
    """The mix, and the step of the running statistics."""
    convolutions, scales, shifts, norms = [], [], [], []
    for (first, pointwise, norm), x, x_sum, gate in terms:
        stride = first.stride[0]
        convolutions.append(Convolution(x, x_sum, first.weight, pointwise.weight, stride, first.dilation[0], norm.eps))
        norms.append(norm)
        scales.append(_times(pointwise.weight.new_ones(pointwise.out_channels) if norm.weight is None else norm.weight, gate))
        if norm.bias is not None:
            shifts.append(_times(norm.bias, gate))
    for value, _ in values:
        _check_shape(value, (len(x), pointwise.out_channels, *(-(-side // stride) for side in x.shape[2:])))
    shift = torch.stack(shifts).sum(0) if shifts else None
    value, mean, variance, places = mix(convolutions, stacked(scales), shift, values, relu=relu)
    track(norms, mean.unbind(), (variance * (places / (places - 1))).unbind())
    return value


def _one_by_one(stages: Sequence[Stage], x: Tensor) -> Tensor:
    """The stages with a ReLU between them, on x behind its ReLU."""
    for index, (first, pointwise, norm) in enumerate(stages):
        x = x.relu_() if index else x  # in place on the output of a norm, which does not need it again
        x = norm(pointwise(depthwise(x, first.weight, first.stride[0], first.dilation[0])))
    return x


def _times(value: Tensor, gate: Tensor | float) -> Tensor:
    return value if isinstance(gate, float) and gate == 1 else gate * value


def _check_shape(value: Tensor, shape: Sequence[int]) -> None:
    if tuple(value.shape) != tuple(shape):  # a sum would broadcast without a word
        raise ConfigError(f"one candidate gives {tuple(value.shape)}, another {tuple(shape)}; all must give one shape")
