"""MixedCell: one cell of the supernet, in a readable form and in a fast one that must equal it."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from itertools import groupby
from typing import Literal, Self, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lnas.builtin.fast.concatenation import concatenated
from lnas.builtin.fast.node import Member, Source, prepared, weighted_sum
from lnas.builtin.fast.partial import Divided, joined
from lnas.builtin.fast.recognised import watched
from lnas.builtin.mixed import MixedOperation, check_partial, open_sum, partially
from lnas.builtin.network import INPUTS
from lnas.builtin.operations import NONE, operation
from lnas.core.buffers import preserved_buffers
from lnas.core.errors import ConfigError

Mixed = Literal["fast", "reference"]
MIXED = ("fast", "reference")
FUSED_FROM = 2**21
"""Separable convolutions with so many numbers in one node go through the fused mix, which keeps little for the backward pass.
With fewer, memory is no matter, and the many small products of the mix take longer than the batch norms that they save.  On a
GPU they do so at any size: there, none goes through it."""

Rows: TypeAlias = Tensor | Sequence[Sequence[Tensor]]
"""Gates, (edges, operations): a tensor, or its entries, taken apart once for all cells of a kind."""


class MixedCell(nn.Module):
    """A cell whose edges hold every candidate operation.

    Args:
        edges: (source, node) of each, node by node.
        operations: names, in the order of the columns of gates and paths.
        channels: C.
        inputs: bring the outputs of the two cells before to C channels.
        reduces: whether edges from the inputs halve the resolution.
        mixed: how it is computed in training mode.  "fast" shares work among edges and fuses convolutions with their batch
            norms (`builtin/fast`); it equals "reference", the sum of `MixedOperation`s, but for rounding.  In evaluation
            mode both are the reference.
        activation_checkpointing: keep only the inputs and the output of the cell for the backward pass, and compute the rest
            again (Chen et al. 2016).  Between the two passes no module may be deleted or change its mode.
        partial: K; 1/K of the channels of every edge go through its candidates, the others past them (PC-DARTS).

    Raises:
        ConfigError: where `mixed` is neither, or `partial` does not divide the channels.
    """

    def __init__(
        self,
        edges: Sequence[tuple[int, int]],
        operations: Sequence[str],
        channels: int,
        inputs: tuple[nn.Module, nn.Module],
        *,
        reduces: bool,
        mixed: Mixed = "fast",
        activation_checkpointing: bool = False,
        partial: int = 1,
    ) -> None:
        super().__init__()
        if mixed not in MIXED:
            raise ConfigError(f"mixed must be {' or '.join(MIXED)}, not {mixed!r}")
        check_partial(partial, channels)
        self.inputs = nn.ModuleList(inputs)
        self.sources = tuple(edges)
        self.reduces = reduces
        self.mixed = mixed
        self.activation_checkpointing = activation_checkpointing
        self.partial = partial
        self.fused_from = FUSED_FROM
        self.edges = nn.ModuleList(
            MixedOperation(
                {name: operation(name, channels // partial, stride=self._stride(source), affine=False) for name in operations}
            )
            for source, _ in edges
        )

    def forward(
        self,
        before: Tensor,
        last: Tensor,
        gates: Rows,
        paths: Sequence[Sequence[bool]],
        positive: tuple[Tensor | None, Tensor | None] = (None, None),
        sums: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """(B, *, H, W) twice -> (B, nodes · channels, H', W'); a node without an open path is 0.

        `positive` is relu(before) and relu(last) where they are there: two cells read every output.  `sums`, (edges,), are
        those of the gates of each edge's open paths where they are there: all cells of a kind need them where `partial` > 1.
        """
        if self.activation_checkpointing and self.training and torch.is_grad_enabled():
            output: Tensor = checkpoint(
                self._compute, before, last, gates, paths, sums=sums, use_reentrant=False, context_fn=self._once_and_again
            )
            return output
        return self._compute(before, last, gates, paths, positive, sums)

    def release(self, alive: Sequence[Sequence[bool]]) -> None:
        """Delete the modules of dead paths."""
        for edge, row in zip(self._edges(), alive, strict=True):
            edge.release(row)

    def _compute(
        self,
        before: Tensor,
        last: Tensor,
        gates: Rows,
        paths: Sequence[Sequence[bool]],
        positive: tuple[Tensor | None, Tensor | None] = (None, None),
        sums: Sequence[Tensor] | None = None,
    ) -> Tensor:
        if self.mixed == "fast" and self.training and len(before) and not watched(*self.edges):
            inputs = Source(before, positive[0]), Source(last, positive[1])
            return concatenated(self._fast(inputs, gates, paths, sums))
        return torch.cat(self._reference((before, last), gates, paths), 1)

    def _reference(self, inputs: tuple[Tensor, Tensor], gates: Rows, paths: Sequence[Sequence[bool]]) -> list[Tensor]:
        """Every node is the sum of its mixed operations."""
        states = [prepare(x) for prepare, x in zip(self.inputs, inputs, strict=True)]
        nodes: dict[int, Tensor] = {}
        for index, ((source, node), edge) in enumerate(zip(self.sources, self._edges(), strict=True)):
            if node not in nodes and node > INPUTS:
                states.append(nodes[node - 1])
            term = self._term(edge, states[source], gates[index], paths[index], self._stride(source))
            if node not in nodes:
                nodes[node] = self._zeros(states[0]) if term is None else term
            elif term is not None:
                nodes[node] = nodes[node] + term
        return list(nodes.values())

    def _term(
        self, edge: MixedOperation, x: Tensor, gates: Tensor | Sequence[Tensor], paths: Sequence[bool], stride: int
    ) -> Tensor | None:
        """What one edge adds to its node."""
        if self.partial > 1:
            return partially(edge, x, gates, paths, partial=self.partial, stride=stride)
        value: Tensor | None = edge(x, gates, paths)
        return value

    def _fast(
        self, inputs: tuple[Source, Source], gates: Rows, paths: Sequence[Sequence[bool]], sums: Sequence[Tensor] | None
    ) -> list[Tensor]:
        """Every node is one weighted sum over all operations of all its edges; what edges share is computed once."""
        states = [Divided(prepared(prepare, source), self.partial) for prepare, source in zip(self.inputs, inputs, strict=True)]
        edges = enumerate(zip(self.sources, self._edges(), gates, paths, strict=True))
        fused_from = math.inf if inputs[0].x.is_cuda else self.fused_from
        for _, group in groupby(edges, key=lambda edge: edge[1][0][1]):
            incoming = list(group)
            members = [
                Member(edge.operations[name], states[source].through, gate)
                for _, ((source, _), edge, row, opened) in incoming
                for name, gate, runs in zip(edge.names, row, opened, strict=True)
                if runs and name != NONE
            ]
            value = weighted_sum(members, fused_from=fused_from) if members else self._zeros(states[0].through.x)
            if self.partial > 1:
                others = [
                    (states[source].past(self._stride(source)), open_sum(row, opened) if sums is None else sums[index])
                    for index, ((source, _), _, row, opened) in incoming
                    if any(opened)
                ]
                value = joined(value, others, self.partial) if others else self._zeros(states[0].x)
            states.append(Divided(Source(value), self.partial))
        return [state.x for state in states[INPUTS:]]

    def _edges(self) -> list[MixedOperation]:
        return list(self.edges)  # type: ignore[arg-type]

    def _stride(self, source: int) -> int:
        """Of the edges from that node."""
        return 2 if self.reduces and source < INPUTS else 1

    def _zeros(self, x: Tensor) -> Tensor:
        stride = 2 if self.reduces else 1
        return torch.zeros_like(x[:, :, ::stride, ::stride])

    def _once_and_again(self) -> tuple[AbstractContextManager[object], AbstractContextManager[object]]:
        """The contexts of both passes."""
        return nullcontext(), _AsBefore(self)


class _AsBefore(ExitStack):
    """The second pass of a cell: with the parameters of the first, and without a trace in its buffers.

    `torch.func.functional_call` gives a module other parameters for the time of a call, and the second pass comes after it.
    May be entered as often as a second derivative needs.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.parameters = [(part._parameters, name, p) for part in module.modules() for name, p in part._parameters.items()]

    def __enter__(self) -> Self:
        self.enter_context(preserved_buffers(self.module))
        for parameters, name, parameter in self.parameters:
            self.callback(parameters.__setitem__, name, parameters[name])
            parameters[name] = parameter
        return super().__enter__()
