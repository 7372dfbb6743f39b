"""Edge normalisation: the edges into a node share it by a softmax of beta (Xu et al. 2020, Eq. 3)."""

from collections.abc import Sequence

import torch
from torch import Tensor

import lnas


def incoming(edges: Sequence[tuple[int, int]]) -> Tensor:
    """(nodes, edges) bool, on the CPU: the edges (source, node) that lead into each node, nodes in their order."""
    nodes = dict.fromkeys(node for _, node in edges)
    return torch.tensor([[target == node for _, target in edges] for node in nodes])


def shares(beta: Tensor, into: Tensor, alive: Tensor) -> Tensor:
    """The share of every edge in its node: a softmax of beta over the live edges into it.

    Args:
        beta: (edges,) float.
        into: (nodes, edges) bool, what `incoming` gives.
        alive: (edges, operations) bool, on the CPU; an edge is dead where all its paths are.

    Returns:
        (edges,): those of a node sum to 1, or are all 0 where none of its edges is alive; a dead edge has exactly 0.
    """
    return lnas.relax(beta.expand(len(into), -1), into & alive.any(1)).sum(0)  # an edge has one node: the others add 0
