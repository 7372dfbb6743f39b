"""Batch norms that another computation stands in for: which may be, and how their running statistics go on."""

from collections.abc import Sequence
from typing import TypeGuard

import torch
from torch import Tensor, nn


def watched(*modules: nn.Module) -> bool:
    """Whether somebody would notice that one of these modules is not called: it carries a hook."""
    return any(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
        for module in modules
    )


def of_the_batch(norm: nn.Module) -> TypeGuard[nn.BatchNorm2d]:
    """Whether it is an ordinary batch norm that normalises by the batch now, with running statistics that decay."""
    return type(norm) is nn.BatchNorm2d and norm.training and norm.momentum is not None


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
            new += [m, v]
            norm.num_batches_tracked += 1
    for momentum, (old, new) in steps.items():
        torch._foreach_lerp_(old, new, momentum)
