"""Looks at every loss and every gradient before an optimizer uses them, and ends the run where one is not finite.

Before each step of an optimizer of the learner, the largest entry of each gradient is taken, all in one fused reduction.  On the
CPU it is looked at at once, and the step is not done.  On a GPU to look is to wait: it is looked at every few updates, before
anything that lasts (a checkpoint, a prune round, an accuracy, a line of the journal), and what was done since is thrown away with
the process.  The first update that was not finite is found either way, and the first tensor in it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from lnas.core.errors import NumericalError
from lnas.core.learner import Learner, SearchStrategy
from lnas.core.types import Batch, Loss, Predict
from lnas.host.processes import ALONE, Processes

EVERY = 16
"""Updates between two looks on a GPU.  A count and not a time, so that all processes look after the same update."""


class NotFiniteError(NumericalError):
    """A loss or a gradient of an update.

    Attributes:
        fault: what was not finite, and where, in one line.
        stage: in which it was.
        step: of that stage, 0 for its first.
    """

    def __init__(self, what: str, stage: str, step: int) -> None:
        self.stage, self.step = stage, step
        self.fault = f"{what} was not finite at {stage} step {step + 1}"
        super().__init__(
            f"{self.fault}; nothing of that step is kept; start again with a lower learning rate, a higher precision, or --on-nan"
            " rollback:N"
        )


@dataclass
class Guard:
    """Of one run, in one process.

    Several processes look together, since a loss is of each alone: where one finds something, all raise it.

    Args:
        every: updates between two looks; 1 looks before each.
        processes: of the run.
    """

    every: int
    processes: Processes = ALONE
    _stage: str = ""
    _step: int = 0
    _losses: list[Tensor] = field(default_factory=list)
    """Since the last update."""
    _updates: list["_Update"] = field(default_factory=list)
    """Not looked at yet."""
    _watched: dict[int, Optimizer] = field(default_factory=dict)
    _handles: list[Any] = field(default_factory=list)
    _recorded: list[Learner] = field(default_factory=list)
    """Learners whose loss is recorded."""

    @classmethod
    def on(cls, device: torch.device, processes: Processes = ALONE) -> "Guard":
        """One for learners on that device."""
        return cls(1 if device.type == "cpu" else EVERY, processes)

    def before(self, learner: Learner, stage: str, step: int) -> None:
        """Called before every step, with its number in the stage: whatever the learner updates with is watched from here on."""
        self._stage, self._step = stage, step
        if not isinstance(learner.loss, _Recorded):
            try:
                learner.loss = _Recorded(learner.loss, self._losses)
                self._recorded.append(learner)
            except AttributeError:  # it is another's, who may have no place for one: its gradients are watched all the same
                pass
        for optimizer in learner.optimizers:
            if id(optimizer) not in self._watched:
                self._watched[id(optimizer)] = optimizer  # kept, so that the number stays its own
                self._handles.append(optimizer.register_step_pre_hook(lambda made, *_: self._before_update(learner, made)))

    def after(self) -> None:
        """Called after every step: losses that no optimizer used are of an update by hand, or of none.

        Raises:
            NotFiniteError: as `look`.
        """
        if self._losses or self.processes.size > 1:
            self._note("theta", {})

    def look(self, *, together: bool = True) -> None:
        """Look at all updates so far.  One synchronisation with the device, where there was an update.

        Args:
            together: whether all processes do so now.

        Raises:
            NotFiniteError: naming the first update that was not finite, and the first tensor in it.
        """
        updates, self._updates = self._updates, []
        found = None
        flags = _alike(flag for update in updates for flag in update.finite())
        if not all(torch.stack(some).all() for some in flags):
            found = next((fault for update in updates if (fault := update.fault())), None)
        for fault in self.processes.exchange(found) if together else [found]:
            if fault is not None:
                raise NotFiniteError(*fault)

    def close(self) -> None:
        """Let go of the learners and their optimizers."""
        for handle in self._handles:
            handle.remove()
        for learner in self._recorded:
            if isinstance(learner.loss, _Recorded):
                learner.loss = learner.loss.loss
        self._handles.clear()
        self._watched.clear()
        self._recorded.clear()

    def _before_update(self, learner: Learner, optimizer: Optimizer) -> None:
        gradients = {name: _dense(parameter.grad) for name, parameter in _named(optimizer) if parameter.grad is not None}
        whose = "alpha" if _holds_alpha(learner, optimizer) else "theta"
        if gradients or self._losses or self.processes.size > 1:  # several look after as many updates, whatever is in them
            self._note(whose, gradients)

    def _note(self, whose: str, gradients: Mapping[str, Tensor]) -> None:
        losses, largest = list(self._losses), _largest(gradients)
        self._updates.append(_Update(self._stage, self._step, whose, losses, tuple(gradients), largest))
        self._losses.clear()
        if len(self._updates) >= self.every:
            self.look()


@dataclass
class _Recorded:
    """A learner's loss, whose values are remembered."""

    loss: Loss
    values: list[Tensor]

    def __call__(self, network: Predict, batch: Batch) -> Tensor:
        value = self.loss(network, batch)
        if isinstance(value, Tensor) and value.dim() == 0:
            self.values.append(value.detach())
        return value


@dataclass(frozen=True)
class _Update:
    """One step of an optimizer: its losses, and the largest entry of each of its gradients, on the device."""

    stage: str
    step: int
    whose: str
    losses: list[Tensor]
    names: tuple[str, ...]
    largest: list[Tensor]

    def finite(self) -> list[Tensor]:
        """0-d bools: whether all of it is, one for each dtype and device that is in it."""
        return [torch.stack(part).isfinite().all() for part in _alike([*self.losses, *self.largest])]

    def fault(self) -> tuple[str, str, int] | None:
        """The first that is not finite, stage and step; None where all are."""
        if not all(loss.isfinite() for loss in self.losses):
            return f"the loss for {self.whose}", self.stage, self.step
        for name, value in zip(self.names, self.largest, strict=True):
            if not value.isfinite():
                return f"the gradient of {self.whose} by {name!r}", self.stage, self.step
        return None


def _named(optimizer: Optimizer) -> Iterable[tuple[str, Tensor]]:
    for index, group in enumerate(optimizer.param_groups):
        names = group.get("param_names") or [f"{index}.{number}" for number in range(len(group["params"]))]
        yield from zip(names, group["params"], strict=True)


def _holds_alpha(learner: Learner, optimizer: Optimizer) -> bool:
    if not isinstance(learner, SearchStrategy):
        return False
    alphas = {id(alpha) for alpha in learner.alphas().values()}
    return any(id(parameter) in alphas for _, parameter in _named(optimizer))


def _dense(gradient: Tensor) -> Tensor:
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def _largest(gradients: Mapping[str, Tensor]) -> list[Tensor]:
    """The largest absolute entry of each, NaN where one is; one reduction for all of one kind."""
    found: dict[int, Tensor] = {}
    filled = [gradient for gradient in gradients.values() if gradient.numel()]
    for alike in _alike(filled):
        found.update(zip(map(id, alike), torch._foreach_norm(alike, torch.inf), strict=True))
    return [found[id(gradient)] if gradient.numel() else gradient.new_zeros(()) for gradient in gradients.values()]


def _alike(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    """Those of one dtype and device together."""
    groups: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    return list(groups.values())
