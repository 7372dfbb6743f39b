"""What a forward pass keeps for the backward pass, in bytes, ours to the reference."""

import gc
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.measured import Measured
from benchmarks.reference import Supernet
from benchmarks.reference_search import Search
from benchmarks.search import strategy
from benchmarks.sizes import device, pictures, size_of
from benchmarks.timing import progress


def saved_bytes(module: nn.Module, loss: Callable[[], Tensor]) -> int:
    """Bytes that live between `loss()` and its backward pass because of it.

    Each storage counts once: of the tensors that autograd saves, as its hooks on saved tensors see them, and of those that a
    custom function or a closure keeps as an attribute, which the hooks do not see but the garbage collector does.  What the
    module holds, the loss itself and what lived before do not count.
    """
    found: dict[int, int] = {}
    gc.collect()
    before = _living()
    held = {_pointer(tensor) for tensor in (*module.parameters(), *module.buffers())}

    def keep(tensor: Tensor) -> Tensor:
        found[_pointer(tensor)] = tensor.untyped_storage().nbytes()
        return tensor.detach()  # the tensor itself would refer to its graph, and the graph to it

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = loss()
    gc.collect()
    found |= {pointer: size for pointer, size in _living().items() if pointer not in before}
    held.add(_pointer(result))  # it lives until here, and with it the graph
    return sum(size for pointer, size in found.items() if pointer not in held)


def _living() -> dict[int, int]:
    """Bytes of each storage that a Python object refers to, by its address."""
    tensors = [thing for thing in gc.get_objects() if type(thing) is Tensor]
    return {_pointer(tensor): tensor.untyped_storage().nbytes() for tensor in tensors if tensor.layout is torch.strided}


def _pointer(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def measure(*, quick: bool) -> Measured:
    """activations_big and activations_big_checkpointed: a forward pass that alpha and theta both want a gradient of."""
    size = size_of("big", quick=quick)
    x, y = pictures(size, 1)
    supernet = Supernet(size.task, size.channels, size.layers).to(device())
    alpha = Search(supernet).alpha
    found = {"reference": saved_bytes(supernet, lambda: cross_entropy(supernet(x, alpha), y))}
    for name, checkpointing in (("activations_big", False), ("activations_big_checkpointed", True)):
        darts = strategy(size, checkpointing=checkpointing)
        found[name] = saved_bytes(darts.space, lambda darts=darts: cross_entropy(darts.predict(x), y))  # type: ignore[misc]
    for name, size_in_bytes in found.items():
        progress(f"{name}: {size_in_bytes / 1e6:.1f} MB")
    return Measured(
        ratios={name: found[name] / found["reference"] for name in found if name != "reference"},
        figures={"saved_megabytes": {name: count / 1e6 for name, count in found.items()}},
    )
