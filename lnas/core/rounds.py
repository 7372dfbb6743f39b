"""The one loop: train, prune, rewind; the caller owns it and calls `step`."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from lnas.core.buffers import preserved_buffers
from lnas.core.errors import ConfigError
from lnas.core.learner import Average, Learner, alone
from lnas.core.mask import Importance, MaskTarget, Tensors, prune, sparsity_of
from lnas.core.objective import BatchLoss
from lnas.core.schedule import PruningSchedule
from lnas.core.types import Batch, Loss, Metrics, Predict, State


@dataclass(frozen=True)
class Pruning:
    """One `--prune` line: what is pruned, when, by which measure, and what is rewound afterwards."""

    target: Callable[[Any], MaskTarget]
    """Makes the target of a learner: of a strategy in `Search`, of a weight trainer in `Retrain`."""
    schedule: PruningSchedule
    importance: Importance
    rewind: int | None = None
    """The step of the learner to return to after pruning; 0 is theta_0, None goes on from where it is.  (The command line
    fills in 0 for training.)"""
    k: int | None = None
    """Steps per round; the stage divides its steps evenly where this is None, and 0 prunes before the first step."""
    fresh: bool = False
    """Whether the learner begins anew after the last round, as at its step 0 but with newly drawn weights: the control
    of a lottery ticket (Frankle and Carbin 2019).  Earlier rounds rewind to theta_0.  Only `Retrain` can draw them."""

    def __post_init__(self) -> None:
        if self.fresh and self.rewind != 0:
            raise ConfigError(f"fresh weights begin at step 0, so rewind must be 0 with them, not {self.rewind}")


@dataclass(frozen=True)
class Sparsity:
    """What was asked of a target, and what came out."""

    target: float
    attained: float


@dataclass(eq=False)
class Rounds(Learner):
    """For n rounds: k steps, prune, rewind; then `finish` steps more.  The only loop there is.

    Attributes:
        learner: does the steps.
        target: what is pruned; applied after every step, so that a masked entry is exactly 0 whatever an optimizer did.
        pruning: the schedule, importance and rewind step.
        k: steps per round; 0 prunes before the first step.
        finish: steps after the last round.
        t: steps done; they go on counting through a rewind, so that a rewound learner sees new batches.
        round: rounds done.
        origin: the learner's state at the rewind step, once it was reached.
        anew: draws the learner's state at step 0 with other weights, the same whenever it is asked; None where
            `pruning.fresh` is false.
    """

    learner: Learner
    target: MaskTarget
    pruning: Pruning
    k: int
    finish: int = 0
    t: int = 0
    round: int = 0
    origin: State | None = None
    anew: Callable[[], State] | None = None

    def __post_init__(self) -> None:
        if self.pruning.fresh and self.anew is None:
            raise ConfigError("nobody here can draw fresh weights after the last round; train in a Retrain stage, or rewind=0")
        rewind = self.pruning.rewind
        if rewind is not None and self.pruning.schedule.rounds and not 0 <= rewind <= self.k:
            raise ConfigError(f"rewind must be a step before the first prune, 0 to {self.k}, not {rewind}")

    def step(self, train: Batch, val: Batch = None) -> Metrics:
        """One step of the learner, then M applied, then the prune round if it is due.

        Raises:
            ConfigError: where it is done already.
        """
        if self.done and self.t:
            raise ConfigError("all rounds and steps are done; a further step would train a finished ticket")
        self._remember_origin()
        if self.t == 0:
            self._prune_if_due(train)
        metrics = self.learner.step(train, val)
        self.target.apply()
        self.t += 1
        self._remember_origin()
        self._prune_if_due(train)
        return metrics

    @property
    def done(self) -> bool:
        """Whether all rounds and all steps are over."""
        return self.round == self.pruning.schedule.rounds and self.t >= self.k * self.pruning.schedule.rounds + self.finish

    @property
    def module(self) -> nn.Module:  # type: ignore[override]
        """The learner's."""
        return self.learner.module

    @property
    def loss(self) -> Loss:  # type: ignore[override]
        """The learner's."""
        return self.learner.loss

    @property
    def optimizers(self) -> tuple[Optimizer, ...]:  # type: ignore[override]
        """The learner's."""
        return self.learner.optimizers

    @property
    def average(self) -> Average:
        """The learner's."""
        return self.learner.average

    @average.setter
    def average(self, average: Average) -> None:
        self.learner.average = average

    def predict(self, x: Any) -> Any:
        """The learner's."""
        return self.learner.predict(x)

    def sparsity(self) -> Sparsity:
        """Asked of the target so far, and attained."""
        asked = self.pruning.schedule.sparsity_after(self.round) if self.round else 0.0
        return Sparsity(asked, sparsity_of(self.target.masks()))

    def state_dict(self) -> State:
        """The learner, its masks, the counters and the state to rewind to."""
        return {
            "learner": self.learner.state_dict(),
            "masks": dict(self.target.masks()),
            "t": self.t,
            "round": self.round,
            "origin": self.origin,
        }

    def load_state_dict(self, state: State) -> None:
        """Masks first: they decide which parameters there are to load."""
        for name, mask in self.target.masks().items():
            mask.copy_(state["masks"][name])
        self.target.apply()
        self.learner.load_state_dict(state["learner"])
        self.target.apply()
        self.t, self.round, self.origin = state["t"], state["round"], state["origin"]

    def _remember_origin(self) -> None:
        if self.origin is None and self.t == self.pruning.rewind and self.pruning.schedule.rounds:
            self.origin = copy.deepcopy(self.learner.state_dict())

    def _prune_if_due(self, batch: Batch) -> None:
        schedule = self.pruning.schedule
        while self.round < schedule.rounds and self.t >= self.k * (self.round + 1):
            self.round += 1
            # an importance may run the network, and differentiate its loss
            with preserved_buffers(self.learner.module), _averaged_gradients(self.target.tensors(), self.average):
                prune(
                    self.target,
                    schedule.sparsity_after(self.round),
                    importance=self.pruning.importance,
                    loss=BatchLoss(self.learner.module, self.learner.predict, batch, self._mean_loss),
                    earlier=[schedule.sparsity_after(r) for r in range(1, self.round)],
                )
            last = self.round == schedule.rounds
            start = self.anew() if last and self.pruning.fresh and self.anew is not None else self.origin
            if start is not None:  # rewinding is resuming an old state under a new mask
                self.learner.load_state_dict(start)
                self.target.apply()

    def _mean_loss(self, network: Predict, batch: Batch) -> Tensor:
        """The learner's loss, averaged over all processes."""
        return self.average([self.learner.loss(network, batch)])[0]


@contextmanager
def _averaged_gradients(tensors: Tensors, average: Average) -> Iterator[None]:
    """Gradients by these leaves are means over all processes, so that all score alike; nothing is done where there is one."""
    leaves = [] if average is alone else [tensor for tensor in tensors.values() if tensor.requires_grad]
    hooks = [leaf.register_hook(lambda slope: average([slope])[0]) for leaf in leaves]  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
