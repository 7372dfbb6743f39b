"""How long a random search is that costs as much as a search by DARTS, in multiply-adds of its training steps.

A forward pass counts once and a backward pass twice.  A step of first-order DARTS is a forward and a backward pass of the
whole supernet for alpha, and one more of each for theta: 6 M, M being the multiply-adds of the supernet.  That is a little
more than it takes, as theta's gradient is not needed for alpha, and so to the advantage of random search.  With
`alternate=k` a step is one of the two, 3 M.  A step of random search is a forward and a backward pass of one architecture in
the supernet and one more forward pass to score it: 4 m, m being the mean over `DRAWN` architectures.  Validation at the
end of epochs is not counted for either.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from lnas import cost
from lnas.core.data import Dataset
from lnas.core.errors import ConfigError
from lnas.core.random import stream
from lnas.core.space import Gates, Paths, SearchSpace
from lnas.core.stages import Search
from lnas.core.types import Task
from lnas.host.assemble import build
from lnas.host.config import Config
from lnas.host.epochs import Epochs, Length
from lnas.host.options import options_of
from lnas.host.plugins import Host
from lnas.host.prune_lines import short
from lnas.host.spec import Spec

DRAWN = 32
"""Architectures whose mean cost stands for all."""

FORWARD_AND_BACKWARD = 3
"""Of a pass, in forward passes."""


def equal_cost(config: Config, host: Host, dataset: Dataset | None = None) -> Config:
    """The same run with a random search that takes as many multiply-adds; options that both strategies have are kept.

    Args:
        config: resolved; its strategy is `darts`, and its search prunes nothing.
        host: where names come from.
        dataset: loaded already, if it is.

    Raises:
        ConfigError: where the cost of a step of the search is not known: another strategy, or an unrolled gradient.
        LnasError: where the run cannot be built.
    """
    options = config.strategy.options
    if short(config.strategy.name) != "darts" or options.get("unrolled", "no") != "no":
        raise ConfigError(
            f"what a step of {config.strategy} costs is not known, only that of first-order darts; leave random-search out"
        )
    job = build(config, host, dataset)
    darts = next(stage for stage in job.pipeline.stages if isinstance(stage, Search))
    supernet = cost.multiply_adds(job.space, job.dataset.task.shape).dense
    passes = 2 if options.get("alternate", "1") == "1" else 1
    steps = equal_steps(darts.steps, passes, supernet, path_costs(job.space, job.dataset.task))
    shared = {option.name for option in options_of(host.registry.get("strategy", "random").load(), "strategy")}
    strategy = Spec("random", None, {key: value for key, value in options.items() if key in shared})
    return replace(config, strategy=strategy, epochs=Epochs(Length(steps, "it"), config.epochs.train))


def equal_steps(darts: int, passes: int, supernet: int, paths: Sequence[int]) -> int:
    """Steps of random search that cost as much as `darts` steps of DARTS, at least 1.

    Args:
        darts: steps of DARTS.
        passes: forward and backward passes of one of them.
        supernet: multiply-adds of the supernet.
        paths: of one architecture in it, for each that was drawn.

    Raises:
        ConfigError: where the architectures have no multiply-adds.
    """
    mean = sum(paths) / len(paths)
    if not mean:
        raise ConfigError("the architectures of this space have no multiply-adds, so no random search costs as much as another")
    return max(1, round(darts * passes * FORWARD_AND_BACKWARD * supernet / ((FORWARD_AND_BACKWARD + 1) * mean)))


def path_costs(space: SearchSpace, task: Task, drawn: int = DRAWN) -> list[int]:
    """Multiply-adds of one architecture in the supernet, for each of some that are drawn as random search draws them."""
    generator = stream(0, "equal cost")
    costs = []
    for _ in range(drawn):
        scores = {group: torch.rand(alive.shape, generator=generator) for group, alive in space.alive.items()}
        paths = space.paths(space.discretize(scores, "argmax"))
        costs.append(cost.multiply_adds(_Path(space, paths), task.shape).dense)
    return costs


class _Path(nn.Module):
    """One architecture with the supernet's weights."""

    def __init__(self, space: SearchSpace, paths: Paths) -> None:
        super().__init__()
        self.space = space
        self.paths = paths
        like = next(space.parameters())
        self.gates: Gates = {group: open_.to(like.device, like.dtype) for group, open_ in paths.items()}

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.space(x, self.gates, self.paths)
        return logits
