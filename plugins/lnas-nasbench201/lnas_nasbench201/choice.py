"""From scores to a cell: pure functions of tensors whose rows are `EDGES` and whose columns are `OPERATIONS`."""

import math
from typing import Literal

import torch
from torch import Tensor

import lnas
from lnas_nasbench201.enumeration import EDGES, NODES, NONE, OPERATIONS

POLICIES = ("argmax", "survivors", "gated", "auto")
_NONE = OPERATIONS.index(NONE)


def computing(alive: Tensor) -> Tensor:
    """(6, 5) bool: the live paths that compute something, all but those of `none`."""
    return alive & torch.tensor([name != NONE for name in OPERATIONS])


def required(scores: Tensor, alive: Tensor, per: Literal["node", "edge"]) -> Tensor:
    """(6, 5) bool: the best live path that computes something, of every node or of every edge that has one."""
    usable = computing(alive)
    rows = scores.detach().cpu().masked_fill(~usable, -math.inf).tolist()
    best: dict[int, tuple[float, int, int]] = {}
    for edge, (_, node) in enumerate(EDGES):
        score, operation = _first_best(rows[edge])
        key = edge if per == "edge" else node
        if usable[edge].any() and (key not in best or score > best[key][0]):
            best[key] = score, edge, operation
    spared = torch.zeros_like(alive)
    for _, edge, operation in best.values():
        spared[edge, operation] = True
    return spared


def genes(scores: Tensor, alive: Tensor, policy: str) -> tuple[lnas.Gene, ...]:
    """The genes that `scores` prefer among the live paths.

    An edge on which only `none` lives holds that, and an edge without a live path no gene, which means the same.

    Args:
        scores: (6, 5) float.
        alive: (6, 5) bool.
        policy: argmax, survivors or gated.

    Raises:
        NumericalError: where a live score is not finite.
    """
    scores = scores.detach().cpu()
    if not scores[alive].isfinite().all():
        raise lnas.NumericalError("alpha is not finite; no architecture can be read from it")
    if policy == "argmax":
        return tuple(_gene(e, o) for e, o in enumerate(_most_probable(scores, alive)) if alive[e, o])
    weights = lnas.relax(scores, alive) if policy == "gated" else torch.ones_like(scores)
    kept = computing(alive)
    only_none = alive & ~kept.any(1, keepdim=True)
    return tuple(_gene(e, o, float(weights[e, o])) for e, o in (kept | only_none).nonzero().tolist())


def _gene(edge: int, operation: int, weight: float = 1.0) -> lnas.Gene:
    source, node = EDGES[edge]
    return lnas.Gene(OPERATIONS[operation], source, node, weight)


def _most_probable(scores: Tensor, alive: Tensor) -> list[int]:
    """The operation of each edge: of all cells whose output depends on their input, one with the largest sum of scores.

    That is the largest score of each edge, as in the benchmark, where those lead from the input to the output.  Else the
    edges of one route are made to compute something: of the route that loses the least.  (A difference of scores is one of
    logarithms of softmax weights.)  `none` is chosen only where it is better than all others.
    """
    free = scores.masked_fill(~alive, -math.inf).tolist()
    able = scores.masked_fill(~computing(alive), -math.inf).tolist()
    chosen, instead, losses = [], [], []
    for all_of_edge, others in zip(free, able, strict=True):
        value, best = _first_best(others)
        loss = max(0.0, all_of_edge[_NONE] - value) if value > -math.inf else math.inf
        losses.append(loss)
        instead.append(best)
        chosen.append(_NONE if loss > 0 else best)
    for edge in _cheapest_route(losses):
        chosen[edge] = instead[edge]
    return chosen


def _cheapest_route(losses: list[float]) -> tuple[int, ...]:
    """The edges of the route from the input to the output with the smallest sum; none where there is no finite one."""
    cost = [0.0] + [math.inf] * (NODES - 1)
    route: list[tuple[int, ...]] = [()] * NODES
    for edge, (source, node) in enumerate(EDGES):
        if cost[source] + losses[edge] < cost[node]:
            cost[node] = cost[source] + losses[edge]
            route[node] = (*route[source], edge)
    return route[-1]


def _first_best(row: list[float]) -> tuple[float, int]:
    """The largest value of a row, and the first place that has it."""
    best = max(row)
    return best, row.index(best)
