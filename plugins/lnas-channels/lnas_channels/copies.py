"""Copies of a network in double precision, on which things are tried, and whether two of them compute the same."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

import lnas
from lnas_channels.layers import is_known, places, sides

TOLERANCE = 1e-10
"""The largest difference between two outputs, relative to the largest output where that is above 1."""


def copy_of(network: nn.Module) -> nn.Module:
    """A deep copy, without gradients.

    Raises:
        PluginError: where the network cannot be copied.
    """
    try:
        made = copy.deepcopy(network)
    except Exception as error:  # a foreign network may do anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise lnas.PluginError(f"channels: this network cannot be copied: {reason}") from error
    made.zero_grad(set_to_none=True)
    return made


def trial_copy(network: nn.Module) -> nn.Module:
    """A copy on the CPU, in double precision."""
    return copy_of(network).cpu().double()


@torch.no_grad()
def scramble(network: nn.Module) -> None:
    """Give all layers of a copy random values that keep signals alive, so that no error hides behind a 0 or a 1."""
    generator = lnas.stream(0, "channels/values")
    for layer in network.modules():
        for side in sides(layer) if is_known(layer) else ():
            for name in {place.tensor: None for place in places(layer, side)}:
                tensor = getattr(layer, name)
                if tensor.dim() > 1:
                    tensor.normal_(0, (2 * len(tensor) / tensor.numel()) ** 0.5, generator=generator)
                else:
                    tensor.uniform_(0.5, 1.5, generator=generator)


def random_inputs(example: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Random inputs of the shapes of an example, with a batch of two at least; whole numbers stay what they are.

    Batch normalisation in training mode refuses a single value per channel.
    """
    generator = lnas.stream(0, "channels/inputs")
    doubled = [torch.cat([x, x]) if len(x) == 1 else x for x in (x.detach().cpu() for x in example)]
    return tuple(torch.randn(x.shape, generator=generator, dtype=torch.float64) if x.is_floating_point() else x for x in doubled)


def outputs_of(answer: Any) -> Iterator[Tensor]:
    """All tensors in what a network returned, in order."""
    if isinstance(answer, Tensor):
        yield answer
    elif isinstance(answer, Mapping):
        for part in answer.values():
            yield from outputs_of(part)
    elif isinstance(answer, list | tuple):
        for part in answer:
            yield from outputs_of(part)


def difference(one: nn.Module, other: nn.Module, inputs: Sequence[Tensor], *, training: bool = False) -> str:
    """How two copies differ in what they compute, in words; empty where they do not.

    In training mode, outputs that hang on chance are compared by their shapes only.
    """
    try:
        expected, got = _answers(one, inputs, training), _answers(other, inputs, training)
        if [x.shape for x in expected] != [x.shape for x in got]:
            return f"shapes {[tuple(x.shape) for x in got]} instead of {[tuple(x.shape) for x in expected]}"
        worst = _distance(expected, got)
        if worst <= TOLERANCE or (training and _distance(expected, _answers(one, inputs, training, seed=1)) > TOLERANCE):
            return ""
    except Exception as error:  # a foreign network may do anything
        return " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return f"outputs differ by {worst:.3g}, and {TOLERANCE:g} is allowed"


@torch.no_grad()
def _answers(network: nn.Module, inputs: Sequence[Tensor], training: bool, seed: int = 0) -> list[Tensor]:
    network.train(training)
    with lnas.seeded(seed, "channels/chance"):
        return list(outputs_of(network(*inputs)))


def _distance(expected: Sequence[Tensor], got: Sequence[Tensor]) -> float:
    """The largest difference between outputs of the same shapes, as `TOLERANCE` measures it."""
    worst = 0.0
    for a, b in zip(expected, got, strict=True):
        if a.numel():
            gap = float((a.double() - b.double()).abs().max() / a.double().abs().max().clamp(min=1))
            worst = max(worst, gap if gap == gap else float("inf"))  # NaN is no equality
    return worst
