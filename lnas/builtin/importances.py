"""What is least important: functions from tensors to scores, the lowest pruned first."""

from typing import Annotated

import torch
from torch import Tensor

from lnas.core.mask import Tensors, magnitude
from lnas.core.objective import Objective
from lnas.core.random import stream
from lnas.core.space import relax

__all__ = ["magnitude", "probability", "random", "shuffled"]


def probability(tensors: Tensors, masks: Tensors, loss: Objective) -> Tensors:
    """The softmax over the live entries of each row: a path's share of its edge.

    The reading of "lowest magnitude alpha": |alpha| would keep strongly rejected paths, whose alpha is very negative.
    """
    return {name: relax(tensor.detach(), masks[name]) for name, tensor in tensors.items()}


def random(tensors: Tensors, masks: Tensors, loss: Objective, *, seed: Annotated[int, "root seed of the scores"] = 0) -> Tensors:
    """Uniform scores that depend on the seed, the name and the shape alone, so that rounds are nested: a control."""
    return {name: torch.rand(tensor.shape, generator=stream(seed, f"random/{name}")) for name, tensor in tensors.items()}


def shuffled(
    tensors: Tensors, masks: Tensors, loss: Objective, *, seed: Annotated[int, "root seed of the shuffles"] = 0
) -> Tensors:
    """The magnitudes of each tensor, dealt out anew among its live entries: a random mask with the counts of `magnitude`.

    As many entries of each tensor go as by magnitude, also where weights of all layers compete: what is left to chance is which.
    """
    scores = magnitude(tensors, masks, loss)
    return {name: _dealt_out(score, masks[name], stream(seed, f"shuffled/{name}")) for name, score in scores.items()}


def _dealt_out(scores: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
    scores, alive = scores.cpu().clone(), mask.cpu()
    live = scores[alive]
    scores[alive] = live[torch.randperm(len(live), generator=generator)]
    return scores
