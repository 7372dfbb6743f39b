"""The mixed operation of Eq. 4 and 7: this readable form is the reference that any faster one must equal.

Only open paths run.  `none` contributes 0 whatever its gate, so it is never executed; its gate still takes its share of the
softmax.

With partial channel connections (PC-DARTS, Xu et al. 2020, Eq. 2) a candidate reads the first 1/K of the channels of an edge, and
the others go past it.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lnas.builtin.operations import NONE
from lnas.core.errors import ConfigError


class MixedOperation(nn.Module):
    """A weighted sum of candidate operations on one edge.

    Args:
        candidates: operation by name, in the order of the columns of gates and paths.
    """

    def __init__(self, candidates: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.names = tuple(candidates)
        self.operations = nn.ModuleDict({name: module for name, module in candidates.items() if name != NONE})

    def forward(self, x: Tensor, gates: Tensor | Sequence[Tensor], paths: Sequence[bool]) -> Tensor | None:
        """sum over open o of g_o · o(x).

        Args:
            x: the source node.
            gates: (operations,) float.
            paths: (operations,) which to run.

        Returns:
            The sum, or None where no open path computes anything.

        Raises:
            ConfigError: where two candidates give different shapes.
        """
        total: Tensor | None = None
        for index, name in enumerate(self.names):
            if paths[index] and name != NONE:
                term = gates[index] * self.operations[name](x)
                if total is not None and term.shape != total.shape:  # a sum would broadcast without a word
                    raise ConfigError(
                        f"candidate {name!r} gives {tuple(term.shape)}, one before it {tuple(total.shape)}; all must give one"
                    )
                total = term if total is None else total + term
        return total

    def release(self, alive: Sequence[bool]) -> None:
        """Delete the operations that are not alive; their parameters and buffers go with them.

        Raises:
            ConfigError: where one that was deleted is said to be alive.
        """
        for index, name in enumerate(self.names):
            if alive[index] and name != NONE and name not in self.operations:
                raise ConfigError(
                    f"the path of {name} was deleted and cannot come alive again; load an older state into a fresh space"
                )
            if not alive[index] and name in self.operations:
                del self.operations[name]


def partially(
    edge: MixedOperation, x: Tensor, gates: Tensor | Sequence[Tensor], paths: Sequence[bool], *, partial: int, stride: int
) -> Tensor | None:
    """sum over open o of g_o · shuffle([o(x'), x'']): x' is the first 1/partial of the channels of x, x'' the others.

    The candidates share x'', so its weight is the sum of the open gates: 1 where they are a softmax.  `none` gives 0 for o(x'),
    and lets x'' through as any other does; so it is in the authors' program.

    Args:
        edge: whose candidates take and give C / partial channels.
        x: (B, C, H, W), the source node.
        gates: (operations,) float.
        paths: (operations,) which to run.
        partial: K, at least 2, divides C.
        stride: of the candidates; with 2, x'' goes through 2x2 max pooling.

    Returns:
        (B, C, ceil(H / stride), ceil(W / stride)), or None where no path is open.

    Raises:
        ConfigError: where a candidate gives another shape.
    """
    if not any(paths):
        return None
    width = x.shape[1] // partial
    mixed = edge(x[:, :width], gates, paths)
    others = past(x[:, width:], stride)
    shape = (len(x), width, *others.shape[2:])
    if mixed is None:
        mixed = x.new_zeros(shape)
    check_beside(mixed, shape)
    return shuffled(torch.cat([mixed, open_sum(gates, paths) * others], 1), partial)


def open_sum(gates: Tensor | Sequence[Tensor], paths: Sequence[bool]) -> Tensor:
    """0-d: the sum of the gates (operations,) of the open paths, of which there is one."""
    return torch.stack([gate for gate, runs in zip(gates, paths, strict=True) if runs]).sum()


def past(x: Tensor, stride: int) -> Tensor:
    """What goes past the candidates: (B, C, H, W) -> (B, C, ceil(H / stride), ceil(W / stride))."""
    return functional.max_pool2d(x, 2, 2, ceil_mode=True) if stride == 2 else x


def shuffled(x: Tensor, groups: int) -> Tensor:
    """Channel j of group i becomes channel i of group j, so that the next edge mixes others (Zhang et al. 2018, ShuffleNet)."""
    return torch.unflatten(x, 1, (groups, x.shape[1] // groups)).transpose(1, 2).flatten(1, 2)


def check_partial(partial: int, channels: int) -> None:
    """Raise a `ConfigError` where 1/partial of the channels is no whole number of them."""
    if isinstance(partial, bool) or not isinstance(partial, int) or partial < 1:
        raise ConfigError(f"partial must be a whole number of at least 1, not {partial!r}")
    if channels % partial:
        fitting = [str(k) for k in range(1, channels + 1) if channels % k == 0]
        raise ConfigError(
            f"partial={partial} does not divide channels={channels}; "
            f"set channels to a multiple of {partial}, or partial to {' or '.join(fitting)}"
        )


def check_beside(mixed: Tensor, shape: Sequence[int]) -> None:
    """Raise a `ConfigError` where what the candidates give cannot stand beside the channels that go past them."""
    if tuple(mixed.shape) != tuple(shape):
        raise ConfigError(f"the candidates give {tuple(mixed.shape)}; beside the other channels it must be {tuple(shape)}")
