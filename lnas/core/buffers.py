"""Forward passes that only measure: running statistics stay as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def preserved_buffers(module: nn.Module) -> Iterator[None]:
    """Forward passes inside write to copies of the buffers; afterwards the buffers are back, untouched, whatever is raised."""
    own = [(part._buffers, name, buffer) for part in module.modules() for name, buffer in part._buffers.items()]
    copies = {id(buffer): buffer.clone() for _, _, buffer in own if buffer is not None}
    try:
        for buffers, name, buffer in own:
            buffers[name] = None if buffer is None else copies[id(buffer)]
        yield
    finally:
        for buffers, name, buffer in own:
            buffers[name] = buffer
