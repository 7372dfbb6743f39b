"""The lottery ticket of any module, trained by the user's own step, and the two controls that a ticket must beat."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lnas.builtin.importances import magnitude
from lnas.builtin.schedules import Never
from lnas.builtin.targets import Theta
from lnas.builtin.weights import OwnTraining
from lnas.core.errors import ConfigError
from lnas.core.learner import Learner
from lnas.core.mask import Importance, MaskTarget
from lnas.core.random import seeded, stream
from lnas.core.rounds import Pruning, Rounds
from lnas.core.schedule import PruningSchedule
from lnas.core.types import Batch, Loss


def lottery_ticket(
    module: nn.Module,
    fit: Callable[[Batch], Tensor | Mapping[str, Tensor] | None],
    *,
    schedule: PruningSchedule,
    k: int,
    finish: int | None = None,
    rewind: int | None = 0,
    optimizers: Sequence[Optimizer] = (),
    importance: Importance = magnitude,
    target: Callable[[Learner], MaskTarget] = Theta.of,
    loss: Loss | None = None,
) -> Rounds:
    """The loop that finds a lottery ticket (Frankle and Carbin 2019): train, prune, rewind, for each round; then train.

    Drive it with `ticket.step(batch)` until `ticket.done`; the masks are `ticket.target.masks()`.

    Args:
        module: the network, with theta_0 in it.
        fit: `fit(batch)` is one training step of yours on `module`.
        schedule: e.g. `OneShot(0.8)` or `Iterative(0.8, rounds=5)`.
        k: steps before each prune; 0 prunes before the first step.
        finish: steps after the last prune; k unless given.
        rewind: the step to go back to after each prune: 0 is theta_0, None does not rewind.
        optimizers: those that `fit` uses, to rewind and mask them too.  A learning rate scheduler of yours is not rewound.
        importance: what is least important.
        target: makes the mask target of the learner.
        loss: only for importances that need gradients.

    Raises:
        ConfigError: where k or the rewind step cannot work.
    """
    steps = k if finish is None else finish
    if k < 0 or steps < 0:
        raise ConfigError(f"k and finish must be at least 0, not {k} and {steps}")
    learner = OwnTraining(module, fit, optimizers, loss)
    return Rounds(learner, target(learner), Pruning(target, schedule, importance, rewind, k), k, steps)


def lottery_control(ticket: Rounds, control: Literal["reinit", "random_mask"], *, seed: int = 0) -> Rounds:
    """What a finished ticket must beat: `finish` steps of its own learner from another beginning.

    The learner's network is used again: evaluate or copy the ticket first.

    Args:
        ticket: finished, and rewound at least once.
        control: "reinit" keeps the masks and draws fresh weights (every layer's `reset_parameters`, from the stream
            "reinit"); "random_mask" keeps theta_0 and shuffles each layer's mask, so that counts per layer stay.
        seed: root seed of the streams.

    Raises:
        ConfigError: where the ticket is not finished or never rewound, the control does not exist, or a layer that has
            parameters cannot draw them.
    """
    if not ticket.done or ticket.origin is None:
        raise ConfigError("a control needs a finished ticket that was rewound; drive it with step() until it is done")
    if control not in ("reinit", "random_mask"):
        raise ConfigError(f"control must be reinit or random_mask, not {control!r}")
    if control == "reinit":
        _check_resettable(ticket.learner.module)
    masks = ticket.target.masks()
    target = ticket.pruning.target(ticket.learner)
    ticket.learner.load_state_dict(ticket.origin)
    if control == "reinit":
        with seeded(seed, "reinit"):
            _reset(ticket.learner.module)
        for optimizer in ticket.learner.optimizers:
            optimizer.state.clear()  # moments of step k belong to other weights
    else:
        masks = {name: _shuffled(mask, stream(seed, f"random mask/{name}")) for name, mask in masks.items()}
    for name, mask in target.masks().items():
        mask.copy_(masks[name])
    target.apply()
    return Rounds(ticket.learner, target, Pruning(ticket.pruning.target, Never(), magnitude), k=0, finish=ticket.finish)


def _shuffled(mask: Tensor, generator: torch.Generator) -> Tensor:
    order = torch.randperm(mask.numel(), generator=generator).to(mask.device)
    return mask.flatten()[order].view_as(mask)


def _reset(module: nn.Module) -> None:
    """Draw every layer afresh; on the CPU, so that a seed means the same on every device."""
    device = next(module.parameters()).device
    module.cpu()
    for part in module.modules():
        reset = getattr(part, "reset_parameters", None)
        if callable(reset):
            reset()
    module.to(device)


def _check_resettable(module: nn.Module) -> None:
    for name, part in module.named_modules():
        if next(part.parameters(recurse=False), None) is not None and not callable(getattr(part, "reset_parameters", None)):
            raise ConfigError(
                f"{type(part).__name__} {name!r} has parameters and no reset_parameters(), so reinit cannot draw them; add one"
            )
