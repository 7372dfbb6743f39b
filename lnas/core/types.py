"""The few types that every floor speaks of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor

Batch: TypeAlias = Any
"""Whatever the user's loss understands: a tuple, a dict, tokens.  The core never looks inside."""

Metrics: TypeAlias = Mapping[str, Tensor]
"""What one step reports: detached 0-d tensors, on the device, so that a step needs no synchronisation."""

State: TypeAlias = dict[str, Any]
"""Nested dictionaries and lists of tensors, numbers, strings, booleans and None: all that a checkpoint can hold."""

Predict: TypeAlias = Callable[[Any], Any]
"""A network as a loss sees it: input in, output out."""

Loss: TypeAlias = Callable[[Predict, Batch], Tensor]
"""`loss(network, batch)`: a differentiable 0-d tensor."""


@dataclass(frozen=True)
class Task:
    """What a space must know of the data: the shape of one input (without the batch) and the number of outputs."""

    shape: tuple[int, ...] = (3, 32, 32)
    classes: int = 10
