"""The running statistics of batch norms that another computation stands in for."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


@torch.no_grad()
def track(norms: Sequence[nn.BatchNorm2d], mean: Sequence[Tensor], variance: Sequence[Tensor]) -> None:
    """One step of the running statistics.

    Args:
        norms: updated in place; those that keep no statistics are left alone.
        mean: (C,) of each.
        variance: (C,) of each, unbiased.
    """
    steps: dict[float, tuple[list[Tensor], list[Tensor]]] = {}
    for norm, m, v in zip(norms, mean, variance, strict=True):
        if norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None:
            old, new = steps.setdefault(norm.momentum or 0.0, ([], []))
            old += [norm.running_mean, norm.running_var]
            new += [m.to(norm.running_mean.dtype), v.to(norm.running_var.dtype)]
            norm.num_batches_tracked += 1
    for momentum, (old, new) in steps.items():
        torch._foreach_lerp_(old, new, momentum)
