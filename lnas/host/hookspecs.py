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
"""Grows by one when a hook or a kind changes in a way that breaks existing plugins; a hook that only gains an argument does
not.  A plugin may say which one it was written for, `PLUGIN_API = 1` in its module; this one and the one before are loaded."""

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
    "executor": "lnas_executors",
    "cost": "lnas_costs",
    "section": "lnas_report_sections",
    "command": "lnas_commands",
}
"""The kinds of part, and the hook that offers each."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's functions as implementations of the hooks below."""


class Register(Protocol):
    """What a hook is handed: call it once for every part."""

    def __call__(self, name: str, target: str, *, summary: str = "", small: str = "") -> None:
        """Offer the part "module:Object" under `name`: letters, digits, "_", "-" and "." only.

        Args:
            name: the word a user types.
            target: where the part is.
            summary: one line for lists.
            small: options as a user types them, "channels=2,cells=1", with which `lnas plugins check` makes it: where the
                defaults are a network that takes minutes.

        Raises:
            PluginError: where the name or the target cannot be one, or the plugin has used the name for this kind.
        """


@hookspec
def lnas_strategies(register: Register) -> None:
    """Search strategies.

    Leading arguments: `space`, `loss`, `steps` (of the whole search) and `seed`.  Options: the keyword-only parameters.
    Returns a `SearchStrategy`, whose class may suggest settings (`suggested`).
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

    The part is the function itself, called with `tensors`, `masks` and `loss`.  `loss` is an `lnas.Objective`: `loss()` is the
    differentiable loss on the current batch, and `loss.module`, `loss.predict` and `loss.batch` are the network (or the space),
    its output and the batch.  Options: its keyword-only parameters.  Returns one finite score for every entry, the least
    important lowest: a tensor of its shape by each name.  `lnas.only_for` says that it scores the targets of one stage alone.
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


@hookspec
def lnas_executors(register: Register) -> None:
    """Engines that run the trials of a sweep.

    Leading argument: `workers`, how many trials at a time; at least 1.  Options: the keyword-only parameters.  Returns an
    `Executor`.
    """


@hookspec
def lnas_costs(register: Register) -> None:
    """Costs: what a network needs, beside parameters and multiply-adds.

    Leading arguments: `network`, in evaluation mode on the CPU and not to be changed, and `task`.  Options: the keyword-only
    parameters.  Returns a finite number.  Asked for with `--cost NAME`.
    """


@hookspec
def lnas_report_sections(register: Register) -> None:
    """Sections of a run's report.

    The part is a function that is called with the `lnas.RunFiles` of the run; no options.  Returns text, of which every
    character is shown as it is, HTML as `markupsafe.Markup`, or None where it has nothing to say about that run.  The summary
    is its heading.  One that fails is a box that says so; the rest of the report is as ever.
    """


@hookspec
def lnas_commands(register: Register) -> None:
    """Commands of the program.

    The part is a `click.Command`, which is imported when it is called; until then its summary stands in `lnas --help`.  lnas's
    own commands win; of two plugins' commands of one name, the first by plugin name.
    """
