"""Forward passes that only measure: running statistics stay as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def preserved_buffers(module: nn.Module) -> Iterator[None]:
    """Whatever forward passes do to buffers inside is undone: they are bitwise as they were, whatever is raised."""
    saved = [
        (part, name, buffer, buffer.clone())
        for part in module.modules()
        for name, buffer in part._buffers.items()
        if buffer is not None
    ]
    try:
        yield
    finally:
        with torch.no_grad():
            for part, name, buffer, value in saved:
                buffer.copy_(value)
                part._buffers[name] = buffer  # a forward pass may have put another in its place
