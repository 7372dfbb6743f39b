"""What a row is held against: the same run, but for the one thing that is said to matter."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from lnas.core.data import Dataset
from lnas.core.errors import ConfigError, UnknownNameError
from lnas.host.config import Config
from lnas.host.plugins import Host
from lnas.host.prune_lines import RECIPES, recipe_of, short
from lnas.host.prunings import prune_line
from lnas.host.spec import Spec, shown
from lnas.sweep.dense import dense_width
from lnas.sweep.equal_cost import equal_cost

CONTROLS: Mapping[str, str] = MappingProxyType(
    {
        "random-mask": "theta is pruned at random, as much of each layer as by magnitude",
        "reinit": "the ticket's mask, and freshly drawn weights under it",
        "random-alpha": "alpha is pruned at random, as much of it",
        "random-search": "random search for as many multiply-adds as the search of DARTS took",
        "dense": "nothing of theta is pruned; a network with fewer channels has as many parameters as the ticket",
    }
)
"""Each with what it is."""


def applies(control: str, config: Config, host: Host) -> bool:
    """Whether a row can be held against that control: whether it prunes what the control leaves to chance.

    Args:
        control: one of `CONTROLS`.
        config: of the row, resolved.
        host: where names come from.

    Raises:
        UnknownNameError: for another control.
    """
    _check_name(control)
    pruned = _pruned(config, host)
    if control == "random-alpha":
        return "search" in pruned
    if control == "random-search":  # a search that prunes its paths costs less with every round
        return config.recipe == "baseline" and not pruned and short(config.strategy.name) != "random"
    return "train" in pruned and (control != "dense" or config.recipe in RECIPES)


def controlled(control: str, config: Config, host: Host, dataset: Dataset | None = None) -> Config:
    """The configuration of the control of a row; its seed, data, batches and training are those of the row.

    Args:
        control: one that applies.
        config: of the row, resolved.
        host: where names come from.
        dataset: of the row, loaded already, if it is.

    Raises:
        ConfigError: where the control does not apply, or is none for the options that the row has.
        LnasError: where the row itself cannot be built.
    """
    if not applies(control, config, host):
        raise ConfigError(f"{control} is no control of a row that is {config.recipe} by {config.strategy}; leave it out")
    return _MADE[control](config, host, dataset)


def _check_name(control: str) -> None:
    if control not in CONTROLS:
        raise UnknownNameError("control", control, CONTROLS)


def _pruned(config: Config, host: Host) -> dict[str, Spec]:
    """The lines that prune, by stage."""
    lines = [prune_line(host.registry, spec, seed=config.seed) for spec in config.prune]
    return {line.stage: line.spec for line in lines if line.pruning(1).schedule.rounds}


def _with(config: Config, stage: str, host: Host, option: str, value: str) -> Config:
    """The same, but for one option of the line that prunes in a stage."""
    chosen = _pruned(config, host)[stage]
    changed = replace(chosen, options={**chosen.options, option: value})
    return replace(config, prune=tuple(changed if line is chosen else line for line in config.prune))


def _random_mask(config: Config, host: Host, dataset: Dataset | None) -> Config:
    line = _pruned(config, host)["train"]
    options = line.options
    if options.get("scope") == "global" and prune_line(host.registry, line, seed=config.seed).pruning(1).schedule.rounds > 1:
        raise ConfigError(
            "random-mask removes as much of each layer as magnitude does, which with scope=global depends on the weights of each"
            " round; use scope=layer or one-shot, or leave the control out"
        )
    importance = options.get("importance", "magnitude")
    if options.get("scope") == "global" and short(importance) != "magnitude":
        raise ConfigError(
            f"random-mask removes as much of each layer as magnitude does, and with scope=global {shown(importance)} removes"
            " another number; use scope=layer, or leave the control out"
        )
    return _with(config, "train", host, "importance", "shuffled")


def _reinit(config: Config, host: Host, dataset: Dataset | None) -> Config:
    rewind = _pruned(config, host)["train"].options.get("rewind", "0")
    if rewind not in ("0", "0ep", "0it"):
        raise ConfigError(
            f"reinit begins at step 0, and the row that it is held against has rewind={rewind}; leave the control out, or rewind"
            " to 0"
        )
    return _with(config, "train", host, "rewind", "fresh")


def _random_alpha(config: Config, host: Host, dataset: Dataset | None) -> Config:
    return _with(config, "search", host, "importance", "random")


def _dense(config: Config, host: Host, dataset: Dataset | None) -> Config:
    width = dense_width(config, host, dataset)
    theta = _pruned(config, host)["train"]
    lines = tuple(line for line in config.prune if line is not theta)
    space = replace(config.space, options={**config.space.options, "network_channels": str(width)})
    return replace(config, recipe=recipe_of(lines), prune=lines, space=space)


_MADE: Mapping[str, Callable[[Config, Host, Dataset | None], Config]] = MappingProxyType(
    {
        "random-mask": _random_mask,
        "reinit": _reinit,
        "random-alpha": _random_alpha,
        "random-search": equal_cost,
        "dense": _dense,
    }
)
