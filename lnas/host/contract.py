"""What a part must be before a run begins with it: each check is cheap, and its message says what the part gave instead.

The suites of `lnas.testing` check the whole contract; here is what would otherwise end a run with words about lnas.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lnas.core.data import Dataset
from lnas.core.errors import ContractError
from lnas.core.executor import Executor
from lnas.core.learner import SearchStrategy
from lnas.core.mask import MaskTarget
from lnas.core.schedule import PruningSchedule
from lnas.core.space import SearchSpace
from lnas.core.types import Task


def checked_space(space: object) -> SearchSpace:
    """A space with `alive` of the shape that `edges` and `operations` say.

    Raises:
        ContractError: saying what it is instead.
    """
    if not isinstance(space, SearchSpace):
        raise ContractError("space", f"a space must be a SearchSpace, not a {type(space).__name__}")
    for name in ("edges", "operations", "alive"):
        if not isinstance(getattr(space, name, None), Mapping):
            raise ContractError("space", f"a space must have {name} by group, not {getattr(space, name, None)!r:.60}")
    shapes = {group: (len(space.edges[group]), len(space.operations.get(group, ()))) for group in space.edges}
    _same_shapes("space", "alive", space.alive, shapes)
    _are_masks("space", "alive", space.alive)
    return space


def checked_strategy(strategy: object, space: SearchSpace) -> SearchStrategy:
    """A strategy with one preference for every path of its space.

    Raises:
        ContractError: saying what it is instead.
    """
    if not isinstance(strategy, SearchStrategy):
        raise ContractError("strategy", f"a strategy must be a SearchStrategy, not a {type(strategy).__name__}")
    for name, kind in (("module", nn.Module), ("space", SearchSpace), ("optimizers", tuple)):
        if not isinstance(getattr(strategy, name, None), kind):
            raise ContractError("strategy", f"a strategy must have {name}, a {kind.__name__}")
    if not callable(getattr(strategy, "loss", None)):
        raise ContractError("strategy", "a strategy must have loss, the function that it was given")
    _same_shapes("strategy", "alphas()", strategy.alphas(), {group: tuple(alive.shape) for group, alive in space.alive.items()})
    return strategy


def check_target(target: object) -> None:
    """A target with a mask of the shape of every tensor.

    Raises:
        ContractError: saying what it has instead.
    """
    if not isinstance(target, MaskTarget):
        raise ContractError("target", f"a target must be a MaskTarget, not a {type(target).__name__}")
    tensors = target.tensors()
    if isinstance(tensors, Mapping) and not tensors:
        raise ContractError("target", "tensors() is empty: there is nothing to prune")
    if not isinstance(tensors, Mapping) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise ContractError("target", f"tensors() must be tensors by name, not {_kind(tensors)}")
    masks = target.masks()
    _same_shapes("target", "masks()", masks, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    _are_masks("target", "masks()", masks)


def checked_schedule(schedule: object) -> PruningSchedule:
    """A schedule.

    Raises:
        ContractError: saying what it is instead.
    """
    if not isinstance(schedule, PruningSchedule):
        raise ContractError("schedule", f"a schedule must be a PruningSchedule, not {_kind(schedule)}")
    return schedule


def checked_executor(executor: object, workers: int) -> Executor:
    """An executor of that many workers.

    Raises:
        ContractError: saying what it is instead.
    """
    if not isinstance(executor, Executor):
        raise ContractError("executor", f"an executor must be an Executor, not {_kind(executor)}")
    if getattr(executor, "workers", None) != workers:
        given = getattr(executor, "workers", None)
        raise ContractError("executor", f"an executor must have workers, the {workers} that it was given, not {given!r:.60}")
    return executor


def checked_dataset(dataset: object) -> Dataset:
    """A data set whose inputs have the shape that its task says.

    Raises:
        ContractError: saying which they have instead.
    """
    if not isinstance(dataset, Dataset):
        raise ContractError("dataset", f"a data set must be a Dataset, not a {type(dataset).__name__}")
    if not isinstance(dataset.task, Task) or not isinstance(getattr(dataset, "suggested", None), Mapping):
        raise ContractError("dataset", "a data set must have task, a Task, and suggested, a mapping of settings ({} for none)")
    for split in ("train", "test"):
        labels = dataset.labels(split)
        if not isinstance(labels, Tensor) or len(labels) != dataset.size(split):
            raise ContractError("dataset", f"labels({split!r}) must be a tensor of {dataset.size(split)} labels")
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < dataset.task.classes:
            raise ContractError("dataset", f"labels({split!r}) must be from 0 to {dataset.task.classes - 1}, as the task says")
    if not dataset.size("train"):
        return dataset
    batch: Any = dataset.batch("train", torch.zeros(1, dtype=torch.int64), None)
    x = batch[0] if isinstance(batch, tuple | list) and batch else None
    if isinstance(x, Tensor) and tuple(x.shape) != (1, *dataset.task.shape):
        raise ContractError(
            "dataset", f"a batch of 1 has inputs of shape {tuple(x.shape)}; the task says {(1, *dataset.task.shape)}"
        )
    return dataset


def _same_shapes(kind: str, what: str, given: object, wanted: Mapping[str, tuple[int, ...]]) -> None:
    if not isinstance(given, Mapping):
        raise ContractError(kind, f"{what} must be tensors by name, not {_kind(given)}")
    if set(given) != set(wanted):
        raise ContractError(kind, f"{what} must have the names {', '.join(map(str, wanted))}, not {', '.join(map(str, given))}")
    for name, tensor in given.items():
        shape = tuple(tensor.shape) if isinstance(tensor, Tensor) else _kind(tensor)
        if shape != wanted[name]:
            raise ContractError(kind, f"{what} of {name} must be of shape {wanted[name]}, not {shape}")


def _are_masks(kind: str, what: str, given: Mapping[str, Tensor]) -> None:
    for name, tensor in given.items():
        if tensor.dtype != torch.bool:
            raise ContractError(kind, f"{what} of {name} must be bool, not {str(tensor.dtype).removeprefix('torch.')}")


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
