"""From prune lines to a pipeline that is checked: the same for a run and for a loop of the user's own."""

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from lnas.core.errors import ConfigError, ContractError, PluginError
from lnas.core.learner import Learner, SearchStrategy
from lnas.core.mask import check_feasible
from lnas.core.pipeline import Pipeline
from lnas.core.random import seeded
from lnas.core.rounds import Pruning
from lnas.core.schedule import PruningSchedule
from lnas.core.space import SearchSpace
from lnas.core.stages import Fit, Retrain, Search
from lnas.core.types import Loss
from lnas.host.contract import check_target, checked_strategy
from lnas.host.parts import TRAINING, factory, imported
from lnas.host.plugins import Host
from lnas.host.prune_lines import expand_recipe
from lnas.host.prunings import PruneLine, prune_line
from lnas.host.registry import Registry
from lnas.host.spec import Spec


def make_pipeline(
    registry: Registry,
    recipe: str,
    strategy: SearchStrategy,
    fit: Fit,
    prunings: Mapping[str, Pruning],
    *,
    search: int,
    train: int,
    seed: int,
) -> Pipeline:
    """Call a recipe with the prunings it takes: `alpha` for the one of the search, `theta` for the one of training.

    Raises:
        ConfigError: where the recipe takes other prunings than there are, or a round does not fit.
        SparsityError: where a target cannot reach its sparsity.
        PluginError: where a schedule breaks its contract.
    """
    component = registry.get("recipe", recipe)
    names = {"search": "alpha", "train": "theta"}
    named = {names[stage]: pruning for stage, pruning in prunings.items() if pruning.schedule.rounds}
    make = component.load()
    given: dict[str, Any] = {"search": search, "train": train, "seed": seed, **named}
    try:
        inspect.signature(make).bind(strategy, fit, **given)
    except TypeError as error:
        raise ConfigError(f"{component} does not go with pruning {' and '.join(named) or 'nothing'}: {error}") from error
    pipeline = make(strategy, fit, **given)
    if not isinstance(pipeline, Pipeline):
        raise PluginError(f"{component} returned a {type(pipeline).__name__}, not a Pipeline")
    _check_ahead(pipeline, strategy, seed)
    return pipeline


def pipeline(
    recipe: str,
    space: SearchSpace,
    loss: Loss,
    *,
    search: int,
    train: int,
    strategy: str = "darts",
    prune: Sequence[str] = (),
    fit: Fit | None = None,
    seed: int = 0,
    host: Host | None = None,
) -> Pipeline:
    """A recipe on your own space, loss and batches: drive it with `pipeline.step(train_batch, val_batch)` until `done`.

    Args:
        recipe: "baseline", "variant1", "variant2", "generalized", or a plugin's.
        space: e.g. `ChoiceSpace(model)`, on the device it shall run on.
        loss: `loss(network, batch)`.
        search: steps of the search.
        train: steps of training the derived network.
        strategy: as on the command line, e.g. "darts,unrolled=exact".
        prune: prune lines, e.g. ["alpha:iterative,sparsity=0.75,rounds=5"], the recipe's own unless given; lengths in them
            are steps.
        fit: `fit(network, horizon)` makes the learner of the derived network; SGD with a cosine unless given.
        seed: root seed of every named stream.
        host: where names come from; all installed plugins unless given.

    Raises:
        LnasError: for whatever cannot work.
    """
    host = host or Host()
    specs = expand_recipe(recipe, None, [Spec.parse(line) for line in ([prune] if isinstance(prune, str) else prune)])
    lines = by_stage([prune_line(host.registry, spec, seed=seed) for spec in specs])
    like = next(space.parameters(), torch.zeros(()))

    def standard(network: nn.Module, horizon: int) -> Learner:
        learner: Learner = imported(TRAINING)(network.to(like.device, like.dtype), loss, horizon)
        return learner

    make = factory(host.registry, "strategy", Spec.parse(strategy), seed=seed)
    made = checked_strategy(make(space, loss, search, seed), space)
    prunings = {line.stage: line.pruning(1) for line in lines.values()}
    return make_pipeline(host.registry, recipe, made, fit or standard, prunings, search=search, train=train, seed=seed)


def by_stage(lines: Iterable[PruneLine]) -> dict[str, PruneLine]:
    """Prune lines by the stage they apply to.

    Raises:
        ConfigError: where two would prune the same stage.
    """
    found: dict[str, PruneLine] = {}
    for line in lines:
        if line.stage in found:
            raise ConfigError(
                f"{found[line.stage].spec.name} and {line.spec.name} would both prune the {line.stage} stage; choose one"
            )
        found[line.stage] = line
    return found


def _check_ahead(pipeline: Pipeline, strategy: SearchStrategy, seed: int) -> None:
    """Refuse, before the first step, rounds that do not fit and sparsities or options that a target cannot take."""
    for stage in pipeline.stages:
        schedule = stage.pruning.schedule
        _check_rounds(schedule)
        stage.loop()  # so many rounds fit, and can be looked at one by one
        _check_curve(schedule)
        if not schedule.rounds:
            continue
        *earlier, last = (schedule.sparsity_after(round) for round in range(1, schedule.rounds + 1))
        if isinstance(stage, Search):
            check_target(target := stage.pruning.target(stage.strategy))
            check_feasible(target, last, earlier=earlier)
        elif isinstance(stage, Retrain):  # its network is not known yet: any of the space stands for it
            space = strategy.space
            anything = space.discretize({group: torch.zeros(alive.shape) for group, alive in space.alive.items()})
            with seeded(seed, "rehearsal"):
                learner = imported(TRAINING)(stage.derive(anything), strategy.loss)
                check_target(target := stage.pruning.target(learner))
                check_feasible(target, last, earlier=earlier)


def _check_rounds(schedule: PruningSchedule) -> None:
    name, rounds = type(schedule).__name__, schedule.rounds
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 0:
        raise ContractError("schedule", f"schedule {name} has {rounds!r} rounds; it must be a whole number of at least 0")


def _check_curve(schedule: PruningSchedule) -> None:
    name, before = type(schedule).__name__, 0.0
    for round in range(1, schedule.rounds + 1):
        after = schedule.sparsity_after(round)
        if not isinstance(after, int | float) or not math.isfinite(after) or not before <= after < 1:
            raise ContractError(
                "schedule",
                f"schedule {name} gives {after!r} after round {round}, {before:g} before; it must stay in [0, 1) and not fall",
            )
        before = after
