"""The parts that a configuration names: who takes part in a run."""

from collections.abc import Iterable

from lnas.host.config import Config
from lnas.host.registry import BUILT_IN, Component, Registry


def chosen(config: Config, registry: Registry) -> tuple[Component, ...]:
    """The components of a configuration, each once, in the order in which they are made.

    Raises:
        LnasError: where a name is that of no component.
    """
    names = [("space", config.space.name), ("strategy", config.strategy.name)]
    for line in config.prune:
        names.append(("target", line.name))
        if line.schedule is not None:
            names.append(("schedule", line.schedule))
        if "importance" in line.options:
            names.append(("importance", line.options["importance"]))
    names += [("dataset", config.data.name), ("recipe", config.recipe or "baseline")]
    names += [("observer", spec.name) for spec in config.observe] + [("cost", spec.name) for spec in config.cost]
    return tuple(dict.fromkeys(registry.get(kind, name) for kind, name in names))


def of_plugins(parts: Iterable[Component]) -> dict[str, str]:
    """The versions of the plugins that offer these parts, by the plugin's name; lnas itself is none."""
    return {part.plugin: part.version or "unknown" for part in parts if part.plugin != BUILT_IN}
