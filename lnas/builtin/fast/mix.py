"""The fused mix: a weighted sum of normalised separable convolutions as one accumulated matrix product.

Term k is c_k ⊙ BN(W_k d_k).  d_k (C, M) is the depthwise convolution of x_k at M = batch · height · width places, W_k
(outputs, C) the pointwise weights, BN a batch norm without scale and shift, c_k (outputs,) a gate times whatever scale the norm
had.  With m = mean(d), d' = d - m and S = d' d'ᵀ / M, the covariance of d, (C, C):

    mean(W d) = W m        var(W d) = diag(W S Wᵀ)        s = (var + eps)^(-1/2)

Once S is known, BN(W d) = diag(s) W d' is linear, and the sum over k is the accumulated product Σ_k (diag(c_k s_k) W_k) d'_k: no
normalised output is ever written down.  The mean of a linear map is the map of the mean: m is taken from the convolution of
the batch's sum, a tensor of one sample, and subtracted as the bias of the convolution.

Backward, with G (outputs, M) the gradient of the sum, P = G d'ᵀ (outputs, C), z = diag(s) W d' and h = Σ_M G ⊙ z
= s ⊙ diag(P Wᵀ): the gradient of a batch norm by its input is diag(c s) (G - mean(G) - diag(h / M) z), so

    dL/dc = h
    dL/dW = diag(c s) (P - diag(h s) W S)
    dL/dd = Wᵀ diag(c s) (G - mean(G)) - Wᵀ diag(c s² h / M) W d'

d' is computed again in the backward pass, so that of each term only x is kept, which other terms share.  S, and all algebra of
the size of W, is in float32 or better.  With `relu` the sum goes through a ReLU: the first half of a separable convolution.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lnas.builtin.fast.depthwise import input_gradient, weight_gradient
from lnas.builtin.fast.rows import crossed, exact, pictures, rows, stacked, times


class Convolution(NamedTuple):
    """One term, but for its scale.

    Attributes:
        x: (B, C, H, W), behind its ReLU.
        x_sum: (1, C, H, W), `batch_sum(x)`.
        depthwise: (C, 1, k, k), k odd.
        pointwise: (outputs, C, 1, 1).
        stride: of the depthwise convolution, whose padding is dilation · (k - 1) / 2.
        dilation: of the depthwise convolution.
        eps: of the batch norm.
    """

    x: Tensor
    x_sum: Tensor
    depthwise: Tensor
    pointwise: Tensor
    stride: int
    dilation: int
    eps: float


class Mixture(NamedTuple):
    """What `mix` gives.

    Attributes:
        value: (B, outputs, H', W'), channels_last.
        mean: (terms, outputs), of each W d, without gradient.
        variance: (terms, outputs), biased, without gradient.
        places: M, how many values each mean and variance is of.
    """

    value: Tensor
    mean: Tensor
    variance: Tensor
    places: int


def mix(
    convolutions: Sequence[Convolution],
    scale: Tensor,
    shift: Tensor | None = None,
    plain: Sequence[tuple[Tensor, Tensor]] = (),
    *,
    relu: bool = False,
) -> Mixture:
    """Σ_k scale_k ⊙ BN(convolution_k) + shift + Σ_l gate_l · plain_l, under the statistics of the batch.

    Differentiable any number of times; only the first derivative is fast.  Under autocast the large tensors are in its dtype.

    Args:
        convolutions: at least one; all outputs have one shape.
        scale: (terms, outputs).
        shift: (outputs,) or None.
        plain: (tensor of the shape of the sum, 0-d gate) of each.
        relu: whether the sum goes through a ReLU.

    Raises:
        ValueError: where there is one value per channel, which has no variance.
    """
    terms = tuple(_Term(c.stride, c.dilation, c.eps) for c in convolutions)
    sums = tuple(c.x_sum for c in convolutions)
    tensors = [tensor for c in convolutions for tensor in (c.x, c.depthwise, c.pointwise)]
    values, gates = [value for value, _ in plain], [gate for _, gate in plain]
    value, mean, variance = _Mix.apply(terms, sums, relu, scale, shift, *tensors, *values, *gates)
    return Mixture(value, mean, variance, value.shape[0] * value.shape[2] * value.shape[3])


class _Term(NamedTuple):
    stride: int
    dilation: int
    eps: float


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        terms: Sequence[_Term],
        sums: Sequence[Tensor],
        relu: bool,
        scale: Tensor,
        shift: Tensor | None,
        *tensors: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        device = scale.device.type
        automatic = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        work = tensors[0].dtype
        if automatic and work != torch.float64:
            work = torch.get_autocast_dtype(device)
        precision = exact(work)
        triples, values, gates = _parted(tensors, len(terms))
        with torch.autocast(device, enabled=False) if automatic else nullcontext():
            means, variances, kept = [], [], []
            total = shape = None
            for term, x_sum, (x, depthwise, pointwise), c in zip(terms, sums, triples, scale.to(precision), strict=True):
                mean = _convolved(x_sum.to(precision), depthwise.to(precision), None, term).mean((0, 2, 3)) / len(x)
                centred = _centred(x.to(work), depthwise.to(work), mean, term)
                weight, d = pointwise.flatten(1).to(precision), rows(centred)
                shape = (len(x), len(weight), *centred.shape[2:])
                if len(d) == 1:
                    raise ValueError(f"Expected more than 1 value per channel when training, got input size {shape}")
                precise = d.to(precision)
                product = weight @ (crossed(precise, precise) / len(d))  # W S
                variance = (product * weight).sum(1).clamp_(min=0)
                inverse = (variance + term.eps).rsqrt_()
                folded = (weight * (c * inverse).unsqueeze(1)).to(work).t()
                row = None if shift is None or total is not None else shift.to(work)
                total = times(d, folded, onto=total, row=row)
                means.append(weight @ mean)
                variances.append(variance)
                kept += [mean, product, inverse]
            assert total is not None and shape is not None, "a mix has a term"
            for value, gate in zip(values, gates, strict=True):
                total.addcmul_(rows(value.to(work)), gate.to(work))
            if relu:
                total.relu_()
            out, mean, variance = pictures(total, shape), stacked(means), stacked(variances)
        ctx.terms, ctx.relu, ctx.work = terms, relu, work
        ctx.save_for_backward(scale, shift, out if relu else None, *kept, *tensors)
        ctx.mark_non_differentiable(mean, variance)
        ctx.set_materialize_grads(False)
        return out, mean, variance

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        scale, shift, out, *saved = ctx.saved_tensors
        kept, tensors = saved[: 3 * len(ctx.terms)], saved[3 * len(ctx.terms) :]
        if torch.is_grad_enabled():
            return None, None, None, *_differentiable(ctx, gradient, scale, shift, tensors)
        work, precision = ctx.work, exact(ctx.work)
        triples, values, gates = _parted(tensors, len(ctx.terms))
        needs_scale, needs_shift, *needs = ctx.needs_input_grad[3:]
        needed, needed_values, needed_gates = _parted(needs, len(ctx.terms))
        if ctx.relu:
            gradient = torch.ops.aten.threshold_backward(gradient, out, 0)
        g = rows(gradient.to(work))
        precise_g = g.to(precision)
        g_sum = precise_g.sum(0)
        by_scale: list[Tensor] = []
        slopes: list[Tensor | None] = []
        for k, (term, (x, depthwise, pointwise), c) in enumerate(zip(ctx.terms, triples, scale.to(precision), strict=True)):
            mean, product, inverse = kept[3 * k : 3 * k + 3]
            needs_x, needs_depthwise, needs_pointwise = needed[k]
            x, depthwise, weight = x.to(work), depthwise.to(work), pointwise.flatten(1).to(precision)
            d = rows(_centred(x, depthwise, mean, term))
            p = crossed(precise_g, d.to(precision))
            h = inverse * (p * weight).sum(1)
            by_scale.append(h)
            folded = weight * (c * inverse).unsqueeze(1)  # diag(c s) W
            by_x = by_depthwise = by_pointwise = None
            if needs_pointwise:
                by_pointwise = (p - product * (h * inverse).unsqueeze(1)) * (c * inverse).unsqueeze(1)
                by_pointwise = by_pointwise.view_as(pointwise).to(pointwise.dtype)
            if needs_x or needs_depthwise:
                back = (folded.t() * (h * inverse)) @ weight
                by_d = times(g, folded.to(work), row=(g_sum @ folded / -len(d)).to(work))
                by_d = pictures(times(d, (back / -len(d)).to(work), onto=by_d), (len(x), d.shape[1], *gradient.shape[2:]))
            if needs_x:
                by_x = input_gradient(by_d, depthwise, x.shape, term.stride, term.dilation).to(triples[k][0].dtype)
            if needs_depthwise:
                by_depthwise = weight_gradient(by_d, x, depthwise.shape[-1], term.stride, term.dilation)
                by_depthwise = by_depthwise.to(triples[k][1].dtype)
            slopes += [by_x, by_depthwise, by_pointwise]
        for value, gate, wanted in zip(values, gates, needed_values, strict=True):
            slopes.append((gradient * gate).to(value.dtype) if wanted else None)
        for value, gate, wanted in zip(values, gates, needed_gates, strict=True):
            slopes.append((precise_g * rows(value)).sum().to(gate.dtype) if wanted else None)
        return (
            None,
            None,
            None,
            stacked(by_scale).to(scale.dtype) if needs_scale else None,
            g_sum.to(shift.dtype) if needs_shift else None,
            *slopes,
        )


def _differentiable(
    ctx: Any, gradient: Tensor, scale: Tensor, shift: Tensor | None, tensors: Sequence[Tensor]
) -> tuple[Tensor | None, ...]:
    """The gradients as functions of the inputs, by the unfused formula: what was kept for the fast ones is a constant."""
    flat: list[Any] = [None if tensor is None else tensor.view_as(tensor) for tensor in (scale, shift, *tensors)]  # by themselves
    scale, shift, *tensors = flat
    triples, values, gates = _parted(tensors, len(ctx.terms))
    total: Any = 0 if shift is None else shift[:, None, None]
    for term, (x, depthwise, pointwise), c in zip(ctx.terms, triples, scale, strict=True):
        y = functional.conv2d(_convolved(x.to(depthwise.dtype), depthwise, None, term), pointwise)
        total = total + c[:, None, None] * functional.batch_norm(y, None, None, training=True, eps=term.eps)
    total = sum((gate * value for value, gate in zip(values, gates, strict=True)), total)
    total = total.relu() if ctx.relu else total
    wanted = [i for i, needed in enumerate(ctx.needs_input_grad[3:]) if needed]
    slopes = torch.autograd.grad(total, [flat[i] for i in wanted], gradient.to(total.dtype), create_graph=True)
    found = dict(zip(wanted, slopes, strict=True))
    return tuple(found.get(i) for i in range(len(flat)))


def _parted(tensors: Sequence[Any], terms: int) -> tuple[list[Sequence[Any]], Sequence[Any], Sequence[Any]]:
    """The flat arguments as (x, depthwise, pointwise) of each term, plain values, and their gates."""
    rest = tensors[3 * terms :]
    return [tensors[3 * k : 3 * k + 3] for k in range(terms)], rest[: len(rest) // 2], rest[len(rest) // 2 :]


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None, term: _Term) -> Tensor:
    padding = term.dilation * (weight.shape[-1] - 1) // 2
    return functional.conv2d(x, weight, bias, term.stride, padding, term.dilation, len(weight))


def _centred(x: Tensor, weight: Tensor, mean: Tensor, term: _Term) -> Tensor:
    """d' of the dtype of x.  Below float32 the mean is taken of what was computed, whose rounding it must share."""
    if x.dtype == mean.dtype:
        return _convolved(x, weight, -mean, term)
    d = _convolved(x, weight, None, term).to(mean.dtype)
    return (d - d.mean((0, 2, 3), keepdim=True)).to(x.dtype)
