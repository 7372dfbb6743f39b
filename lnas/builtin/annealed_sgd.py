"""The theta update of the paper: SGD with momentum, cosine annealing and gradient clipping, as one object."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import torch
from torch import Tensor, nn

from lnas.core.errors import ConfigError
from lnas.core.learner import Average, alone
from lnas.core.optimizers import load_optimizer_state, optimizer_state
from lnas.core.types import State

Lr: TypeAlias = Annotated[float, "learning rate of theta at the first step"]
LrMin: TypeAlias = Annotated[float, "learning rate of theta at the last step"]
Momentum: TypeAlias = Annotated[float, "of theta's SGD, in [0, 1)"]
WeightDecay: TypeAlias = Annotated[float, "of theta: L2, added to the gradient"]
Clip: TypeAlias = Annotated[float, "largest norm of theta's gradient; 0 does not clip"]


@dataclass(frozen=True)
class Annealing:
    """Settings of the update.

    Attributes:
        lr: learning rate at step 0.
        lr_min: learning rate at the last step and beyond.
        momentum: in [0, 1).
        weight_decay: L2, added to the gradient.
        clip: largest norm of the gradient; 0 does not clip.

    Raises:
        ConfigError: naming the setting that is out of range.
    """

    lr: float
    lr_min: float
    momentum: float
    weight_decay: float
    clip: float

    def __post_init__(self) -> None:
        for name in ("lr", "lr_min", "weight_decay", "clip"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ConfigError(f"{name} must be finite and at least 0, not {value!r}")
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"momentum must be in [0, 1), not {self.momentum!r}")

    def lr_at(self, step: int, steps: int) -> float:
        """Cosine from `lr` at step 0 to `lr_min` at step `steps` (Loshchilov and Hutter 2017); constant where steps is 0."""
        if steps == 0:
            return self.lr
        return self.lr_min + (self.lr - self.lr_min) * (1 + math.cos(math.pi * min(step / steps, 1))) / 2


class AnnealedSGD:
    """SGD on named parameters whose learning rate follows a cosine over `steps` updates.

    Attributes:
        optimizer: torch's; parameters may leave its groups.
        t: updates done.
    """

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], steps: int, settings: Annealing) -> None:
        if steps < 0:
            raise ConfigError(f"steps must be at least 0, not {steps}")
        self.settings = settings
        self.steps = steps
        self.t = 0
        self.optimizer = torch.optim.SGD(
            parameters, settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay, foreach=True
        )

    @property
    def lr(self) -> float:
        """The learning rate of the next update: the paper's xi."""
        return self.settings.lr_at(self.t, self.steps)

    def descend(self, loss: Tensor, average: Average = alone) -> None:
        """One update along the gradient of `loss`; parameters that it does not depend on stay as they are.

        Args:
            loss: 0-d.
            average: of the learner: the gradient's mean over all processes, taken before it is clipped.
        """
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if average is not alone:
            held = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
            for parameter, slope in zip(held, average([p.grad for p in held]), strict=True):
                parameter.grad = slope
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr
        clipping = self.optimizer.register_step_pre_hook(self._clip)  # the last one: others see the gradients as they came
        try:
            self.optimizer.step()
        finally:
            clipping.remove()
            self.optimizer.zero_grad(set_to_none=True)
        self.t += 1

    def _clip(self, *_: object) -> None:
        if self.settings.clip:
            for group in self.optimizer.param_groups:
                nn.utils.clip_grad_norm_(group["params"], self.settings.clip, foreach=True)

    def state_dict(self) -> State:
        """The optimizer's state by parameter name, and the number of updates."""
        return {"optimizer": optimizer_state(self.optimizer), "t": self.t}

    def load_state_dict(self, state: State) -> None:
        """Go back to a state; moments of parameters that have left since are dropped."""
        load_optimizer_state(self.optimizer, state["optimizer"])
        self.t = state["t"]
