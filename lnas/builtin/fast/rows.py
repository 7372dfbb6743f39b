"""Pictures as the rows of a matrix, and products of such tall matrices with small ones.

In channels_last, (B, C, H, W) and (B · H · W, C) are views of the same memory.  So are (M, C) and (M / f, f C), f rows side by
side.  A product of width 8 takes the CPU as long as one of width 16, so narrow rows are put side by side: (M / f, f C) times a
block-diagonal matrix of f copies, or, for aᵀ b, the sum of the f blocks on the diagonal.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

WIDTH = 16
"""float32 numbers of a vector register of today's processors."""


def rows(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B · H · W, C), contiguous, a view where `x` is channels_last and no slice of channels."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).contiguous()


def pictures(matrix: Tensor, shape: Sequence[int]) -> Tensor:
    """(B · H · W, C) -> (B, C, H, W) of that shape, a view in channels_last."""
    batch, channels, height, width = shape
    return matrix.view(batch, height, width, channels).permute(0, 3, 1, 2)


def batch_sum(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (1, C, H, W), the sum over the batch, in float32 at least and without gradient."""
    samples = x.detach().permute(0, 2, 3, 1).reshape(len(x), -1)
    total = samples.sum(0, dtype=exact(x.dtype))
    return pictures(total, (1, *x.shape[1:]))


def crossed(a: Tensor, b: Tensor) -> Tensor:
    """aᵀ b, (m, n), of contiguous (M, m) and (M, n)."""
    beside = _beside(a, b.shape[1])
    if beside == 1:
        return a.t() @ b
    blocks = _widened(a, beside).t() @ _widened(b, beside)  # (f m, f n)
    return blocks.view(beside, a.shape[1], beside, b.shape[1]).diagonal(dim1=0, dim2=2).sum(-1)


def times(a: Tensor, weight: Tensor, *, onto: Tensor | None = None, row: Tensor | None = None) -> Tensor:
    """a weight + row, (M, n), of contiguous (M, m), (m, n) and (n,); or, in place, onto + a weight."""
    beside = _beside(a, weight.shape[1])
    if beside > 1:
        weight = torch.kron(torch.eye(beside, dtype=weight.dtype), weight.contiguous())
        row = None if row is None else row.repeat(beside)
    wide = _widened(a, beside)
    if onto is not None:
        _widened(onto, beside).addmm_(wide, weight)
        return onto
    return (wide @ weight if row is None else torch.addmm(row, wide, weight)).view(len(a), -1)


def exact(dtype: torch.dtype) -> torch.dtype:
    """What statistics and small matrices are kept in: that dtype, but float32 at least."""
    return torch.promote_types(dtype, torch.float32)


def stacked(parts: Sequence[Tensor]) -> Tensor:
    """`torch.stack`, at no cost for one."""
    return parts[0].unsqueeze(0) if len(parts) == 1 else torch.stack(list(parts))


def _beside(a: Tensor, other: int) -> int:
    """f, a power of 2 that divides M."""
    beside = max(1, WIDTH // max(a.shape[1], other)) if a.device.type == "cpu" else 1
    while beside & (beside - 1) or len(a) % beside:
        beside -= 1
    return beside


def _widened(a: Tensor, beside: int) -> Tensor:
    return a.view(len(a) // beside, beside * a.shape[1])
