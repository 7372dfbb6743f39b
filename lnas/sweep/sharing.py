"""Which trials begin with the same search: found by their configurations, before anything is run."""

import hashlib
from dataclasses import replace

from lnas.host.config import Config
from lnas.host.epochs import Epochs
from lnas.host.plugins import Host
from lnas.host.prune_lines import RECIPES, recipe_of
from lnas.host.prunings import prune_line
from lnas.sweep.planned import text_of


def search_of(config: Config, host: Host) -> Config | None:
    """A configuration that does the search of `config`, and prunes nothing afterwards.

    None where the recipe is a plugin's: it alone knows what its search depends on.
    """
    if (config.recipe or "baseline") not in RECIPES:
        return None
    lines = tuple(line for line in config.prune if prune_line(host.registry, line, seed=config.seed).stage == "search")
    return replace(config, recipe=recipe_of(lines), prune=lines, observe=(), cost=(), name=None)


def key_of(search: Config, host: Host) -> str:
    """The same for searches that do the same: a hash of all settings that a search depends on.

    Left out are the length and the options of the training, and what the space says shapes the derived network alone
    (`SearchSpace.derived_only`).
    """
    space = host.registry.get("space", search.space.name).load()
    after: frozenset[str] = getattr(space, "__dict__", {}).get("derived_only", frozenset())  # a subclass speaks for itself
    options = {name: value for name, value in search.space.options.items() if name not in after}
    bare = replace(
        search,
        space=replace(search.space, options=options),
        epochs=Epochs(search.epochs.search, Epochs.of(1).train),
        train={},
        out="runs",
        keep=2,
    )
    return hashlib.sha256(text_of(bare).encode()).hexdigest()[:16]
