"""The options that describe a run, declared once: `lnas run` and `lnas config` share them.

They reach the host as the text that was typed, for the host alone says what a value may be.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import click
from click.shell_completion import CompletionItem

from lnas.cli.session import Session

if TYPE_CHECKING:
    from lnas.core.data import Dataset
    from lnas.host.config import Merged

F = TypeVar("F", bound=Callable[..., object])

FILE = "config"
"""The one option that is no key of a configuration: the file that holds one."""

_META = "lnas.settings"


@dataclass(frozen=True)
class _Setting:
    name: str
    metavar: str
    help: str
    kind: str | None = None
    """Of the parts that its value may name."""
    several: bool = False
    default: str | None = None
    """In words."""


SETTINGS = (
    _Setting(
        "strategy",
        "SPEC",
        "Search strategy: a name, and perhaps options as in darts,unrolled=exact.",
        "strategy",
        default="darts",
    ),
    _Setting(
        "prune",
        "TARGET:SCHEDULE,...",
        "What to prune and when, as in alpha:iterative,sparsity=0.75,rounds=10; may be given once for each target.",
        "target",
        several=True,
    ),
    _Setting(
        "recipe",
        "NAME",
        "baseline, variant1, variant2 or generalized: a short way to write the prune lines.",
        "recipe",
        default="that of the prune lines",
    ),
    _Setting("sparsity", "FRACTION", "Fraction that every prune line removes in the end, in [0, 1)."),
    _Setting("space", "SPEC", "Search space, as in cells,channels=16,layers=8.", "space", default="cells"),
    _Setting("data", "SPEC", "Data set, as in folder,root=DIR for a folder of pictures a class.", "dataset", default="digits"),
    _Setting(
        "epochs",
        "SEARCH:TRAIN",
        "Length of search and retraining, in epochs or, as in 500it, in steps.",
        default="what suits the data, else 10:20",
    ),
    _Setting("batch", "N", "Pictures in a batch.", default="what suits the data, else 64"),
    _Setting("validation", "FRACTION", "Fraction of the training pictures that is held out.", default="0.1"),
    _Setting("train", "KEY=VALUE,...", "Options of the retraining; `lnas components train` lists them."),
    _Setting("seed", "N", "Root of all random streams.", default="0"),
    _Setting("device", "NAME", "auto, cpu, cuda or cuda:N; auto takes a GPU where there is one.", default="auto"),
    _Setting("precision", "NAME", "float32, tf32, bf16 or float64.", default="float32"),
    _Setting(
        "deterministic",
        "BOOLEAN",
        "Whether a GPU uses only algorithms that give the same bytes every time; false is faster, and not exact when resumed.",
        default="true",
    ),
    _Setting(
        "on_nan",
        "stop|rollback:N",
        "What to do where a loss or a gradient is not finite: stop, or go back to the last checkpoint and give that step another "
        "batch, up to N times.",
        default="stop",
    ),
    _Setting("keep", "N", "How many of the newest checkpoints stay, beside the best of those made.", default="2"),
    _Setting("observe", "SPEC", "Observer of a plugin that is told what happens; may be repeated.", "observer", several=True),
    _Setting("cost", "SPEC", "Measure of a plugin that the network is put to at the end; may be repeated.", "cost", several=True),
    _Setting("out", "FOLDER", "Folder of the run directories.", default="runs"),
    _Setting("name", "NAME", "Name of the run directory.", default="made of recipe, data and seed"),
    _Setting(FILE, "FILE", "TOML file with any of the options above; LNAS_* variables and this command line overrule it."),
)


def settings(command: F) -> F:
    """Decorate a command with the options; `resolved` and `given` tell what was typed."""
    return settings_but()(command)


def settings_but(*names: str, defaults: Mapping[str, str] = MappingProxyType({})) -> Callable[[F], F]:
    """`settings` for a command with options of its own: without those of these names, and with its own words for defaults."""
    chosen = [setting for setting in SETTINGS if setting.name not in names]
    assert defaults.keys() <= {setting.name for setting in chosen}
    return lambda command: _with_options(
        command, [replace(setting, default=defaults.get(setting.name, setting.default)) for setting in chosen]
    )


def _with_options(command: F, chosen: Sequence[_Setting]) -> F:
    for setting in reversed(chosen):
        command = click.option(
            f"--{setting.name.replace('_', '-')}",
            metavar=setting.metavar,
            help=setting.help if setting.default is None else f"{setting.help}  [default: {setting.default}]",
            multiple=setting.several,
            expose_value=False,
            callback=_keep,
            shell_complete=_names_of(setting.kind) if setting.kind else None,
        )(command)
    return command


def given(context: click.Context) -> Mapping[str, object]:
    """What was typed, by option."""
    typed: Mapping[str, object] = context.meta.get(_META, {})
    return typed


def resolved(context: click.Context) -> "tuple[Merged, Dataset]":
    """The configuration of a run out of the file, the environment, the command line and the data set, which is loaded.

    Raises:
        LnasError: naming the source and the key that is wrong.
    """
    from lnas.host.assemble import resolve
    from lnas.host.config import read_toml
    from lnas.host.foreign import aside

    typed = dict(given(context))
    file = typed.pop(FILE, None)
    session = context.ensure_object(Session)
    with aside():
        return resolve(
            session.host(),
            file=None if file is None else read_toml(str(file)),
            environment=os.environ,
            command_line=typed,
        )


def _keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value is not None and value != () and parameter.name is not None:
        context.meta.setdefault(_META, {})[parameter.name] = value


def _names_of(kind: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Completes the name of a part; what follows a comma is the user's."""

    def names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        parts = context.find_root().ensure_object(Session).silent_host().registry.all(kind)
        return [CompletionItem(part.name, help=part.summary) for part in parts if part.name.startswith(incomplete)]

    return names
