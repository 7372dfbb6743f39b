"""CellSpace: the supernet of DARTS cells, with two inputs, intermediate nodes and a mixed operation on every edge."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor, nn

from lnas.builtin.discretize import genes, required, resolved
from lnas.builtin.fast.layout import laid_out
from lnas.builtin.fast.recognised import watched
from lnas.builtin.mixed import check_partial
from lnas.builtin.mixed_cell import Mixed, MixedCell
from lnas.builtin.network import (
    INPUTS,
    KINDS,
    STEM,
    CellNetwork,
    all_nodes,
    check_pictures,
    check_sizes,
    genotype_edges,
    plan,
    preprocess,
)
from lnas.builtin.operations import CANDIDATES, NONE
from lnas.core.errors import ConfigError, GenotypeError
from lnas.core.genotype import Genotype
from lnas.core.space import Gates, Paths, SearchSpace, require_finite
from lnas.core.types import Task


class CellSpace(SearchSpace):
    """The supernet of stacked cells whose edges hold all candidate operations (DARTS, Liu et al. 2019).

    Groups are "normal" and "reduce": all cells of a kind share their gates.  Parameters of a dead path are deleted.

    With `partial=1` the supernet under gates of 0 and 1 computes what the derived network does.  With more it does not: there
    every operation reads all channels (PC-DARTS, Xu et al. 2020; see `builtin/mixed.py`).

    Raises:
        ConfigError: where a size is below 1, `partial` does not divide the channels, an operation does not exist, or the policy
            does not.
    """

    derived_only: ClassVar[frozenset[str]] = frozenset({"network_channels", "network_layers", "auxiliary", "drop_path"})

    def __init__(
        self,
        task: Task,
        *,
        channels: Annotated[int, "C of the supernet's first cell"] = 16,
        layers: Annotated[int, "cells of the supernet"] = 8,
        nodes: Annotated[int, "intermediate nodes of a cell"] = 4,
        operations: Annotated[tuple[str, ...], "candidate operations, in the order of alpha's columns"] = CANDIDATES,
        network_channels: Annotated[int, "C of the derived network's first cell"] = 36,
        network_layers: Annotated[int, "cells of the derived network"] = 20,
        policy: Annotated[
            Literal["auto", "argmax", "survivors", "gated"],
            "what is derived: argmax (DARTS), survivors (every live path), gated (survivors weighted by softmax(alpha)), "
            "auto (survivors where a path has died, else argmax)",
        ] = "auto",
        auxiliary: Annotated[bool, "auxiliary head on the derived network"] = False,
        drop_path: Annotated[float, "drop path probability of the derived network, in [0, 1)"] = 0.0,
        mixed: Annotated[Mixed, "fast shares and fuses work; reference is the readable form, equal but for rounding"] = "fast",
        activation_checkpointing: Annotated[bool, "keep each cell's inputs only, and compute it twice: less memory"] = False,
        partial: Annotated[int, "K: candidates see 1/K of the channels of an edge, the rest passes by; divides channels"] = 1,
    ) -> None:
        super().__init__()
        check_pictures(task)
        check_sizes(
            channels=channels, layers=layers, nodes=nodes, network_channels=network_channels, network_layers=network_layers
        )
        check_partial(partial, channels)
        if not 0 <= drop_path < 1:
            raise ConfigError(f"drop_path must be in [0, 1), not {drop_path!r}")
        if len(set(operations)) != len(operations) or not set(operations) - {NONE}:
            raise ConfigError(f"operations must be distinct and compute something, not {'+'.join(operations) or 'nothing'}")
        self.task = task
        self.nodes = nodes
        self.policy = policy
        self.mixed = mixed
        self.partial = partial
        self.activation_checkpointing = activation_checkpointing
        self.network = {
            "channels": network_channels,
            "layers": network_layers,
            "auxiliary": auxiliary,
            "drop_path": drop_path,
            "fast": mixed == "fast",
        }
        edges = genotype_edges(nodes)
        self.edges = dict.fromkeys(KINDS, edges)
        self.operations = dict.fromkeys(KINDS, tuple(operations))
        self.alive = {kind: torch.ones(len(edges), len(operations), dtype=torch.bool) for kind in KINDS}
        resolved(policy, self.alive)
        self.stem = nn.Sequential(
            nn.Conv2d(task.shape[0], STEM * channels, 3, padding=1, bias=False), nn.BatchNorm2d(STEM * channels)
        )
        self.kinds = [kind for kind, _ in plan(layers, channels)]
        self.cells = nn.ModuleList()
        before, last, halve = STEM * channels, STEM * channels, False
        for kind, width in plan(layers, channels):
            inputs = (preprocess(before, width, halve=halve, affine=False), preprocess(last, width, halve=False, affine=False))
            reduces = kind == "reduce"
            cell = MixedCell(
                edges,
                operations,
                width,
                inputs,
                reduces=reduces,
                mixed=mixed,
                activation_checkpointing=activation_checkpointing,
                partial=partial,
            )
            self.cells.append(cell)
            before, last, halve = last, nodes * width, reduces
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(last, task.classes)

    def forward(self, x: Tensor, gates: Gates, paths: Paths | None = None) -> Tensor:
        """(B, channels, H, W) -> logits (B, classes)."""
        open_paths = self.alive if paths is None else paths
        opened = {kind: rows.tolist() for kind, rows in open_paths.items()}
        before = last = self.stem(x if self.mixed == "reference" else laid_out(x))
        entries = {kind: [row.unbind() for row in rows.unbind()] for kind, rows in gates.items()}
        sums: dict[str, Sequence[Tensor] | None] = dict.fromkeys(gates)
        if self.partial > 1:
            for kind, rows in gates.items():
                sums[kind] = (rows * open_paths[kind].to(rows.device, non_blocking=True)).sum(1).unbind()
        share = self.mixed == "fast" and self.training and not self.activation_checkpointing
        positive: tuple[Tensor | None, Tensor | None] = (last.relu(),) * 2 if share else (None, None)
        for layer, (kind, cell) in enumerate(zip(self.kinds, self.cells, strict=True), start=1):
            given = (None, None) if watched(cell) else positive
            before, last = last, cell(before, last, entries[kind], opened[kind], given, sums[kind])
            positive = (positive[1], last.relu() if share and layer < len(self.cells) else None)
        logits: Tensor = self.classifier(self.pool(last).flatten(1))
        return logits

    def required(self, scores: Gates, per: Literal["node", "edge"] = "node") -> Paths:
        """The best live path that computes something, of every node or of every edge."""
        return {kind: required(scores[kind], self.alive[kind], self.edges[kind], self.operations[kind], per) for kind in KINDS}

    def discretize(self, scores: Gates, policy: str | None = None) -> Genotype:
        """DARTS' two strongest inputs per node, or the surviving paths; see `policy`."""
        require_finite(scores, self)
        chosen = resolved(policy or self.policy, self.alive)
        groups = {
            kind: genes(scores[kind], self.alive[kind], self.edges[kind], self.operations[kind], policy=chosen, inputs=INPUTS)
            for kind in KINDS
        }
        return Genotype(groups, all_nodes(self.nodes))

    def paths(self, genotype: Genotype) -> Paths:
        """The paths that `genotype` keeps.

        Raises:
            GenotypeError: where a gene is no path of this space.
        """
        kept = {kind: torch.zeros_like(alive) for kind, alive in self.alive.items()}
        for kind, members in genotype.groups.items():
            for gene in members:
                edge = (gene.source, gene.node)
                if kind not in kept or edge not in self.edges[kind] or gene.operation not in self.operations[kind]:
                    raise GenotypeError(f"{kind} cell: {gene.operation} from {edge[0]} to {edge[1]} is no path of this space")
                kept[kind][self.edges[kind].index(edge), self.operations[kind].index(gene.operation)] = True
        return kept

    def derive(self, genotype: Genotype) -> CellNetwork:
        """The derived network, freshly initialised from torch's global generator."""
        return CellNetwork(genotype, self.task, **self.network)  # type: ignore[arg-type]

    def release(self) -> None:
        """Delete the modules of dead paths."""
        for kind, cell in zip(self.kinds, self.cells, strict=True):
            assert isinstance(cell, MixedCell)
            cell.release(self.alive[kind].tolist())
