"""One forward pass that leaves no trace: what every figure but the parameters is taken from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from lnas.core.errors import ConfigError
from lnas.core.space import SearchSpace
from lnas.core.types import Task

Shape: TypeAlias = Task | Sequence[int]
"""A task, or the shape of one input without the batch."""


def answer(network: nn.Module, x: Tensor) -> Any:
    """The network's output; a search space runs all its live paths, each with a gate of 1."""
    if isinstance(network, SearchSpace):
        return network(x, {group: alive.to(x) for group, alive in network.alive.items()})
    return network(x)


def zeros(network: nn.Module, shape: Shape, batch: int = 1) -> Tensor:
    """A batch of zeros, (batch, *shape), on the device and in the precision of the network.

    Raises:
        ConfigError: where the shape is none.
    """
    sizes = tuple(shape.shape if isinstance(shape, Task) else shape)
    if not sizes or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ConfigError(f"the shape of an input is made of whole numbers above 0, as in (3, 32, 32), not {sizes}")
    own = (tensor for tensor in (*network.parameters(), *network.buffers()) if tensor.is_floating_point())
    like = next(own, torch.empty(0))
    return torch.zeros(batch, *sizes, device=like.device, dtype=like.dtype)


@contextmanager
def evaluation(network: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards modes, buffers and the random state are as they were."""
    modes = [(module, module.training) for module in network.modules()]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in network.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    devices = {parameter.device for parameter in network.parameters() if parameter.is_cuda}
    with torch.random.fork_rng(devices=list(devices)), torch.no_grad():
        try:
            network.eval()
            yield
        finally:
            for module, training in modes:
                module.training = training
            for module, name, buffer, value in buffers:
                setattr(module, name, buffer)
                if not torch.equal(buffer, value):
                    buffer.copy_(value)


@contextmanager
def open_attention() -> Iterator[None]:
    """Have attention layers run operation by operation, not as one that a counter cannot look into."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
