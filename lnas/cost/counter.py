"""Multiply-adds, counted as torch runs: every convolution and matrix product, with the weight that it was given."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from lnas.core.errors import ConfigError
from lnas.cost.figures import MultiplyAdds
from lnas.cost.forward import Shape, answer, evaluation, open_attention, zeros

CONVOLUTION, LINEAR = "convolution", "linear"

aten = torch.ops.aten


def multiply_adds(network: nn.Module, shape: Shape) -> MultiplyAdds:
    """Count one forward pass on zeros; a `SearchSpace` runs all its live paths.

    The network and its hooks, buffers and modes, and the random state, are afterwards as they were, after an error too.

    Args:
        network: weights that are exactly 0 count as masked.
        shape: of one input, without the batch, or the task.

    Raises:
        ConfigError: where the shape is none, or the network is on the meta device and has no weights to look at.
    """
    dense, nonzero, structural = (sum(column) for column in zip(*by_kind(network, shape).values(), strict=True))
    return MultiplyAdds(dense, nonzero, structural)


def by_kind(network: nn.Module, shape: Shape) -> dict[str, list[int]]:
    """`multiply_adds` of convolutions and of linear layers apart: kind -> [dense, nonzero, structural]."""
    if any(parameter.is_meta for parameter in network.parameters()):
        raise ConfigError("the network is on the meta device and has no weights to count; build it on another")
    with evaluation(network), open_attention():
        x = zeros(network, shape)
        with _Counter(network) as counter:
            answer(network, x)
    counts: dict[str, list[int]] = counter.counts
    return counts


class _Counter(TorchDispatchMode):
    """Sees every operation below autograd.

    Attributes:
        counts: kind -> [dense, nonzero, structural].
        own: the network's tensors and what is made of them alone, by the address of the storage.  They are held here, so
            that no activation can get the address of one of them.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts = {CONVOLUTION: [0, 0, 0], LINEAR: [0, 0, 0]}
        self.own: dict[int, Tensor] = {}
        loose = (value for module in network.modules() for value in vars(module).values())  # a mask that is no buffer
        for tensor in _tensors([*network.parameters(), *network.buffers(), *loose]):
            self.own[_storage(tensor)] = tensor

    def __torch_dispatch__(self, func: OpOverload, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        count = _LAYERS.get(func.overloadpacket)
        if count is None:
            with self:  # in inference mode composite operations arrive whole
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        output = func(*args, **kwargs)
        if count is not None:
            count(self, args, output)
        self._inherit(list(_tensors([*args, *kwargs.values()])), _tensors(output))
        return output

    def _inherit(self, inputs: list[Tensor], outputs: Iterator[Tensor]) -> None:
        """What is made of own tensors alone is own; a tensor that an activation was written into no longer is."""
        own = bool(inputs) and all(self.owns(tensor) for tensor in inputs)
        for tensor in outputs:
            if own:
                self.own.setdefault(_storage(tensor), tensor)
            else:
                self.own.pop(_storage(tensor), None)

    def owns(self, tensor: Tensor) -> bool:
        return _storage(tensor) in self.own

    def add(self, kind: str, weight: Tensor, places: int) -> None:
        """A layer of `weight`, (groups, filters, channels, kernel) or (groups, channels, filters, kernel)."""
        alive = weight != 0
        rows, columns = alive.any(3).any(2).sum(1), alive.any(3).any(1).sum(1)  # (groups,)
        left = int((rows * columns).sum()) * weight.shape[3]
        for index, entries in enumerate((weight.numel(), int(alive.sum()), left)):
            self.counts[kind][index] += entries * places

    def convolution(self, args: Any, output: Tensor) -> None:
        x, weight, transposed, groups = args[0], args[1], args[6], args[8]
        places = x.shape[0] * (x if transposed else output).shape[2:].numel()
        self.add(CONVOLUTION, weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1), places)

    def product(self, args: Any, output: Tensor) -> None:
        left, right = args[-2:]  # behind the bias, where there is one
        right = right if right.dim() > 1 else right.unsqueeze(-1)
        if self.owns(right):
            self.add(LINEAR, right.reshape(-1, *right.shape[-2:], 1), left.shape[-2])
        elif self.owns(left):
            self.add(LINEAR, left.reshape(-1, *left.shape[-2:], 1), right.shape[-1])

    def recurrence(self, args: Any, output: Any) -> None:
        x, first = args[:2]
        for weight in first if isinstance(first, list | tuple) else args[1:3]:
            if weight.dim() == 2:  # each matrix meets every step of every sequence once; the others are biases
                self.add(LINEAR, weight[None, :, :, None], x.shape[:-1].numel())


_LAYERS = {
    **dict.fromkeys((aten.convolution, aten._convolution), _Counter.convolution),
    **dict.fromkeys((aten.mm, aten.addmm, aten.bmm, aten.baddbmm, aten.mv, aten.addmv), _Counter.product),
    **dict.fromkeys((aten.mkldnn_rnn_layer, aten._cudnn_rnn), _Counter.recurrence),  # LSTM and its like, in one operation
}


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested lists and tuples that have memory of their own: no empty and no sparse ones."""
    if isinstance(value, Tensor):
        if value.layout is torch.strided and value.numel():
            yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
