"""The unit of work is one step.  Whoever can drive a strategy can drive a whole pipeline, for both are learners."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

from torch import Tensor, nn
from torch.optim import Optimizer

from lnas.core.genotype import Genotype
from lnas.core.space import Gates, SearchSpace, relax
from lnas.core.types import Batch, Loss, Metrics, State

Average: TypeAlias = Callable[[Sequence[Tensor]], tuple[Tensor, ...]]
"""`average(tensors)`: the mean of each over all processes that learn together, in the same order and of the same shapes.

Every process must call it with tensors of the same shapes, and as often.  It can be differentiated, as often as one likes.
"""


def alone(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The mean over one process: the tensors themselves."""
    return tuple(tensors)


class Learner(ABC):
    """Learns from one batch at a time, and may be saved and restored between any two steps."""

    module: nn.Module
    """Holds theta."""
    loss: Loss
    optimizers: tuple[Optimizer, ...]
    """Optimizers whose moments a mask must reach; () where there are none."""
    average: Average = staticmethod(alone)
    """What every gradient, and every other number made of a batch that steers a later step, goes through before it is used.

    The host replaces it where several processes learn together, each on its own share of every batch.
    """

    @abstractmethod
    def step(self, train: Batch, val: Batch = None) -> Metrics:
        """Do a bounded amount of work on one batch of each stream; return detached 0-d tensors."""

    @abstractmethod
    def predict(self, x: Any) -> Any:
        """The network's output as it stands now: differentiable, in whatever mode `module` is in."""

    @abstractmethod
    def state_dict(self) -> State:
        """All that steers the next step.  Tensors may be live ones; copy them to keep them."""

    @abstractmethod
    def load_state_dict(self, state: State) -> None:
        """Go back to a state.  One saved under an older mask loads too: what has died since is left out."""


class SearchStrategy(Learner):
    """Chooses an architecture in `space`; owns alpha, a controller or a table of scores."""

    suggested: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """A fragment of configuration that suits it, above the data set's and below all that a user says: "space", "epochs",
    "batch", "validation" or "train".  Options of a space without a name are for cells, and count only where cells are searched.
    """
    waits: ClassVar[str] = ""
    """Why and when a step has to wait for a value of the device, where one does: "which paths run depends on alpha"."""
    space: SearchSpace

    @abstractmethod
    def alphas(self) -> Gates:
        """One preference per path, the tensors themselves where they are learned: what the alpha target prunes."""

    def probabilities(self) -> Gates:
        """How likely each path of an edge is by now, or how much it weighs: rows sum to 1 over the live paths, as `relax` gives.

        The softmax of `alphas` (Eq. 4), unless a strategy makes something else of them.  The journal tells it, and its entropy.
        """
        return {group: relax(alpha.detach(), self.space.alive[group]) for group, alpha in self.alphas().items()}

    @abstractmethod
    def genotype(self) -> Genotype:
        """alpha*, the best architecture so far among the paths alive."""
