"""Reading the genotype: a path weighs softmax(alpha) times the share of its edge (Xu et al. 2020, Section 3.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

import lnas


def read(space: lnas.SearchSpace, alpha: lnas.Gates, shares: Mapping[str, Tensor]) -> lnas.Genotype:
    """The architecture that alpha and the shares of the edges prefer, under the policy of the space.

    Where the space keeps the strongest edges of a node, as many are kept, and those whose best path that computes something
    has the largest weight.  Where it keeps every live path, so does this; their weights, where it gives them any, are
    multiplied by the shares.

    Args:
        space: what was searched.
        alpha: group -> (edges, operations).
        shares: group -> (edges,).

    Raises:
        NumericalError: where alpha or a share is not finite.
    """
    shares = {group: share.detach().cpu() for group, share in shares.items()}
    for group, share in shares.items():
        if not share.isfinite().all():
            raise lnas.NumericalError(f"beta of {group} is not finite; no architecture can be read from it")
    found = space.discretize(alpha)
    genes = [gene for members in found.groups.values() for gene in members]
    if getattr(space, "policy", None) == "gated" or any(gene.weight != 1 for gene in genes):
        groups = {group: _weighed(members, space.edges[group], shares[group]) for group, members in found.groups.items()}
    elif found == space.discretize(alpha, "argmax"):
        best = space.required(alpha, "edge")
        groups = {
            group: _strongest(
                members,
                space.edges[group],
                space.operations[group],
                best[group],
                lnas.relax(alpha[group].detach().cpu(), space.alive[group]) * shares[group].unsqueeze(1),
            )
            for group, members in found.groups.items()
        }
    else:
        groups = dict(found.groups)
    return replace(found, groups=groups)


def _weighed(genes: Sequence[lnas.Gene], edges: Sequence[tuple[int, int]], share: Tensor) -> tuple[lnas.Gene, ...]:
    return tuple(replace(gene, weight=gene.weight * float(share[edges.index((gene.source, gene.node))])) for gene in genes)


def _strongest(
    genes: Sequence[lnas.Gene], edges: Sequence[tuple[int, int]], operations: Sequence[str], best: Tensor, weights: Tensor
) -> tuple[lnas.Gene, ...]:
    """As many edges of every node as `genes` has, the strongest first choice; a node that keeps all stays as it is.

    Args:
        genes: those of the space's own choice.
        edges: (source, node) of each row.
        operations: name of each column.
        best: (edges, operations) bool, one path of every edge that has one that computes something.
        weights: (edges, operations).
    """
    chosen: list[lnas.Gene] = []
    for node in dict.fromkeys(node for _, node in edges):
        own = [gene for gene in genes if gene.node == node]
        rows = [row for row, edge in enumerate(edges) if edge[1] == node and bool(best[row].any())]
        if len(own) >= len(rows):
            chosen += own
            continue
        ranked = sorted(rows, key=lambda row: (-float(weights[row][best[row]]), row))
        for row in sorted(ranked[: len(own)]):
            chosen.append(lnas.Gene(operations[int(best[row].long().argmax())], *edges[row]))
    return tuple(chosen)
