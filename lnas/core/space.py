"""The search space: the over-parameterised network and which of its paths are alive.

The space owns theta and `alive`; a strategy owns alpha (or a controller, or a table) and turns it into gates.  That
separation lets one supernet serve every strategy.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn

from lnas.core.errors import GenotypeError, NumericalError
from lnas.core.genotype import NONE, Genotype

Gates: TypeAlias = Mapping[str, Tensor]
"""group -> (edges, operations) float: the weight of each path, or a preference for it."""

Paths: TypeAlias = Mapping[str, Tensor]
"""group -> (edges, operations) bool, on the CPU: it steers Python's control flow."""


class SearchSpace(nn.Module, ABC):
    """The network N(e_1, ..., e_n), its parameters theta and the candidates O ⊙ M_alpha of Eq. 7.

    A group is a set of edges that share their choice: a kind of cell, or one `MixedOp`.  `edges` and `operations` name
    the rows and columns of every (edges, operations) tensor of that group.
    """

    derived_only: ClassVar[frozenset[str]] = frozenset()
    """Options that shape what `derive` makes and nothing else: whatever they are, a search gives the same bytes.  Runs that
    differ in these alone may share one search.  A policy is none of them: it has its say in the genotype."""
    edges: Mapping[str, tuple[tuple[int, int], ...]]
    operations: Mapping[str, tuple[str, ...]]
    alive: Paths
    """M_alpha.  `prune` clears bits, and no bit is set again; a saved state that is loaded brings its own."""

    @abstractmethod
    def forward(self, x: Any, gates: Gates, paths: Paths | None = None) -> Any:
        """The mixture of Eq. 3 and 4, running only the open `paths` (default: all that are alive).

        `paths` is not "where the gate is not zero": ProxylessNAS computes a path whose gate is 0 for its gradient.
        """

    @abstractmethod
    def required(self, scores: Gates, per: Literal["node", "edge"] = "node") -> Paths:
        """The best path by `scores`, among those alive that compute something, of every node or of every edge.

        Without the paths per node, a node has no input and the network falls apart.
        """

    @abstractmethod
    def discretize(self, scores: Gates, policy: str | None = None) -> Genotype:
        """The architecture that `scores` prefer among the paths alive; `policy` overrides the space's own.

        Raises:
            NumericalError: where a score of a live path is not finite.
        """

    @abstractmethod
    def paths(self, genotype: Genotype) -> Paths:
        """The paths that `genotype` keeps: the inverse of `discretize`."""

    @abstractmethod
    def derive(self, genotype: Genotype) -> nn.Module:
        """A fresh child network on the CPU, with its own theta_0."""

    @abstractmethod
    def release(self) -> None:
        """Delete the modules of dead paths.  Idempotent; afterwards they have no parameters and no memory."""

    def load_live(self, state: Mapping[str, Tensor]) -> None:
        """Load a `state_dict` that may hold paths that have died since; what is missing from it is an error."""
        live = self.state_dict().keys()
        self.load_state_dict({name: tensor for name, tensor in state.items() if name in live})


def require_finite(scores: Gates, space: SearchSpace) -> None:
    """Refuse scores from which no architecture can be read: whoever discretizes asks first.

    Args:
        scores: group -> (edges, operations), of some or all groups of the space; those of dead paths do not matter.
        space: says which paths are alive, and what they are called.

    Raises:
        NumericalError: naming the group, the edge and the operation of the first live path whose score is not finite.
    """
    for group, values in scores.items():
        values = values.detach().cpu()
        wrong = (space.alive[group] & ~values.isfinite()).nonzero().tolist()
        if wrong:
            edge, operation = wrong[0]
            source, node = space.edges[group][edge]
            raise NumericalError(
                f"alpha is not finite: in group {group!r}, on the edge from {source} to {node},"
                f" {space.operations[group][operation]} has {float(values[edge, operation])}; no architecture can be read from it"
            )


def require_connected(genotype: Genotype, space: SearchSpace) -> None:
    """Refuse an architecture whose output, or a part of it, does not depend on its input; by operations other than `none`.

    Args:
        genotype: as the space discretizes it.  A group without output nodes is left to the space.
        space: its edges say which nodes of a group are inputs: those that no edge leads to.

    Raises:
        GenotypeError: naming the group and the first node of its output that no path leads to from an input.
    """
    for group, outputs in genotype.outputs.items():
        edges = space.edges.get(group, ())
        reached = {source for source, _ in edges} - {node for _, node in edges}
        for gene in sorted(genotype.groups.get(group, ()), key=lambda gene: gene.node):
            if gene.operation != NONE and gene.source in reached:
                reached.add(gene.node)
        if lost := [node for node in outputs if node not in reached]:
            raise GenotypeError(
                f"group {group!r}: no path is left from its input to node {lost[0]}, which is part of its output;"
                " prune fewer paths"
            )


def relax(alpha: Tensor, alive: Tensor) -> Tensor:
    """Softmax over the live paths of each edge (Eq. 4 under the mask of Eq. 7).

    Args:
        alpha: (edges, operations) float.
        alive: (edges, operations) bool, on any device.

    Returns:
        (edges, operations): rows sum to 1, a dead path is exactly 0, an edge with no live path is all 0 and its
        gradient is finite.
    """
    mask = alive.to(alpha.device, non_blocking=True)  # a step of a search waits for no copy
    empty = ~mask.any(-1, keepdim=True)
    return torch.softmax(alpha.masked_fill(~(mask | empty), -torch.inf), -1) * mask
