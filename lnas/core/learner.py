"""The unit of work is one step.  Whoever can drive a strategy can drive a whole pipeline, for both are learners."""

from abc import ABC, abstractmethod
from typing import Any

from torch import nn
from torch.optim import Optimizer

from lnas.core.genotype import Genotype
from lnas.core.space import Gates, SearchSpace
from lnas.core.types import Batch, Loss, Metrics, State


class Learner(ABC):
    """Learns from one batch at a time, and may be saved and restored between any two steps."""

    module: nn.Module
    """Holds theta."""
    loss: Loss
    optimizers: tuple[Optimizer, ...]
    """Optimizers whose moments a mask must reach; () where there are none."""

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

    space: SearchSpace

    @abstractmethod
    def alphas(self) -> Gates:
        """One preference per path, the tensors themselves where they are learned: what the alpha target prunes."""

    @abstractmethod
    def genotype(self) -> Genotype:
        """alpha*, the best architecture so far among the paths alive."""
