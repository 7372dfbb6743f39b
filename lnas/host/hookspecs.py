"""The whole plugin contract: one hook for each kind of part, and nothing else.

A plugin is a module (or any object) with some of these functions, marked `@lnas.hookimpl`, and an entry point in the group
`lnas`.  Each function is handed `register` and calls it once for every part it offers:

    register("cubic", "my_package.schedules:Cubic", summary="fast early, gentle late")

The part itself is imported when a run uses it.  "Leading arguments" below are given by position; whatever else the part
takes is an option that a user may type, described by its annotation: `Annotated[float, "help text"]`.  An option called
`seed` that the user leaves unset is given the root seed of the run.
"""

from collections.abc import Mapping
from typing import Protocol

import pluggy

PLUGIN_API = 1
"""Grows by one when a hook or a kind changes in a way that breaks existing plugins."""

PROJECT = "lnas"
"""The name of the pluggy project and of the entry-point group."""

HOOKS: Mapping[str, str] = {
    "strategy": "lnas_strategies",
    "space": "lnas_spaces",
    "schedule": "lnas_schedules",
    "target": "lnas_targets",
    "importance": "lnas_importances",
    "recipe": "lnas_recipes",
    "dataset": "lnas_datasets",
    "observer": "lnas_observers",
}
"""The kinds of part, and the hook that offers each."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's functions as implementations of the hooks below."""


class Register(Protocol):
    """What a hook is handed: call it once for every part."""

    def __call__(self, name: str, target: str, *, summary: str = "") -> None:
        """Offer the part "module:Object" under `name`: letters, digits, "_", "-" and "." only.

        Raises:
            PluginError: where the name or the target cannot be one, or the plugin has used the name for this kind.
        """


@hookspec
def lnas_strategies(register: Register) -> None:
    """Search strategies.

    Leading arguments: `space`, `loss`, `steps` (of the whole search) and `seed`.  Options: the keyword-only parameters.
    Returns a `SearchStrategy`.
    """


@hookspec
def lnas_spaces(register: Register) -> None:
    """Search spaces.

    Leading argument: `task`, the shape of one input and the number of classes.  Options: the keyword-only parameters.
    Returns a `SearchSpace`.
    """


@hookspec
def lnas_schedules(register: Register) -> None:
    """Pruning schedules.

    No leading argument.  Options: all parameters, usually the fields of a frozen dataclass.  Returns a `PruningSchedule`.
    """


@hookspec
def lnas_targets(register: Register) -> None:
    """Mask targets: what can be pruned.

    Leading arguments: `subject` and `optimizers`.  The class attribute `stage` says which subject: "search" is handed the
    strategy, "train" the network.  Options: the keyword-only parameters.  Returns a `MaskTarget`.
    """


@hookspec
def lnas_importances(register: Register) -> None:
    """Importances: which entries go first.

    The part is the function itself, called with `tensors`, `masks` and `loss`.  Options: its keyword-only parameters.
    Returns one finite score for every entry, the least important lowest.
    """


@hookspec
def lnas_recipes(register: Register) -> None:
    """Recipes: whole algorithms, made of stages.

    Leading arguments: `strategy` and `fit` (see `lnas.Retrain`).  By keyword: `search` and `train` (steps), `seed`, and a
    `Pruning` for each prune line, as `alpha` where its target applies to the search and as `theta` where it applies to
    training.  Users type no options.  Returns a `Pipeline` with a `Retrain` stage.
    """


@hookspec
def lnas_datasets(register: Register) -> None:
    """Data sets.

    No leading argument.  Options: all parameters.  Returns a `Dataset`.
    """


@hookspec
def lnas_observers(register: Register) -> None:
    """Observers: they are told of the metrics of a run, and change nothing.

    No leading argument.  Options: all parameters.  Returns an `Observer`.
    """
