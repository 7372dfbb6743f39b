"""Gradients by something else than theta, without the cost of theta's."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Inside, no parameter asks for a gradient: forward passes keep less, and backward passes skip the weights.

    autograd cannot tell by itself: a function of one's own is told that an input needs a gradient wherever the input asks for
    one, whatever `autograd.grad` was asked for.
    """
    asking = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in asking:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)
