"""What `lnas sweep` and `lnas reproduce` share: the options of how it is run, the plan, the trials, the report."""

import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lnas.cli import output
from lnas.cli.limits import given_limits, limits
from lnas.cli.session import Session

if TYPE_CHECKING:
    from lnas.core.executor import Executor
    from lnas.host.layers import Layer
    from lnas.host.signals import Limits
    from lnas.host.spec import Spec
    from lnas.sweep.directory import SweepDirectory
    from lnas.sweep.engine import Counts, Told
    from lnas.sweep.planned import PlannedRow, SweepPlan

F = TypeVar("F", bound=Callable[..., object])

FOLDER = "sweeps"
"""Where sweeps lie, unless --out says otherwise."""

_META = "lnas.sweeping"


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        planned: its rows.
        settings: of all rows, lists too, for sweep.toml.
        file: what a configuration file says of every trial.
        kind: "sweep" or "table1".
        scale: of a "table1".
    """

    planned: "Sequence[PlannedRow]"
    settings: Mapping[str, object]
    file: "Layer | None" = None
    kind: str = "sweep"
    scale: str | None = None


def sweeping(command: F) -> F:
    """Decorate a command with the options of how a sweep is run; `given_how` tells what was typed."""
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
        ("out", text, "DIR", f"Directory of the sweep.  [default: a name of its own in {FOLDER}]"),
        ("threads", whole, "N", "Threads of torch in a trial.  [default: cores by workers]"),
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
class _How:
    """How a sweep is run, checked."""

    seeds: int = 3
    controls: tuple[str, ...] = ()
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
    def of(cls, typed: Mapping[str, Any]) -> "_How":
        """From what was typed or a file says.

        Raises:
            ConfigError: naming what cannot be.
        """
        from lnas.core.errors import ConfigError
        from lnas.host.spec import shown

        for name in ("seeds", "workers", "threads", "max_trials"):
            value = typed.get(name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10_000):
                raise ConfigError(f"{name.replace('_', '-')} must be a whole number from 1 to 10000, not {shown(value)}")
        for name in ("executor", "stopping", "out"):
            if not isinstance(typed.get(name, ""), str):
                raise ConfigError(f"{name} must be text, not {shown(typed[name])}")
        known = {
            name: typed[name] for name in ("seeds", "executor", "workers", "threads", "stopping", "max_trials") if name in typed
        }
        return cls(
            **known,
            controls=_controls(typed.get("controls")),
            out=Path(typed["out"]) if "out" in typed else None,
            dry_run=bool(typed.get("dry_run")),
            as_json=bool(typed.get("as_json")),
        )


def carry_out(context: click.Context, request: Request, how: Mapping[str, Any]) -> None:
    """Plan a sweep, run what is left of it, and report."""
    from lnas.cli.sweep_plan import Preview
    from lnas.host import toml
    from lnas.sweep.directory import SweepDirectory
    from lnas.sweep.planning import Planner

    session, chosen = context.ensure_object(Session), _How.of(how)
    ends = given_limits(context)
    _check_early(session, chosen)
    preview = Preview(measuring=chosen.dry_run)
    planner = Planner(session.host(), request.file, dict(os.environ), preview.look)
    plan = planner.plan(
        request.planned,
        seeds=chosen.seeds,
        controls=chosen.controls,
        threads=chosen.threads or _threads(chosen.workers),
        kind=request.kind,
        scale=request.scale,
        stopping=chosen.stopping,
    )
    path = chosen.out or _place(plan)
    plan = _with_threads_of(path, plan, chosen.threads)
    SweepDirectory.check(path, plan)
    if chosen.dry_run:
        preview.show(plan, path, chosen.workers, as_json=chosen.as_json)
        return
    command = " ".join(shlex.quote(word) for word in ("lnas", *session.arguments))
    with _executor(session, chosen) as executor:
        directory = SweepDirectory.create(path, plan, config=toml.dump(_written(request, chosen, plan, command)))
        with directory.locked():
            counts = _run(session, directory, plan, executor, chosen, ends, command)
    _report(session, directory, counts, as_json=chosen.as_json)


def _check_early(session: Session, how: _How) -> None:
    """What is known to be wrong before a row is built.

    Raises:
        LnasError: for an executor that is not there, a rule that does not exist, or a directory that cannot hold the sweep.
    """
    from lnas.sweep.directory import SweepDirectory
    from lnas.sweep.stopping import rule

    session.host().registry.get("executor", how.spec.name)
    rule(how.stopping)
    if how.out is not None:
        SweepDirectory.check_place(how.out)


def _controls(value: object) -> tuple[str, ...]:
    """The names that were given: text with commas, or a list of a file."""
    from lnas.core.errors import ConfigError, UnknownNameError
    from lnas.host.spec import shown

    if value is None:
        return ()
    from lnas.sweep.controls import CONTROLS

    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"controls must be names, as in random-mask,reinit, or all, not {shown(value)}")
    if list(names) == ["all"]:
        return tuple(CONTROLS)
    for name in names:
        if name not in CONTROLS:
            raise UnknownNameError("control", name, [*CONTROLS, "all"])
    return tuple(name for name in CONTROLS if name in names)


def _threads(workers: int) -> int:
    """Of each trial: the cores shared out, one of them left alone."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, (cores - 1) // workers)


def _place(plan: "SweepPlan") -> Path:
    """A directory that the same plan always gets, so that the same command goes on with it."""
    import hashlib
    import json
    import re

    settled = {**plan.to_json(), "threads": None}
    mark = hashlib.sha256(json.dumps(settled, sort_keys=True).encode()).hexdigest()[:8]
    stem = plan.kind if plan.scale is None else f"{plan.kind}-{plan.scale}"
    if plan.kind == "sweep":
        stem = "-".join(dict.fromkeys(row.recipe for row in plan.rows))
    return Path(FOLDER) / f"{re.sub(r'[^A-Za-z0-9._]+', '-', stem)[:48]}-{mark}"


def _with_threads_of(path: Path, plan: "SweepPlan", given: int | None) -> "SweepPlan":
    """A sweep goes on with the threads it began with, whatever number of workers it has now."""
    from lnas.sweep.directory import SweepDirectory

    if given is None and SweepDirectory.is_one(path):
        return replace(plan, threads=SweepDirectory.open(path).plan().threads)
    return plan


def _written(request: Request, how: _How, plan: "SweepPlan", command: str) -> dict[str, object]:
    """What sweep.toml holds: with it, `lnas sweep --config` makes the sweep again."""
    from lnas.host.layers import from_environment
    from lnas.sweep.axes import NOT_OF_A_TRIAL

    sources = [from_environment(os.environ).values, request.file.values if request.file else {}]
    fixed = {key: _plain(value) for source in reversed(sources) for key, value in source.items() if key not in NOT_OF_A_TRIAL}
    how_toml: dict[str, object] = {"seeds": how.seeds, "threads": plan.threads, "stopping": how.stopping}
    if how.controls:
        how_toml["controls"] = list(how.controls)
    begins = {"reproduce": request.kind, "scale": request.scale, "command": command} if request.kind != "sweep" else {}
    return {**begins, **how_toml, **fixed, **request.settings}


def _plain(value: object) -> object:
    """As TOML holds it."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return value if isinstance(value, bool | int | float | str) else str(value)


@contextmanager
def _executor(session: Session, how: _How) -> "Iterator[Executor]":
    """Who runs the trials; ended with the block."""
    from lnas.host.blame import attributing
    from lnas.host.contract import checked_executor
    from lnas.host.parts import factory

    registry = session.host().registry
    with attributing(lambda: [registry.get("executor", how.spec.name)]):
        made = checked_executor(factory(registry, "executor", how.spec, seed=0)(how.workers), how.workers)
    try:
        yield made
    finally:
        made.close()


def _run(
    session: Session,
    directory: "SweepDirectory",
    plan: "SweepPlan",
    executor: "Executor",
    how: _How,
    ends: "Limits",
    command: str,
) -> "Counts":
    from lnas.cli.sweep_progress import watching
    from lnas.sweep.engine import Engine, Surroundings

    surroundings = Surroundings(
        os.getcwd(),
        ("lnas", *session.arguments),
        session.no_plugins,
        session.disable,
        tuple(str(file.absolute()) for file in session.files),
    )
    before, began = directory.seconds(), time.monotonic()

    def note(state: str) -> None:
        seconds = before + time.monotonic() - began
        directory.write_status(state, seconds=seconds, workers=executor.workers, command=command)

    state = "interrupted"
    note("running")
    try:
        with watching(directory, plan, executor.workers) as tell:

            def told(event: "Told") -> None:
                tell(event)
                if event.what != "began":
                    note("running")

            counts = Engine(directory, plan, executor, surroundings, told, ends, how.max_trials).run(command)
        state = "interrupted" if counts.left else "failed" if counts.failed else "finished"
        return counts
    finally:
        note(state)


def _report(session: Session, directory: "SweepDirectory", counts: "Counts", *, as_json: bool) -> None:
    """Print the table, write the report, and say what is missing."""
    from lnas.cli.sweep_table import tell
    from lnas.core.errors import RunError
    from lnas.report.sweep_files import write

    written = write(directory.path)
    tell(directory.path, as_json=as_json)
    say = output.note if as_json else output.text
    say(f"Report: {written}")
    if counts.left:
        say(f"{counts.left} trial{'s' * (counts.left != 1)} left; the same command goes on")
    if counts.failed:
        total = sum(vars(counts).values())
        error = RunError(f"{counts.failed} of {total} trials failed; {written} says why; the same command tries them again")
        error.exit_code = 3
        raise error
