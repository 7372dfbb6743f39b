"""What masks and checkpoints need of an optimizer: state by parameter name, zeroed where masked, gone where dead.

torch numbers the parameters of an optimizer; a number moves when a dead path leaves.  Optimizers of lnas are built from
`named_parameters()`, and their state is kept by name, so that an older state loads under a newer mask.
"""

from collections.abc import Collection, Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

from lnas.core.errors import RunError
from lnas.core.types import State

_NOT_SETTINGS = {"params", "param_names"}
_MODES = ("amsgrad", "capturable", "maximize", "foreach", "fused", "differentiable")
"""Settings that no schedule changes: they say which moments there are, where they lie and how a step is computed."""


def optimizer_state(optimizer: Optimizer) -> State:
    """Moments by parameter name and the settings of each group.  Tensors are the live ones, not copies."""
    moments = {
        name: dict(optimizer.state[parameter])
        for group in optimizer.param_groups
        for name, parameter in zip(group["param_names"], group["params"], strict=True)
        if parameter in optimizer.state
    }
    settings = [
        {key: list(value) if isinstance(value, tuple) else value for key, value in group.items() if key not in _NOT_SETTINGS}
        for group in optimizer.param_groups
    ]
    return {"moments": moments, "settings": settings}


def load_optimizer_state(optimizer: Optimizer, state: State) -> None:
    """Load what `optimizer_state` gave.  Moments of parameters that have left since are dropped.

    Raises:
        RunError: where it was of an optimizer of another kind: a step would fail, or be another one.
    """
    groups = list(zip(optimizer.param_groups, state["settings"], strict=True))
    for group, settings in groups:
        for mode in _MODES:
            saved, here = settings.get(mode), group.get(mode)
            if mode in settings and mode in group and saved != here:
                raise RunError(f"the state of {type(optimizer).__name__} was saved with {mode} {saved!r}; here it is {here!r}")
    optimizer.state.clear()
    for group, settings in groups:
        group.update({key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()})
        for name, parameter in zip(group["param_names"], group["params"], strict=True):
            if name in state["moments"]:
                optimizer.state[parameter] = {
                    key: value.detach().clone().to(parameter.device if value.dim() else value.device)
                    if isinstance(value, Tensor)
                    else value
                    for key, value in state["moments"][name].items()
                }


@torch.no_grad()
def mask_moments(optimizers: Iterable[Optimizer], parameter: Tensor, mask: Tensor) -> None:
    """Zero the moments of the masked entries of `parameter`; `mask` is boolean, of its shape, on its device."""
    for optimizer in optimizers:
        for value in optimizer.state.get(parameter, {}).values():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                value.mul_(mask)


def drop_parameters(optimizers: Iterable[Optimizer], dead: Collection[Tensor]) -> None:
    """Take parameters that no longer exist out of the groups and the state of every optimizer."""
    gone = {id(parameter) for parameter in dead}
    if not gone:
        return
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            kept = [i for i, parameter in enumerate(group["params"]) if id(parameter) not in gone]
            for key in ("params", "param_names"):
                if key in group:
                    group[key] = [group[key][i] for i in kept]
        for parameter in dead:
            optimizer.state.pop(parameter, None)
