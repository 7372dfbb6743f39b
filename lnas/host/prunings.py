"""From a prune line to what the core understands: `alpha:iterative,sparsity=0.75,importance=magnitude` -> `Pruning`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lnas.core.errors import ConfigError, PluginError, UnknownNameError
from lnas.core.learner import Learner
from lnas.core.mask import MaskTarget
from lnas.core.rounds import Pruning
from lnas.host.contract import checked_schedule
from lnas.host.epochs import Epochs
from lnas.host.options import options_of
from lnas.host.parts import bound
from lnas.host.registry import Component, Registry
from lnas.host.spec import Spec, shown

LOOP_OPTIONS = {
    "importance": "which entries go first; the target's own choice unless given",
    "rewind": "where theta returns to after each prune: 0 is theta_0, e.g. 1ep or 50it, or none (training: 0, searching: none);"
    " fresh: theta_0, and after the last prune other weights, drawn anew: a control",
    "k": "length of a round, e.g. 2ep or 50it; the stage in equal parts unless given; 0 prunes before the first step",
}
"""Options of every prune line, beside those of its target, its schedule and its importance."""


@dataclass(frozen=True)
class PruneLine:
    """A prune line whose names and options are checked, before there is anything to prune.

    Attributes:
        spec: the line itself.
        stage: where the target applies: "search" or "train".
        pruning: `pruning(steps_per_epoch)`: what the core understands.
    """

    spec: Spec
    stage: str
    pruning: Callable[[int], Pruning]


def prune_line(registry: Registry, spec: Spec, *, seed: int) -> PruneLine:
    """Check a prune line.

    Raises:
        ConfigError: for a name or an option that does not exist, or a value that is not allowed.
    """
    if spec.schedule is None:
        known = ", ".join(f"{spec.name}:{part.name}" for part in registry.all("schedule"))
        raise ConfigError(f"prune line {str(spec)!r} names no schedule; write one of {known}")
    target: type[MaskTarget] = _target(registry, spec.name)
    own = {key: value for key, value in spec.options.items() if key in LOOP_OPTIONS}
    names = {"schedule": spec.schedule, "target": spec.name}
    if "importance" in own:
        names["importance"] = own["importance"]
    options = _shared_out(registry, names, {key: value for key, value in spec.options.items() if key not in own}, str(spec))
    if "importance" in names:
        _check_stage(registry.get("importance", names["importance"]), target)
    parts = {kind: bound(registry, kind, name, options[kind], seed=seed) for kind, name in names.items()}
    schedule = checked_schedule(parts["schedule"]())
    if not schedule.rounds and spec.options:
        raise ConfigError(f"prune line {str(spec)!r} prunes nothing, so {next(iter(spec.options))} has no effect; leave it out")
    searching = target.stage == "search"
    where = own.get("rewind", "none" if searching else "0")
    fresh = where == "fresh"
    if fresh and searching:
        raise ConfigError(f"rewind=fresh draws new weights for the training, and {target.name} is of the search; leave it out")
    rewind = _length("rewind", "0" if fresh else where)
    k = _length("k", own["k"]) if "k" in own else None

    def make_target(learner: Learner) -> MaskTarget:
        made: MaskTarget = parts["target"](learner) if searching else parts["target"](learner.module, learner.optimizers)
        return made

    def pruning(steps_per_epoch: int) -> Pruning:
        return Pruning(
            make_target,
            schedule,
            parts.get("importance", target.default_importance),
            None if rewind is None else rewind(steps_per_epoch),
            None if k is None else k(steps_per_epoch),
            fresh=fresh,
        )

    return PruneLine(spec, target.stage, pruning)


def _check_stage(importance: Component, target: type[MaskTarget]) -> None:
    stage = getattr(importance.load(), "stage", target.stage)
    if stage != target.stage:
        raise ConfigError(
            f"importance {importance.name} is for targets of the {stage} stage, and {target.name} is of {target.stage}"
        )


def _target(registry: Registry, name: str) -> type[MaskTarget]:
    component = registry.get("target", name)
    part = component.load()
    if not (isinstance(part, type) and issubclass(part, MaskTarget)):
        raise PluginError(f"{component} is no MaskTarget class")
    if getattr(part, "stage", None) not in ("search", "train"):
        raise PluginError(f"{component} must have stage, 'search' or 'train', not {shown(getattr(part, 'stage', None))}")
    return part


def _shared_out(registry: Registry, names: Mapping[str, str], options: Mapping[str, str], line: str) -> dict[str, dict[str, Any]]:
    """Give each option to the part that has it.

    Raises:
        ConfigError: where none has it, or several have.
    """
    known = {kind: [o.name for o in options_of(registry.get(kind, name).load(), kind)] for kind, name in names.items()}
    shared: dict[str, dict[str, Any]] = {kind: {} for kind in names}
    for key, value in options.items():
        kinds = [kind for kind in names if key in known[kind]]
        if not kinds:
            there = {name for part in known.values() for name in part} | set(LOOP_OPTIONS)
            raise ConfigError(f"prune line {line!r}: {UnknownNameError('option', key, there)}")
        if len(kinds) > 1:
            raise ConfigError(f"prune line {line!r}: {key} is an option of the {' and of the '.join(kinds)}; use other parts")
        shared[kinds[0]][key] = value
    return shared


def _length(name: str, text: str) -> Callable[[int], int] | None:
    """Epochs or steps, as a function of the steps of an epoch; None for "none"."""
    if text == "none":
        return None
    if text in ("0", "0ep", "0it"):
        return lambda steps_per_epoch: 0
    try:
        if ":" in text:
            raise ConfigError("one length only")
        return Epochs.of(text).search.steps
    except ConfigError:
        words = ", none or fresh" if name == "rewind" else " or none"
        raise ConfigError(f"{name} must be a length such as 0, 2ep or 50it{words}, not {shown(text)}") from None
