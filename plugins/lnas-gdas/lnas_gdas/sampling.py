"""One path of each edge by the Gumbel-max trick, and the gradient that goes through it (Jang, Gu and Poole 2017)."""

import torch
from torch import Tensor

import lnas


def gumbel(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Independent standard Gumbel draws, -log E with E ~ Exp(1), in float64 on the CPU.

    Drawn in one dtype whatever alpha's is, so that a seed stands for one sequence of draws.
    """
    exponential = torch.empty(shape, dtype=torch.float64).exponential_(generator=generator)
    return -exponential.clamp_min_(torch.finfo(torch.float64).tiny).log_()


def largest(scores: Tensor, alive: Tensor) -> Tensor:
    """The live path with the largest score of each edge.

    With scores alpha + Gumbel noise, path o of an edge is the one with probability softmax(alpha)_o over its live paths
    (Eq. 4 of the paper).

    Args:
        scores: (edges, operations) float, on the CPU.
        alive: (edges, operations) bool, on the CPU.

    Returns:
        (edges, operations) bool: one path of every edge that has a live one, none of the others.
    """
    best = scores.masked_fill(~alive, -torch.inf).argmax(-1, keepdim=True)
    return torch.zeros_like(alive).scatter_(-1, best, True) & alive


def straight_through(scores: Tensor, temperature: float, alive: Tensor, paths: Tensor) -> Tensor:
    """Gates that are exactly one-hot, with the gradient of softmax(scores / temperature) over the live paths.

    Args:
        scores: (edges, operations) float: alpha and its noise.
        temperature: above 0.
        alive: (edges, operations) bool, on any device.
        paths: (edges, operations) bool: the hot ones.

    Returns:
        (edges, operations): 1 where `paths`, else 0.
    """
    soft = lnas.relax(scores / temperature, alive)
    hard = paths.to(scores.device, scores.dtype, non_blocking=True)
    return hard + (soft - soft.detach())  # the bracket is exactly 0, so that a gate is exactly 1 or 0
