"""The mixed operation of Eq. 4 and 7: this readable form is the reference that any faster one must equal.

Only open paths run.  `none` contributes 0 whatever its gate, so it is never executed; its gate still takes its share of the
softmax.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

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
