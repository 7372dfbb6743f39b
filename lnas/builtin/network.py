"""CellNetwork: the network that a genotype of cells describes (the derived network, DARTS' evaluation network)."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

import torch
from torch import Tensor, nn
from torchvision.ops import stochastic_depth

from lnas.builtin.fast.concatenation import concatenated
from lnas.builtin.fast.layout import laid_out
from lnas.builtin.fast.node import Member, Source, prepared, weighted_sum
from lnas.builtin.fast.recognised import watched
from lnas.builtin.operations import NONE, OPERATIONS, FactorizedReduce, ReluConvNorm, operation
from lnas.core.errors import ConfigError, GenotypeError, UnknownNameError
from lnas.core.genotype import Gene, Genotype
from lnas.core.types import Task

KINDS = ("normal", "reduce")
INPUTS = 2
"""Every cell reads the outputs of the two cells before it: nodes 0 and 1."""
STEM = 3
"""The stem has this many times the channels of the first cell."""


_MOST_CHANNELS = 65_536
_MOST = {"layers": 1000, "cells": 1000, "nodes": 100}


def plan(layers: int, channels: int) -> list[tuple[str, int]]:
    """(kind, channels) of each cell: reduction cells at 1/3 and 2/3 of the depth double the channels."""
    cells, width = [], channels
    for layer in range(layers):
        reduces = layer in (layers // 3, 2 * layers // 3)
        width *= 2 if reduces else 1
        cells.append((KINDS[reduces], width))
    return cells


def check_sizes(**sizes: int) -> None:
    """Raise a `ConfigError` that names the first of the given sizes below 1, or so large that it can only be a slip."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"{name} must be a whole number of at least 1, not {value!r}")
        if value > (most := _MOST.get(name.removeprefix("network_"), _MOST_CHANNELS)):
            raise ConfigError(f"{name} must be at most {most:,}, not {value:,}")


def check_pictures(task: Task) -> None:
    """Raise a `ConfigError` where the inputs are no pictures."""
    if len(task.shape) != 3 or min(task.shape) < 1 or task.classes < 1:
        raise ConfigError(f"cells need pictures of shape (channels, height, width) and a class, not {task}")


def check_cells(genotype: Genotype) -> None:
    """Check that a genotype describes a normal and a reduction cell that can be built.

    Raises:
        GenotypeError: naming the cell, and the node or operation.
    """
    for kind in KINDS:
        if not genotype.groups.get(kind):
            raise GenotypeError(f"the genotype has no {kind!r} cell; a cell network needs {' and '.join(KINDS)}")
        genes = genotype.groups[kind]
        nodes = {gene.node for gene in genes}
        fed = {gene.node for gene in genes if gene.operation != NONE}
        for gene in genes:
            if gene.operation not in OPERATIONS:
                raise GenotypeError(f"{kind} cell: {UnknownNameError('operation', gene.operation, OPERATIONS)}")
            if gene.node < INPUTS:
                raise GenotypeError(f"{kind} cell: {gene.operation} ends at node {gene.node}, an input of the cell")
            if gene.source >= INPUTS and gene.source not in nodes:
                raise GenotypeError(f"{kind} cell: {gene.operation} starts at node {gene.source}, which has no input")
            if gene.node not in fed:
                raise GenotypeError(f"{kind} cell: node {gene.node} has no input but {NONE}")
        outputs = genotype.outputs.get(kind, ())
        if not outputs:
            raise GenotypeError(f"{kind} cell: no node is part of the output")
        for node in outputs:
            if node not in nodes:
                raise GenotypeError(f"{kind} cell: output node {node} has no input")
    unknown = set(genotype.groups) - set(KINDS)
    if unknown:
        raise GenotypeError(f"unknown cells {sorted(unknown)}; a cell network has {' and '.join(KINDS)}")


def preprocess(inputs: int, outputs: int, *, halve: bool, affine: bool) -> nn.Module:
    """Bring a cell's input to its channels, and to half the resolution where the cell between was a reduction."""
    return FactorizedReduce(inputs, outputs, affine=affine) if halve else ReluConvNorm(inputs, outputs, affine=affine)


class Cell(nn.Module):
    """One cell of a derived network: (B, *, H, W) twice -> (B, outputs · channels, H', W')."""

    def __init__(
        self,
        genes: Sequence[Gene],
        outputs: Sequence[int],
        *,
        channels: int,
        inputs: tuple[nn.Module, nn.Module],
        reduces: bool,
        fast: bool = True,
    ) -> None:
        super().__init__()
        self.fast = fast
        self.inputs = nn.ModuleList(inputs)
        self.genes = tuple(sorted(genes, key=lambda gene: gene.node))  # sources come before nodes; stable within a node
        self.outputs = tuple(outputs)
        self.operations = nn.ModuleList(
            operation(gene.operation, channels, stride=2 if reduces and gene.source < INPUTS else 1) for gene in self.genes
        )

    def forward(
        self, before: Tensor, last: Tensor, drop_path: float, positive: tuple[Tensor | None, Tensor | None] = (None, None)
    ) -> Tensor:
        """Each node is the sum of its genes (Eq. 3); the output concatenates `outputs`.

        `positive` is relu(before) and relu(last) where they are there: two cells read every output.
        """
        if self.fast and self.training:
            states = self._fast((Source(before, positive[0]), Source(last, positive[1])), drop_path)
            return concatenated([states[node] for node in self.outputs])
        states = self._readable(before, last, drop_path)
        return torch.cat([states[node] for node in self.outputs], 1)

    def _readable(self, before: Tensor, last: Tensor, drop_path: float) -> dict[int, Tensor]:
        """All states, gene by gene."""
        states: dict[int, Tensor] = {
            node: prepare(x) for node, prepare, x in zip((0, 1), self.inputs, (before, last), strict=True)
        }
        for gene, apply in zip(self.genes, self.operations, strict=True):
            term = self._dropped(apply(states[gene.source]), apply, drop_path)
            if gene.weight != 1.0:
                term = gene.weight * term
            states[gene.node] = states[gene.node] + term if gene.node in states else term
        return states

    def _fast(self, inputs: tuple[Source, Source], drop_path: float) -> dict[int, Tensor]:
        """The same in training mode, node by node, with what genes share computed once; equal but for rounding."""
        sources = {
            node: prepared(prepare, source) for node, (prepare, source) in enumerate(zip(self.inputs, inputs, strict=True))
        }
        for node, pairs in groupby(zip(self.genes, self.operations, strict=True), key=lambda pair: pair[0].node):
            members = [Member(apply, sources[gene.source], gene.weight) for gene, apply in pairs]
            if drop_path:
                terms = [
                    self._dropped(weighted_sum([member], fused_from=math.inf), member.operation, drop_path) for member in members
                ]
                sources[node] = Source(sum(terms[1:], terms[0]))
            else:
                sources[node] = Source(weighted_sum(members, fused_from=math.inf))
        return {node: source.x for node, source in sources.items()}

    def _dropped(self, term: Tensor, apply: nn.Module, drop_path: float) -> Tensor:
        if not drop_path or isinstance(apply, nn.Identity):
            return term
        kept: Tensor = stochastic_depth(term, drop_path, "row", self.training)
        return kept


class AuxiliaryHead(nn.Sequential):
    """A second classifier on the features after the second reduction (Szegedy et al. 2015; sizes of DARTS for CIFAR)."""

    def __init__(self, channels: int, classes: int, side: int) -> None:
        super().__init__(
            nn.ReLU(),
            nn.AvgPool2d(5, stride=3) if side == 8 else nn.AdaptiveAvgPool2d(2),  # 8x8 is the published size
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            nn.BatchNorm2d(768),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(768, classes),
        )


class CellNetwork(nn.Module):
    """The network of `layers` cells that a genotype describes.

    Args:
        genotype: with the groups "normal" and "reduce".
        task: pictures (channels, height, width) and classes.
        channels: C of the first cell; doubled by each of the two reduction cells.
        layers: cells in all.
        auxiliary: add the auxiliary head, which answers in training mode only.
        drop_path: probability of leaving out the output of an operation for a sample, in [0, 1) (Larsson et al. 2017).
        fast: in training mode share and fuse work (`builtin/fast`), equal to the readable form but for rounding; in evaluation
            mode the readable form always runs.

    Raises:
        GenotypeError: where a cell cannot be built.
        ConfigError: where a size is below 1.
    """

    def __init__(
        self,
        genotype: Genotype,
        task: Task,
        *,
        channels: int = 36,
        layers: int = 20,
        auxiliary: bool = False,
        drop_path: float = 0.0,
        fast: bool = True,
    ) -> None:
        super().__init__()
        check_pictures(task)
        check_sizes(channels=channels, layers=layers)
        check_cells(genotype)
        if not 0 <= drop_path < 1:
            raise ConfigError(f"drop_path must be in [0, 1), not {drop_path!r}")
        self.task = task
        self.drop_path = drop_path
        self.fast = fast
        pictures, height, _ = task.shape
        self.stem = nn.Sequential(nn.Conv2d(pictures, STEM * channels, 3, padding=1, bias=False), nn.BatchNorm2d(STEM * channels))
        self.cells = nn.ModuleList()
        self.auxiliary: AuxiliaryHead | None = None
        self.auxiliary_at = 2 * layers // 3
        before, last, halve, side = STEM * channels, STEM * channels, False, height
        for layer, (kind, width) in enumerate(plan(layers, channels)):
            inputs = (preprocess(before, width, halve=halve, affine=True), preprocess(last, width, halve=False, affine=True))
            reduces = kind == "reduce"
            outputs = genotype.outputs[kind]
            cell = Cell(genotype.groups[kind], outputs, channels=width, inputs=inputs, reduces=reduces, fast=fast)
            self.cells.append(cell)
            before, last, halve = last, len(outputs) * width, reduces
            side = (side + 1) // 2 if reduces else side
            if auxiliary and layer == self.auxiliary_at:
                self.auxiliary = AuxiliaryHead(last, task.classes, side)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(last, task.classes)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(B, channels, H, W) -> logits (B, classes); with the auxiliary head in training mode, (logits, auxiliary logits)."""
        before = last = self.stem(laid_out(x) if self.fast else x)
        share = self.fast and self.training
        positive: tuple[Tensor | None, Tensor | None] = (last.relu(),) * 2 if share else (None, None)
        auxiliary: Tensor | None = None
        for layer, cell in enumerate(self.cells):
            before, last = last, cell(before, last, self.drop_path, (None, None) if watched(cell) else positive)
            positive = (positive[1], last.relu() if share and layer + 1 < len(self.cells) else None)
            if self.training and self.auxiliary is not None and layer == self.auxiliary_at:
                auxiliary = self.auxiliary(last)
        logits: Tensor = self.classifier(self.pool(last).flatten(1))
        return logits if auxiliary is None else (logits, auxiliary)


def genotype_edges(nodes: int) -> tuple[tuple[int, int], ...]:
    """(source, node) of every edge of a cell with `nodes` intermediate nodes, node by node."""
    return tuple((source, INPUTS + i) for i in range(nodes) for source in range(INPUTS + i))


def all_nodes(nodes: int) -> Mapping[str, tuple[int, ...]]:
    """Outputs of a searched cell: all its intermediate nodes, for each kind."""
    return {kind: tuple(range(INPUTS, INPUTS + nodes)) for kind in KINDS}
