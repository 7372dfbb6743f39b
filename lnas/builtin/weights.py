"""WeightTraining: the theta update on a derived network, or on any module; and the same around a user's own step."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lnas.builtin.annealed_sgd import AnnealedSGD, Annealing, Clip, Lr, LrMin, Momentum, WeightDecay
from lnas.core.errors import ConfigError
from lnas.core.learner import Learner
from lnas.core.types import Batch, Loss, Metrics, State


class WeightTraining(Learner):
    """theta <- theta - xi ∇ L_train(theta), by SGD with momentum and a cosine (the retraining of Algorithms 1 to 3).

    Args:
        module: the network.
        loss: `loss(network, batch)`.
        steps: length of the cosine; 0 keeps the learning rate as it is.
    """

    def __init__(
        self,
        module: nn.Module,
        loss: Loss,
        steps: int = 0,
        *,
        lr: Lr = 0.025,
        lr_min: LrMin = 0.0,
        momentum: Momentum = 0.9,
        weight_decay: WeightDecay = 3e-4,
        clip: Clip = 5.0,
    ) -> None:
        self.module = module
        self.loss = loss
        self.sgd = AnnealedSGD(module.named_parameters(), steps, Annealing(lr, lr_min, momentum, weight_decay, clip))
        self.optimizers = (self.sgd.optimizer,)

    def step(self, train: Batch, val: Batch = None) -> Metrics:
        """One update on `train`; `val` is not looked at."""
        loss = self.loss(self.module, train)
        self.sgd.descend(loss, self.average)
        return {"loss": loss.detach()}

    def predict(self, x: Any) -> Any:
        """The network's output."""
        return self.module(x)

    def state_dict(self) -> State:
        """The network and the optimizer."""
        return {"module": self.module.state_dict(), "sgd": self.sgd.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Go back to a state."""
        self.module.load_state_dict(state["module"])
        self.sgd.load_state_dict(state["sgd"])


class OwnTraining(Learner):
    """A user's own training step as a learner, so that pruning and rewinding can go around it.

    Args:
        module: the network.
        fit: `fit(batch)` does one step on it, optimizer and all; it may return the loss, or metrics, or nothing.
        optimizers: whatever `fit` uses; their state is rewound with the network, and their moments are masked.
        loss: only for importances that need gradients.
    """

    def __init__(
        self,
        module: nn.Module,
        fit: Callable[[Batch], Tensor | Mapping[str, Tensor] | None],
        optimizers: Sequence[Optimizer] = (),
        loss: Loss | None = None,
    ) -> None:
        self.module = module
        self.fit = fit
        self.optimizers = tuple(optimizers)
        self.loss = loss or _no_loss

    def step(self, train: Batch, val: Batch = None) -> Metrics:
        """`fit(train)`."""
        result = self.fit(train)
        if result is None:
            return {}
        metrics = {"loss": result} if isinstance(result, Tensor) else result
        return {name: value.detach() for name, value in metrics.items()}

    def predict(self, x: Any) -> Any:
        """The network's output."""
        return self.module(x)

    def state_dict(self) -> State:
        """The network, and the optimizers as torch saves them but with string keys."""
        return {"module": self.module.state_dict(), "optimizers": [_with_string_keys(o.state_dict()) for o in self.optimizers]}

    @torch.no_grad()
    def load_state_dict(self, state: State) -> None:
        """Go back to a state."""
        self.module.load_state_dict(state["module"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            moments = copy.deepcopy(saved["state"])  # torch would go on with the state's own tensors and change them in place
            optimizer.load_state_dict({**saved, "state": {int(index): value for index, value in moments.items()}})


def _with_string_keys(state: State) -> State:
    return {**state, "state": {str(index): value for index, value in state["state"].items()}}


def _no_loss(network: Callable[[Any], Any], batch: Batch) -> Tensor:
    raise ConfigError("this importance needs a loss: lottery_ticket(..., loss=...)")
