"""Which channels of a network depend on each other, by torch-pruning's dependency graph (Fang et al. 2023).

The graph is traced in training mode, where auxiliary heads answer too.  What torch-pruning would miss is added to it: the
inputs and all outputs, since their channels can never go; what is computed and then not used, since it must be computable
afterwards too; and that a tensor which is made in the image of another, as by `zeros_like`, has the channels of the other.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch_pruning import DependencyGraph, ops  # type: ignore[import-untyped]
from torch_pruning.dependency import index_mapping  # type: ignore[import-untyped]
from torch_pruning.pruner.function import BasePruningFunc  # type: ignore[import-untyped]

import lnas
from lnas_channels.copies import outputs_of
from lnas_channels.layers import ROOTS, Port, Side, has_channels, is_known

KEPT = Port("", "out")
"""Stands for all that can never go."""


class Dependence(NamedTuple):
    """Channel `theirs[k]` of `port` goes whenever channel `channels[k]` of a layer goes; `KEPT` has no channels."""

    port: Port
    channels: Sequence[int]
    theirs: Sequence[int]


def dependences(network: nn.Module, inputs: Sequence[Tensor]) -> Iterator[list[Dependence]]:
    """All that depends on each layer that makes channels; the layer itself comes first.

    Args:
        network: a copy that may be spoilt.
        inputs: what it is called with.

    Raises:
        PluginError: where torch-pruning cannot trace the network.
    """
    names = {id(layer): name for name, layer in network.named_modules()}
    barred = {id(layer) for layer in network.modules() if not is_known(layer)} | _sharing(network)
    forward = _Forward()
    graph = _traced(network, inputs, forward)
    for layer in network.modules():
        if isinstance(layer, ROOTS) and layer in graph.module2node:
            pruner = graph.get_pruner_of_module(layer)
            count = pruner.get_out_channels(layer)
            group = graph.get_pruning_group(layer, pruner.prune_out_channels, list(range(count)))
            found = (_dependence(graph, item, count, names, barred, forward.outputs) for item in group.items)
            yield [dependence for dependence in found if dependence is not None]


def _dependence(
    graph: Any, item: Any, count: int, names: Mapping[int, str], barred: Collection[int], outputs: Collection[Any]
) -> Dependence | None:
    """One item of a group of torch-pruning, of a layer of `count` channels; None where it has no channels of its own."""
    node, channels = item.dep.target, item.root_idxs
    if None in channels:  # torch-pruning has lost track
        return Dependence(KEPT, range(count), ())
    if any(isinstance(edge.index_mapping[0], _CUTS) and edge.is_triggered_by(item.dep.handler) for edge in node.dependencies):
        return Dependence(KEPT, channels, ())
    if isinstance(node.module, _OPERATIONS):
        return None
    if isinstance(node.module, ops._OutputOp):
        return Dependence(KEPT, channels, ()) if node.grad_fn in outputs else None
    if id(node.module) not in names or id(node.module) in barred:
        return Dependence(KEPT, channels, ())
    if not has_channels(node.module):
        return None
    side: Side = "out" if graph.is_out_channel_pruning_fn(item.dep.handler) else "in"
    return Dependence(Port(names[id(node.module)], side), channels, item.idxs)


_OPERATIONS = (
    ops._ElementWiseOp,
    ops._ConcatOp,
    ops._ReshapeOp,
    ops._ExpandOp,
    ops._SliceOp,
    ops._SplitOp,
    ops._UnbindOp,
)
"""What torch-pruning calls the operations between layers."""

_CUTS = (index_mapping._SliceIndexMapping, index_mapping._SplitIndexMapping)
"""An operation that divides channels does so by numbers in the code of `forward`, which nobody can change."""


def _sharing(network: nn.Module) -> set[int]:
    """Layers of which a parameter belongs to another layer too."""
    owners: dict[int, list[int]] = {}
    for layer in network.modules():
        for parameter in layer._parameters.values():
            owners.setdefault(id(parameter), []).append(id(layer))
    owners.pop(id(None), None)
    return {layer for layers in owners.values() if len(layers) > 1 for layer in layers}


def _traced(network: nn.Module, inputs: Sequence[Tensor], forward: "_Forward") -> Any:
    for parameter in network.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    try:
        with torch.enable_grad():
            return DependencyGraph().build_dependency(
                _Framed(network, inputs),
                tuple(inputs),
                forward_fn=forward,
                customized_pruners={_Source: _SourcePruner()},
                verbose=False,
            )
    except Exception as error:  # a foreign network may do anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise lnas.PluginError(f"channels: torch-pruning cannot trace this network: {reason}") from error


class _Forward:
    """One forward pass in training mode: all outputs, and after them whatever was computed and not used for any.

    Attributes:
        outputs: the steps of autograd that end in an output.
    """

    def __init__(self) -> None:
        self.outputs: set[Any] = set()

    def __call__(self, framed: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
        framed.train()  # torch-pruning has just switched to evaluation mode, in which an auxiliary head is silent
        with lnas.seeded(0, "channels/trace"), _Watch() as watch:
            answer = framed(*inputs)
        # Times 1, so that each has a step of its own, also where it is the very output of a layer.
        ends = [output * 1 for output in outputs_of(answer) if output.requires_grad]
        self.outputs.update(end.grad_fn for end in ends)
        reached = _reached(self.outputs, set())
        for tensor in reversed(watch.made):
            if tensor.grad_fn is not None and tensor.grad_fn not in reached:
                ends.append(tensor * 1)
                _reached([tensor.grad_fn], reached)
        return ends


def _reached(ends: Iterable[Any], reached: set[Any]) -> set[Any]:
    """Add all steps of autograd that lead to `ends`."""
    waiting = list(ends)
    while waiting:
        step = waiting.pop()
        if step is not None and step not in reached:
            reached.add(step)
            waiting.extend(before for before, _ in step.next_functions)
    return reached


class _Watch(TorchFunctionMode):
    """Sees each operation, and lets autograd know where a tensor is made with the sizes of another.

    Attributes:
        made: what came out, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.made: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _IMAGES and args[0].is_floating_point():
            result = args[0] * 0
        if isinstance(result, Tensor | tuple | list):
            self.made.extend(tensor for tensor in outputs_of(result) if tensor.requires_grad)
        return result


_IMAGES = (torch.zeros_like, torch.ones_like, torch.full_like, torch.empty_like, torch.rand_like, torch.randn_like)


class _Framed(nn.Module):
    """The network behind a node for each of its inputs."""

    def __init__(self, network: nn.Module, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.network = network
        self.sources = nn.ModuleList(_Source(x.shape[1] if x.dim() > 1 else 1) for x in inputs)

    def forward(self, *inputs: Tensor) -> Any:
        return self.network(*(source(x) for source, x in zip(self.sources, inputs, strict=True)))


class _Source(nn.Module):
    """An input as a layer; torch-pruning does not see inputs, and miscounts what they are added or concatenated to."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return x.detach().requires_grad_() * 1 if x.is_floating_point() else x


class _SourcePruner(BasePruningFunc):  # type: ignore[misc]
    """How many channels a source has; nothing is ever pruned with it."""

    def prune_out_channels(self, layer: nn.Module, idxs: Sequence[int]) -> nn.Module:
        return layer

    prune_in_channels = prune_out_channels

    def get_out_channels(self, layer: _Source) -> int:
        return layer.channels

    get_in_channels = get_out_channels
