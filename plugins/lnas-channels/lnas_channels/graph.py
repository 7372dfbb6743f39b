"""Which channels of a network depend on each other, by torch-pruning's dependency graph (Fang et al. 2023).

The graph is traced in training mode, where auxiliary heads answer too.  Three things are added to it so that nothing is
missed: the inputs and all outputs, since their channels can never go; and that a tensor which is made in the image of
another, as by `zeros_like`, has the channels of the other.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import lnas
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch_pruning import DependencyGraph, ops  # type: ignore[import-untyped]
from torch_pruning.dependency import index_mapping  # type: ignore[import-untyped]
from torch_pruning.pruner.function import BasePruningFunc  # type: ignore[import-untyped]

from lnas_channels.copies import outputs_of
from lnas_channels.layers import ROOTS, Port, has_channels, is_known

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
    with torch.enable_grad(), lnas.seeded(0, "channels/trace"):
        graph = _traced(network, inputs)
        for layer in network.modules():
            if not isinstance(layer, ROOTS) or layer not in graph.module2node:
                continue
            pruner = graph.get_pruner_of_module(layer)
            count = pruner.get_out_channels(layer)
            group = graph.get_pruning_group(layer, pruner.prune_out_channels, list(range(count)))
            yield [
                dependence
                for dep, theirs, channels in ((item.dep, item.idxs, item.root_idxs) for item in group.items)
                if (dependence := _dependence(graph, dep, channels, theirs, names, barred))
            ]


def _dependence(
    graph: Any, dep: Any, channels: Sequence[int | None], theirs: Sequence[int], names: dict[int, str], barred: set[int]
) -> Dependence | None:
    """One item of a group of torch-pruning; None where it has no channels of its own."""
    node = dep.target
    known = [channel for channel in channels if channel is not None]  # None where torch-pruning has lost track
    if len(known) < len(channels):
        return Dependence(KEPT, range(graph.get_out_channels(dep.source)), ())
    if isinstance(node.module, _OPERATIONS):
        cut = any(isinstance(edge.index_mapping[0], _CUTS) for edge in node.dependencies)
        return Dependence(KEPT, known, ()) if cut else None
    if id(node.module) not in names or id(node.module) in barred:
        return Dependence(KEPT, known, ())
    if not has_channels(node.module):
        return None
    side = "out" if graph.is_out_channel_pruning_fn(dep.handler) else "in"
    return Dependence(Port(names[id(node.module)], side), known, theirs)


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


def _traced(network: nn.Module, inputs: Sequence[Tensor]) -> Any:
    for parameter in network.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    try:
        return DependencyGraph().build_dependency(
            _Framed(network, inputs),
            tuple(inputs),
            forward_fn=_in_training,
            # Each output gets a node, also where it is the very output of a layer.
            output_transform=lambda out: [output * 1 for output in outputs_of(out) if output.requires_grad],
            customized_pruners={_Source: _SourcePruner()},
            verbose=False,
        )
    except Exception as error:  # a foreign network may do anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise lnas.PluginError(f"channels: torch-pruning cannot trace this network: {reason}") from error


def _in_training(framed: nn.Module, inputs: Sequence[Tensor]) -> Any:
    framed.train()  # torch-pruning has just switched to evaluation mode, in which an auxiliary head is silent
    with _InTheImage():
        return framed(*inputs)


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


class _InTheImage(TorchFunctionMode):
    """Lets autograd, and so torch-pruning, see that a tensor was made with the sizes of another."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.zeros_like, torch.ones_like, torch.full_like, torch.empty_like, torch.rand_like, torch.randn_like):
            return args[0] * 0 if args[0].is_floating_point() else func(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))
