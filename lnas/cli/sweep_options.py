"""The options of how a sweep is run, which `lnas sweep` and `lnas reproduce` share, and what they may be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lnas.cli.limits import limits
from lnas.cli.place import SWEEPS

if TYPE_CHECKING:
    from lnas.host.spec import Spec

F = TypeVar("F", bound=Callable[..., object])

ALL = "all"
"""Every control that can be."""

_META = "lnas.sweeping"
_MOST = 10_000
"""Workers, threads and trials."""


def sweeping(command: F) -> F:
    """Decorate a command with the options; `given_how` tells what was typed."""
    flags = (
        ("as_json", "--json", "Print one line of JSON instead of tables."),
        ("dry_run", "--dry-run", "Build each row, measure a step, print the plan, write nothing."),
    )
    for name, flag, words in flags:
        command = click.option(flag, name, is_flag=True, expose_value=False, callback=_keep, help=words)(command)
    command = limits(command)
    whole, text = click.INT, click.STRING
    for name, kind, metavar, words in (
        ("max-trials", whole, "N", "Begin at most N trials now."),
        ("out", text, "DIR", f"Directory of the sweep.  [default: a name of its own in {SWEEPS}]"),
        ("threads", whole, "N", "Threads of torch in a trial.  [default: cores by workers; 1 on a cluster]"),
        ("workers", whole, "N", "Trials at a time.  [default: 1]"),
        ("executor", text, "SPEC", "Who runs them: serial, process, ray or slurm.  [default: process for several]"),
        ("controls", text, "NAME,...", "Controls behind each row they apply to, or all."),
        ("seeds", whole, "N", "Seeds of each row: 0 to N-1.  [default: 3]"),
    ):
        command = click.option(f"--{name}", type=kind, metavar=metavar, expose_value=False, callback=_keep, help=words)(command)
    return command


def given_how(context: click.Context) -> Mapping[str, object]:
    """What was typed, by option."""
    typed: Mapping[str, object] = context.meta.get(_META, {})
    return typed


def _keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value is not None and value is not False and parameter.name is not None:
        context.meta.setdefault(_META, {})[parameter.name] = value


@dataclass(frozen=True)
class How:
    """How a sweep is run, checked.

    Attributes:
        seeds: of each row.
        controls: by name.
        every: whether they are all there are, so that one that cannot be is left out.
        executor: who runs the trials, as it was typed.
        workers: trials at a time.
        threads: of torch in a trial; None where nobody says so.
        stopping: the rule that stops trials early.
        out: the directory of the sweep.
        max_trials: that are begun now.
        dry_run: whether nothing is run.
        as_json: whether a program reads what is printed.
    """

    seeds: int = 3
    controls: tuple[str, ...] = ()
    every: bool = False
    executor: str | None = None
    workers: int = 1
    threads: int | None = None
    stopping: str | None = None
    out: Path | None = None
    max_trials: int | None = None
    dry_run: bool = False
    as_json: bool = False

    @property
    def spec(self) -> "Spec":
        """The executor; where none is named, the processes of this machine for several workers."""
        from lnas.host.spec import Spec

        return Spec.parse(self.executor or ("process" if self.workers > 1 else "serial"))

    @classmethod
    def of(cls, typed: Mapping[str, Any]) -> "How":
        """From what was typed or a file says.

        Raises:
            ConfigError: naming what cannot be.
        """
        from lnas.core.errors import ConfigError
        from lnas.host.spec import shown
        from lnas.sweep.planning import SEEDS_AT_MOST

        for name, most in (("seeds", SEEDS_AT_MOST), ("workers", _MOST), ("threads", _MOST), ("max_trials", _MOST)):
            value = typed.get(name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most):
                raise ConfigError(f"{name.replace('_', '-')} must be a whole number from 1 to {most}, not {shown(value)}")
        for name in ("executor", "stopping", "out"):
            if not isinstance(typed.get(name, ""), str):
                raise ConfigError(f"{name} must be text, not {shown(typed[name])}")
        known = {
            name: typed[name] for name in ("seeds", "executor", "workers", "threads", "stopping", "max_trials") if name in typed
        }
        controls, every = _controls(typed.get("controls"))
        return cls(
            **known,
            controls=controls,
            every=every,
            out=Path(typed["out"]) if "out" in typed else None,
            dry_run=bool(typed.get("dry_run")),
            as_json=bool(typed.get("as_json")),
        )


def _controls(value: object) -> tuple[tuple[str, ...], bool]:
    """The names that were given, text with commas or a list of a file, in the order of the table; and whether all were."""
    from lnas.core.errors import ConfigError, UnknownNameError
    from lnas.host.spec import shown

    if value is None:
        return (), False
    from lnas.sweep.controls import CONTROLS

    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"controls must be names, as in random-mask,reinit, or all, not {shown(value)}")
    if list(names) == [ALL]:
        return tuple(CONTROLS), True
    for name in names:
        if name not in CONTROLS:
            raise UnknownNameError("control", name, [*CONTROLS, ALL])
    return tuple(name for name in CONTROLS if name in names), False
