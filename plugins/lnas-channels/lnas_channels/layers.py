"""What a channel is in each kind of layer: which rows and columns of which tensors, and the sizes a layer remembers.

A port is one side of a layer.  Convolutions and linear layers have an "in" and an "out"; a normalisation, whose channels
come in and go out as they are, has an "out" alone.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm

Side: TypeAlias = Literal["in", "out"]


class Port(NamedTuple):
    """One side of the layer called `layer`."""

    layer: str
    side: Side


class Place(NamedTuple):
    """Where the channels of a port lie: channel c is entry `c % size` along `dim` of the layer's tensor `tensor`."""

    tensor: str
    dim: int


UNTOUCHED = ("running_var",)
"""Tensors that are cut, but never zeroed: a variance of 0 would blow up whatever is left of a channel."""

ROOTS = (_ConvNd, nn.Linear)
"""Layers that make channels."""

NORMS = (_BatchNorm, _InstanceNorm, nn.GroupNorm)


def is_known(layer: nn.Module) -> bool:
    """Whether channels of this layer can be cut: its tensors are its own, plain and where they belong."""
    if not isinstance(layer, (*ROOTS, *NORMS, nn.PReLU)):
        return False
    own = {**layer._parameters, **layer._buffers}
    if any(place.tensor not in own for side in sides(layer) for place in places(layer, side)):
        return False  # a parametrisation computes it
    # Each filter of a depthwise convolution reads one channel, or the graph of torch-pruning would be wrong.
    return not (isinstance(layer, _ConvNd) and 1 < layer.groups == layer.out_channels != layer.in_channels)


def has_channels(layer: nn.Module) -> bool:
    """Whether the layer treats channels differently: a PReLU with one slope for all does not."""
    return not (isinstance(layer, nn.PReLU) and layer.num_parameters == 1)


def sides(layer: nn.Module) -> tuple[Side, ...]:
    """The sides of a layer that have channels of their own."""
    return ("out", "in") if isinstance(layer, ROOTS) else ("out",)


def channels(layer: nn.Module, side: Side) -> int:
    """How many channels a port has."""
    name = _SIZES[_kind(layer)][side]
    count = getattr(layer, name)
    assert isinstance(count, int)
    return count


def places(layer: nn.Module, side: Side) -> tuple[Place, ...]:
    """Where the channels of a port lie; tensors that the layer does without are left out."""
    found: Iterable[Place]
    if isinstance(layer, _ConvNd):
        out, into = (1, 0) if isinstance(layer, _ConvTransposeNd) else (0, 1)
        dim = out if side == "out" else into
        # Where whole convolution groups go, they go along dimension 0, and within a group all channels stay.
        weight = [] if dim == 1 and goes_by_groups(layer) else [Place("weight", dim)]
        found = [*weight, Place("bias", 0)] if side == "out" else weight
    elif isinstance(layer, nn.Linear):
        found = [Place("weight", 0), Place("bias", 0)] if side == "out" else [Place("weight", 1)]
    elif isinstance(layer, nn.PReLU):
        found = [Place("weight", 0)]
    else:
        found = [Place(name, 0) for name in ("weight", "bias", "running_mean", "running_var")]
    return tuple(place for place in found if getattr(layer, place.tensor, None) is not None)


def extent(layer: nn.Module, place: Place) -> int:
    """How many channels a tensor has room for; along dimension 1 a grouped convolution holds those of one group."""
    size = int(getattr(layer, place.tensor).shape[place.dim])
    return size * layer.groups if isinstance(layer, _ConvNd) and place.dim == 1 else size


def goes_by_groups(layer: nn.Module) -> bool:
    """Whether a grouped convolution loses whole groups, or else the same number of channels in each: what is finer."""
    return isinstance(layer, _ConvNd) and layer.groups > 1 and layer.groups >= layer.in_channels // layer.groups


def couplings(layer: nn.Module) -> list[list[tuple[Side, int]]]:
    """Channels of one layer that can only go together."""
    if isinstance(layer, _ConvNd) and layer.groups > 1:
        into, out = layer.in_channels // layer.groups, layer.out_channels // layer.groups  # of each group
        if goes_by_groups(layer):
            return [
                [*(("in", group * into + i) for i in range(into)), *(("out", group * out + i) for i in range(out))]
                for group in range(layer.groups)
            ]
        of_in: list[list[tuple[Side, int]]] = [[("in", i) for i in range(k, layer.in_channels, into)] for k in range(into)]
        return of_in + [[("out", i) for i in range(k, layer.out_channels, out)] for k in range(out)]
    if isinstance(layer, nn.GroupNorm):  # the statistics of a group are those of all its channels
        size = layer.num_channels // layer.num_groups
        return [[("out", group * size + i) for i in range(size)] for group in range(layer.num_groups)]
    return []


def resize(layer: nn.Module, side: Side, count: int) -> None:
    """Tell a layer how many channels a port has now, after its tensors were cut; "out" comes before "in"."""
    if side == "out" and goes_by_groups(layer):
        assert isinstance(layer, _ConvNd)
        into = layer.in_channels // layer.groups
        layer.groups = layer.groups * count // layer.out_channels
        layer.in_channels = layer.groups * into
    if isinstance(layer, nn.GroupNorm):
        layer.num_groups = layer.num_groups * count // layer.num_channels
    setattr(layer, _SIZES[_kind(layer)][side], count)


def _kind(layer: nn.Module) -> type[nn.Module]:
    return next(kind for kind in _SIZES if isinstance(layer, kind))


_SIZES: dict[type[nn.Module], dict[Side, str]] = {
    _ConvNd: {"in": "in_channels", "out": "out_channels"},
    nn.Linear: {"in": "in_features", "out": "out_features"},
    _BatchNorm: {"out": "num_features"},
    _InstanceNorm: {"out": "num_features"},
    nn.GroupNorm: {"out": "num_channels"},
    nn.PReLU: {"out": "num_parameters"},
}
