"""What MLflow is told of a run, as functions of its events and files."""

import re
from collections.abc import Mapping
from typing import Any

import lnas

_OTHER = re.compile(r"[^\w\-. :/]", re.ASCII)
"""What MLflow allows in no key."""


def metrics(event: lnas.EpochDone | lnas.Pruned) -> dict[str, float]:
    """The figures of an event by their keys, which begin with the stage; a metric that is not finite is left out."""
    stage = event.progress.stage
    if isinstance(event, lnas.Pruned):
        return {key(f"{stage}/round/sparsity_asked"): event.asked, key(f"{stage}/round/sparsity"): event.attained}
    figures = {
        **event.diagnosis,
        **event.metrics,
        "validation_accuracy": event.validation_accuracy,
        "sparsity": event.sparsity,
        "live_paths": event.live_paths,
    }
    return {key(f"{stage}/{name}"): float(value) for name, value in figures.items() if value is not None}


def parameters(event: lnas.RunStarted) -> dict[str, str]:
    """The configuration without the observers, whose options may hold a password."""
    return {"recipe": event.recipe} | {key(name): value for name, value in event.config.items() if name != "observe"}


def tags(event: lnas.RunStarted, environment: Mapping[str, Any]) -> dict[str, str]:
    """Where the run is, and what it runs with.

    Args:
        event: the first one.
        environment: what environment.json holds; {} where there is none.
    """
    versions = {f"lnas.{name}": str(environment[name]) for name in ("lnas", "python", "torch", "device") if name in environment}
    plugins = {f"lnas.plugin.{key(plugin['name'])}": str(plugin["version"]) for plugin in environment.get("plugins", ())}
    return {"lnas.directory": str(event.directory.resolve()), **versions, **plugins}


def key(name: str) -> str:
    """The name, as far as MLflow allows it."""
    return _OTHER.sub("_", name)
