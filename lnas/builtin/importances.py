"""What is least important: functions from tensors to scores, the lowest pruned first."""

from typing import Annotated

import torch

from lnas.core.mask import Tensors, magnitude
from lnas.core.objective import Objective
from lnas.core.random import stream
from lnas.core.space import relax

__all__ = ["magnitude", "probability", "random"]


def probability(tensors: Tensors, masks: Tensors, loss: Objective) -> Tensors:
    """The softmax over the live entries of each row: a path's share of its edge.

    The reading of "lowest magnitude alpha": |alpha| would keep strongly rejected paths, whose alpha is very negative.
    """
    return {name: relax(tensor.detach(), masks[name]) for name, tensor in tensors.items()}


def random(tensors: Tensors, masks: Tensors, loss: Objective, *, seed: Annotated[int, "root seed of the scores"] = 0) -> Tensors:
    """Uniform scores that depend on the seed, the name and the shape alone, so that rounds are nested: a control."""
    return {name: torch.rand(tensor.shape, generator=stream(seed, f"random/{name}")) for name, tensor in tensors.items()}
