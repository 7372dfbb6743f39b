"""What an importance is handed as `loss`: the loss on the current batch, and what it is the loss of."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from lnas.core.errors import ConfigError
from lnas.core.types import Batch, Loss, Predict


class Objective(Protocol):
    """The loss that an importance may ask for: `loss()`, and with it the network and the batch.

    `loss()` runs the network as it stands and gives a differentiable 0-d tensor, the mean over all processes; it may be called
    as often as one likes.  Whoever changes anything to measure (a mask, a mode, a buffer) puts it back.
    """

    @property
    def module(self) -> nn.Module:
        """The learner's: the network that is trained, or the space that is searched."""

    @property
    def predict(self) -> Predict:
        """The network's output as it stands: for a space, under the gates of its strategy."""

    @property
    def batch(self) -> Batch:
        """The current batch; only a loss knows what is in it."""

    def __call__(self) -> Tensor:
        """The loss of `predict` on `batch`."""


@dataclass(frozen=True)
class BatchLoss:
    """The loss of a network on a batch, as an `Objective`: `Rounds` makes one for each prune round.

    Attributes:
        module: the network, or the space.
        predict: input to output; the network itself, where it is no space.
        batch: whatever the loss understands.
        loss: `loss(predict, batch)`.
    """

    module: nn.Module
    predict: Predict
    batch: Batch
    loss: Loss

    def __call__(self) -> Tensor:
        """`loss(predict, batch)`."""
        return self.loss(self.predict, self.batch)


@dataclass(frozen=True)
class LossAlone:
    """A bare function as an `Objective`: there is a loss, and nothing is known of its network.

    Raises:
        ConfigError: where an importance asks for what is not known.
    """

    loss: Callable[[], Tensor]

    def __call__(self) -> Tensor:
        """The function's value."""
        return self.loss()

    @property
    def module(self) -> nn.Module:
        """Not known."""
        raise _unknown("network")

    @property
    def predict(self) -> Predict:
        """Not known."""
        raise _unknown("network's output")

    @property
    def batch(self) -> Batch:
        """Not known."""
        raise _unknown("batch")


def objective(loss: Objective | Callable[[], Tensor] | None) -> Objective:
    """What a caller gave, as an `Objective`; one that raises a `ConfigError` where it gave nothing and is asked."""
    if loss is not None and all(_has(loss, name) for name in ("module", "predict", "batch")):
        return loss  # type: ignore[return-value]
    return LossAlone(_no_loss if loss is None else loss)


def _has(loss: object, name: str) -> bool:
    """Whether there is such an attribute; it is not asked for, since one that is not known raises."""
    try:
        inspect.getattr_static(loss, name)
    except AttributeError:
        return False
    return True


def _unknown(what: str) -> ConfigError:
    return ConfigError(
        f"this importance needs to know the {what}, not a loss alone:"
        " prune(..., loss=lnas.BatchLoss(module, predict, batch, loss))"
    )


def _no_loss() -> Tensor:
    raise ConfigError("this importance needs a loss: prune(..., loss=lambda: loss(model, batch))")
