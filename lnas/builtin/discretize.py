"""From scores to an architecture: pure functions on one group's (edges, operations) tensors.

An edge is (source, node).  Columns are named by `operations`; `none` is never chosen.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from lnas.builtin.operations import NONE
from lnas.core.errors import ConfigError, NumericalError
from lnas.core.genotype import Gene
from lnas.core.space import relax

POLICIES = ("auto", "argmax", "survivors", "gated")
"""argmax: DARTS' choice; survivors: every live path, summed; gated: the same, weighted by softmax(alpha); auto: survivors
where a path has died and argmax where none has."""


def resolved(policy: str, alive: Mapping[str, Tensor]) -> str:
    """What `policy` means for a space with these live paths: one of `POLICIES` but "auto".

    Raises:
        ConfigError: for a policy that does not exist.
    """
    if policy not in POLICIES:
        raise ConfigError(f"policy {policy!r} does not exist; there are: {', '.join(POLICIES)}")
    if policy == "auto":
        return "argmax" if all(bool(mask.all()) for mask in alive.values()) else "survivors"
    return policy


def computing(operations: Sequence[str], alive: Tensor) -> Tensor:
    """(edges, operations) bool: the live paths that compute something."""
    return alive & torch.tensor([name != NONE for name in operations])


def required(
    scores: Tensor, alive: Tensor, edges: Sequence[tuple[int, int]], operations: Sequence[str], per: Literal["node", "edge"]
) -> Tensor:
    """The best live path that computes something, of every node or of every edge that has one."""
    usable = computing(operations, alive)
    ranked = scores.detach().cpu().masked_fill(~usable, -torch.inf)
    spared = torch.zeros_like(alive)
    keys = [edge if per == "edge" else edge[1] for edge in edges]
    for key in dict.fromkeys(keys):
        rows = [i for i, other in enumerate(keys) if other == key]
        if usable[rows].any():
            row, column = divmod(int(ranked[rows].argmax()), len(operations))
            spared[rows[row], column] = True
    return spared


def genes(
    scores: Tensor,
    alive: Tensor,
    edges: Sequence[tuple[int, int]],
    operations: Sequence[str],
    *,
    policy: str,
    inputs: int,
) -> tuple[Gene, ...]:
    """The genes that `scores` prefer among the live paths.

    Args:
        scores: (edges, operations) float; alpha, or any preference.
        alive: (edges, operations) bool.
        edges: (source, node) of each row.
        operations: name of each column.
        policy: argmax, survivors or gated.
        inputs: for argmax, how many edges each node keeps: those whose best operation has the largest weight.

    Raises:
        NumericalError: where a live score is not finite.
    """
    scores = scores.detach().cpu()
    if not scores[alive].isfinite().all():
        raise NumericalError("alpha is not finite; no architecture can be read from it")
    usable = computing(operations, alive)
    weights = relax(scores, alive)
    if policy == "argmax":
        return _argmax(weights, usable, edges, operations, inputs)
    return tuple(
        Gene(operations[o], edges[e][0], edges[e][1], float(weights[e, o]) if policy == "gated" else 1.0)
        for e, o in usable.nonzero().tolist()
    )


def _argmax(
    weights: Tensor, usable: Tensor, edges: Sequence[tuple[int, int]], operations: Sequence[str], inputs: int
) -> tuple[Gene, ...]:
    """One operation per edge, then the `inputs` strongest edges of each node, in the order of the edges."""
    best, column = weights.masked_fill(~usable, -1.0).max(-1)  # (edges,); a weight is never below 0
    chosen = []
    for node in dict.fromkeys(node for _, node in edges):
        rows = [i for i, edge in enumerate(edges) if edge[1] == node and bool(usable[i].any())]
        strongest = sorted(rows, key=lambda row: (-float(best[row]), row))[:inputs]
        chosen += [Gene(operations[int(column[row])], *edges[row]) for row in sorted(strongest)]
    return tuple(chosen)
