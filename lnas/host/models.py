"""A finished network as a recipe (JSON) and tensors (safetensors): saved, loaded, and measured on data."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lnas.core.data import Dataset
from lnas.core.errors import ConfigError, LnasError, PluginError, RunError, UnknownNameError
from lnas.core.genotype import Genotype
from lnas.core.mask import MaskTarget
from lnas.core.space import SearchSpace
from lnas.core.stages import Ticket
from lnas.core.types import Task
from lnas.host import checkpoint, documents, durable, runtime
from lnas.host.evaluate import accuracy
from lnas.host.packing import tensors_of
from lnas.host.parts import CORRECT, LOSS, TRAINING, factory, imported
from lnas.host.plugins import Host
from lnas.host.present import check_present
from lnas.host.prunings import prune_line
from lnas.host.rundir import RunDirectory
from lnas.host.spec import Spec

SCHEMA = 1
MOST_NUMBERS, MOST_CLASSES = 100_000_000, 1_000_000
"""Of an example, and of a task."""
BATCH = 256
"""Examples a batch when a loaded network is measured."""


def save_recipe(directory: RunDirectory, *, space: Spec, task: Task, precision: str, ticket: Ticket, pruned: Spec | None) -> None:
    """Write model.json, and the masks of a pruned network: with model.safetensors, all that `load_model` needs.

    Args:
        directory: of the run.
        space: derives the network.
        task: of the data.
        precision: what the network computes in.
        ticket: what was found.
        pruned: the prune line of the network, if it was pruned.
    """
    assert ticket.genotype is not None, "a finished run has an architecture"
    recipe = {
        "schema": SCHEMA,
        "space": str(space),
        "task": asdict(task),
        "precision": precision,
        "genotype": ticket.genotype.to_json(),
        "pruned": None if pruned is None else str(pruned),
    }
    if pruned is not None:
        checkpoint.save_tensors(directory.masks, ticket.masks)
    durable.write_json(directory.model, recipe)


def load_model(run: str | Path, *, host: Host | None = None) -> nn.Module:
    """The trained network of a finished run: a plain module, on the CPU, in evaluation mode.

    Args:
        run: the run directory.
        host: where the space's name comes from; all installed plugins unless given.

    Raises:
        RunError: where the run is not finished, or its files do not fit each other.
    """
    return loaded(RunDirectory.open(Path(run)), host or Host())[0]


def loaded(directory: RunDirectory, host: Host) -> tuple[nn.Module, Task, str]:
    """The network, its task and its precision."""
    recipe = _recipe(directory)
    try:
        task = _task(directory, recipe["task"])
        space: SearchSpace = factory(host.registry, "space", Spec.parse(recipe["space"]), seed=0)(task)
        network = space.derive(Genotype.from_json(recipe["genotype"]))
        network.to(dtype=runtime.dtype(recipe["precision"]))
        if recipe["pruned"] is not None:
            network = _compacted(network, Spec.parse(recipe["pruned"]), _tensors(directory.masks), host)
        network.load_state_dict(_tensors(directory.weights))
    except (UnknownNameError, PluginError):
        check_present(directory, host.plugins)  # which says more
        raise
    except LnasError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError, MemoryError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"{directory.model} and {directory.weights.name} do not fit each other: {reason}") from error
    return network.eval(), task, recipe["precision"]


def measured(network: nn.Module, dataset: Dataset, *, precision: str, device: torch.device) -> tuple[float, int]:
    """Accuracy on the test pictures of a data set, and how many they are.

    Raises:
        ConfigError: where the network was made for other pictures.
    """
    dataset.to(device)
    network.to(device)
    indices = torch.arange(dataset.size("test"))
    batches = (dataset.batch("test", part, None) for part in torch.split(indices, BATCH))
    correct = runtime.precise(imported(CORRECT), precision, device)
    return accuracy(imported(TRAINING)(network, imported(LOSS)), batches, correct), len(indices)


def check_task(made_for: Task, data: Task) -> None:
    """Raise a `ConfigError` where a network for one task is asked to read the data of another."""
    if made_for != data:
        raise ConfigError(
            f"the network reads {_words(made_for)}, the data set has {_words(data)}; choose one of the same shape and classes"
        )


def _words(task: Task) -> str:
    return f"{'x'.join(map(str, task.shape))} pictures of {task.classes} classes"


def _recipe(directory: RunDirectory) -> Mapping[str, Any]:
    try:
        recipe = documents.read(directory.model)
    except FileNotFoundError as error:
        raise RunError(f"{directory.path} is not finished; go on with: lnas resume {directory.path}") from error
    except OSError as error:
        raise RunError(f"cannot read {directory.model}: {error.strerror or error}") from error
    except ValueError as error:
        raise RunError(f"{directory.model}: {error}") from error
    if not isinstance(recipe, dict) or recipe.get("schema") != SCHEMA:
        raise RunError(f"{directory.model} is no network recipe of schema {SCHEMA}")
    return recipe


def _task(directory: RunDirectory, given: Any) -> Task:
    """Sizes are bounded before anything is built of them."""
    shape, classes = given["shape"], given["classes"]
    whole = isinstance(shape, list) and all(type(side) is int and side >= 1 for side in (*shape, classes))
    if not whole or not 1 <= len(shape) <= 8 or math.prod(shape) > MOST_NUMBERS or classes > MOST_CLASSES:
        raise RunError(
            f"{directory.model}: a task has a shape of at most {MOST_NUMBERS:,} numbers, and 1 to {MOST_CLASSES:,} classes"
        )
    return Task(tuple(shape), classes)


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return tensors_of(documents.content(path, most=documents.most_of_tensors()))
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise RunError(f"cannot read {path}: {error}") from error


def _compacted(network: nn.Module, line: Spec, masks: Mapping[str, Tensor], host: Host) -> nn.Module:
    """The network with the shape that its mask target gave it."""
    learner = imported(TRAINING)(network, imported(LOSS))
    target: MaskTarget = prune_line(host.registry, line, seed=0).pruning(1).target(learner)
    for name, mask in target.masks().items():
        mask.copy_(masks[name])
    target.apply()
    return target.compact(network)
