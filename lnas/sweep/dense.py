"""How wide a dense network is that has as many parameters as a pruned one keeps."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from lnas import cost
from lnas.core.data import Dataset
from lnas.core.errors import ConfigError
from lnas.core.mask import magnitude, prune
from lnas.core.random import seeded
from lnas.core.space import SearchSpace
from lnas.core.stages import Retrain
from lnas.host.assemble import build
from lnas.host.config import Config
from lnas.host.job import Job
from lnas.host.options import options_of
from lnas.host.parts import factory
from lnas.host.plugins import Host

WIDTH = "network_channels"
"""The option of a space that is the width of the derived network."""


def dense_width(config: Config, host: Host, dataset: Dataset | None = None) -> int:
    """The `network_channels` at which a dense network has nearly as many parameters as the ticket of `config` keeps.

    The architecture is not known before the search: any of the space stands for it, for the ticket and for the dense network.

    Args:
        config: resolved; its training prunes.
        host: where names come from.
        dataset: loaded already, if it is.

    Raises:
        ConfigError: where the space has no such option.
        LnasError: where the run cannot be built.
    """
    known = {option.name: option for option in options_of(host.registry.get("space", config.space.name).load(), "space")}
    if WIDTH not in known:
        raise ConfigError(
            f"space {config.space.name} has no option {WIDTH}, so there is no dense network of another width; leave the control"
            " dense out"
        )
    job = build(config, host, dataset)
    now = int(config.space.options.get(WIDTH, str(known[WIDTH].default)))

    def parameters(width: int) -> int:
        spec = replace(config.space, options={**config.space.options, WIDTH: str(width)})
        with seeded(config.seed, "rehearsal"):
            space: SearchSpace = factory(host.registry, "space", spec, seed=config.seed)(job.dataset.task)
        return cost.parameters(_anything(space, config.seed)).total

    return nearest(parameters, kept(job, config.seed), now)


def kept(job: Job, seed: int) -> int:
    """The parameters that are left when the training of a job has pruned: those that no mask covers.

    Args:
        job: whose training prunes.
        seed: of the weights; their number does not depend on it.
    """
    stage = next(stage for stage in job.pipeline.stages if isinstance(stage, Retrain) and stage.pruning.schedule.rounds)
    learner = stage.fit(_anything(job.space, seed), 0)
    target = stage.pruning.target(learner)
    schedule, earlier = stage.pruning.schedule, list[float]()
    for round in range(1, schedule.rounds + 1):
        prune(target, schedule.sparsity_after(round), importance=magnitude, earlier=earlier)
        earlier.append(schedule.sparsity_after(round))
    masked = sum(int((~mask).sum()) for mask in target.masks().values())
    return cost.parameters(learner.module).total - masked


def nearest(parameters: Callable[[int], int], wanted: int, most: int) -> int:
    """The width from 1 to `most` whose number of parameters is nearest to `wanted`; of two as near, the smaller.

    Args:
        parameters: of a width; it rises.
        wanted: how many there should be.
        most: the largest width.
    """
    low, high = 1, most
    while low < high:  # the least width that has as many, or `most`
        middle = (low + high) // 2
        low, high = (low, middle) if parameters(middle) >= wanted else (middle + 1, high)
    return min((width for width in (low - 1, low) if width), key=lambda width: abs(parameters(width) - wanted))


def _anything(space: SearchSpace, seed: int) -> nn.Module:
    """A network of the space, whichever it prefers where all paths are alike."""
    genotype = space.discretize({group: torch.zeros(alive.shape) for group, alive in space.alive.items()})
    with seeded(seed, "rehearsal"):
        return space.derive(genotype)
