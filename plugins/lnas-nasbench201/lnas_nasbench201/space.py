"""NasBench201Space: the supernet of NAS-Bench-201, and the networks that are derived from it."""

from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor, nn

import lnas
from lnas_nasbench201.cell import MixedCell
from lnas_nasbench201.choice import POLICIES, genes, required
from lnas_nasbench201.enumeration import EDGES, GROUP, NODES, NONE, OPERATIONS, architecture


class NasBench201Space(lnas.SearchSpace):
    """The supernet of NAS-Bench-201 (Dong and Yang 2020): three stages of equal cells of four nodes, six edges, five operations.

    The one group is "cell": all cells share their gates.  Parameters of a dead path are deleted.

    Raises:
        ConfigError: where a size is below 1, the policy does not exist, or the task's inputs are no pictures.
    """

    derived_only: ClassVar[frozenset[str]] = frozenset({"network_channels", "network_cells"})

    def __init__(
        self,
        task: lnas.Task,
        *,
        channels: Annotated[int, "C of the supernet's first stage; the others have twice and four times as many"] = 16,
        cells: Annotated[int, "cells of each stage of the supernet"] = 5,
        network_channels: Annotated[int, "C of the derived network's first stage"] = 16,
        network_cells: Annotated[int, "cells of each stage of the derived network"] = 5,
        policy: Annotated[
            Literal["argmax", "survivors", "gated", "auto"],
            "what is derived: argmax (the best operation of each edge, a cell of the benchmark), survivors (every live path), "
            "gated (survivors weighted by softmax(alpha)), auto (survivors where a path has died, else argmax)",
        ] = "argmax",
    ) -> None:
        super().__init__()
        _check_sizes(channels=channels, cells=cells, network_channels=network_channels, network_cells=network_cells)
        self.task = task
        self.policy = policy
        self.network = {"channels": network_channels, "cells": network_cells}
        self.edges = {GROUP: EDGES}
        self.operations = {GROUP: OPERATIONS}
        self.alive = {GROUP: torch.ones(len(EDGES), len(OPERATIONS), dtype=torch.bool)}
        self._resolved(policy)
        # the supernet is the network of a cell without operations, with a mixed cell in the place of every such cell
        empty = lnas.parse_nasbench201(architecture([NONE] * len(EDGES)))
        around = lnas.NasBench201Network(empty, task, channels=channels, cells=cells)
        self.stem, self.last, self.pool, self.classifier = around.stem, around.last, around.pool, around.classifier
        self.body = nn.ModuleList()
        for index, part in enumerate(around.body):
            stage, place = divmod(index, cells + 1)  # the cells of a stage, then a residual block
            self.body.append(MixedCell(channels * 2**stage) if place < cells else part)

    def forward(self, x: Tensor, gates: lnas.Gates, paths: lnas.Paths | None = None) -> Tensor:
        """(B, channels, H, W) -> logits (B, classes)."""
        opened = (self.alive if paths is None else paths)[GROUP].tolist()
        entries = [row.unbind() for row in gates[GROUP].unbind()]
        x = self.stem(x)
        for part in self.body:
            x = part(x, entries, opened) if isinstance(part, MixedCell) else part(x)
        logits: Tensor = self.classifier(self.pool(self.last(x)).flatten(1))
        return logits

    def required(self, scores: lnas.Gates, per: Literal["node", "edge"] = "node") -> lnas.Paths:
        """The best live path that computes something, of every node or of every edge."""
        return {GROUP: required(scores[GROUP], self.alive[GROUP], per)}

    def discretize(self, scores: lnas.Gates, policy: str | None = None) -> lnas.Genotype:
        """The best operation of each edge, `none` included, or the surviving paths; see `policy`.

        Where the best operations do not lead from the input of the cell to its output, those of the route that loses the least
        are replaced by the best that compute something: a network that does not look at its input cannot be trained.
        """
        lnas.require_finite(scores, self)
        chosen = genes(scores[GROUP], self.alive[GROUP], self._resolved(policy or self.policy))
        return lnas.Genotype({GROUP: chosen}, {GROUP: (NODES - 1,)})

    def paths(self, genotype: lnas.Genotype) -> lnas.Paths:
        """The paths that `genotype` keeps.

        Raises:
            GenotypeError: where a gene is no path of this space.
        """
        kept = torch.zeros_like(self.alive[GROUP])
        for group, members in genotype.groups.items():
            for gene in members:
                edge = (gene.source, gene.node)
                if group != GROUP or edge not in EDGES or gene.operation not in OPERATIONS:
                    where = f"{gene.operation} from {gene.source} to {gene.node}"
                    raise lnas.GenotypeError(f"{group}: {where} is no path of NAS-Bench-201")
                kept[EDGES.index(edge), OPERATIONS.index(gene.operation)] = True
        return {GROUP: kept}

    def derive(self, genotype: lnas.Genotype) -> nn.Module:
        """The network that the benchmark trains for this cell, freshly initialised from torch's global generator."""
        return lnas.NasBench201Network(genotype, self.task, **self.network)

    def release(self) -> None:
        """Delete the modules of dead paths."""
        for part in self.body:
            if isinstance(part, MixedCell):
                part.release(self.alive[GROUP].tolist())

    def _resolved(self, policy: str) -> str:
        """What a policy means for the paths that are alive now."""
        if policy not in POLICIES:
            raise lnas.ConfigError(f"policy {policy!r} does not exist; there are: {', '.join(POLICIES)}")
        if policy == "auto":
            return "argmax" if bool(self.alive[GROUP].all()) else "survivors"
        return policy


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise lnas.ConfigError(f"{name} must be a whole number of at least 1, not {size!r}")
