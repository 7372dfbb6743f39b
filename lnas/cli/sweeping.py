"""What `lnas sweep`, `lnas reproduce` and `lnas resume` share: the plan of a sweep, what it is checked for, and where it lies."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lnas.cli import output
from lnas.cli.limits import given_limits
from lnas.cli.place import SWEEPS
from lnas.cli.session import Session
from lnas.cli.sweep_options import ALL, How

if TYPE_CHECKING:
    from lnas.cli.sweep_plan import Preview
    from lnas.host.signals import Limits
    from lnas.host.spec import Spec
    from lnas.sweep.planned import PlannedRow, SweepPlan

OF_THIS_MACHINE = ("serial", "process")
"""Executors whose trials share the cores that are here; how many there are elsewhere is not known."""


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        planned: its rows.
        settings: of all rows, lists too, for sweep.toml.
        kind: "sweep" or "table1".
        scale: of a "table1".
    """

    planned: "Sequence[PlannedRow]"
    settings: Mapping[str, object]
    kind: str = "sweep"
    scale: str | None = None


def carry_out(context: click.Context, request: Request, how: Mapping[str, Any]) -> None:
    """Plan a sweep, run what is left of it, and report."""
    from lnas.cli.sweep_run import executing, run_what_is_left
    from lnas.host import toml
    from lnas.sweep.directory import SweepDirectory

    session, chosen = context.ensure_object(Session), How.of(how)
    ends = given_limits(context)
    _check_early(session, chosen)
    if chosen.dry_run:
        plan, path, preview = _settled(session, request, chosen)
        preview.show(plan, path, chosen.workers, there=SweepDirectory.check(path, plan), as_json=chosen.as_json)
        return
    with executing(session, chosen) as executor:  # first: a cluster that does not answer is told before the rows are built
        plan, path, _ = _settled(session, request, chosen)
        directory = SweepDirectory.create(path, plan, config=toml.dump(_written(request, chosen, plan)))
        run_what_is_left(session, executor, directory, plan, chosen, ends, command=session.command)


def go_on(session: Session, path: Path, ends: "Limits", *, as_json: bool) -> None:
    """Run what is left of the sweep at `path`, with the executor and as many workers as the last time.

    Raises:
        LnasError: where its files do not say how, or as `carry_out` does.
    """
    from lnas.cli.sweep_run import executing, run_what_is_left
    from lnas.core.errors import ConfigError, LnasError
    from lnas.sweep.call import Call
    from lnas.sweep.directory import SweepDirectory

    directory = SweepDirectory.open(path)
    plan, status = directory.plan(), directory.read_status()
    try:
        chosen = How.of({"as_json": as_json, **{key: status[key] for key in ("executor", "workers") if key in status}})
        _check_early(session, chosen)
    except LnasError as error:
        raise ConfigError(f"{directory.status}: {error}") from None
    said = Call.said(status)
    command, folder = (session.command, "") if said is None else (said.command, said.folder)
    if not os.path.isdir(folder):  # it came from another machine
        folder = ""
    with executing(session, chosen) as executor:
        run_what_is_left(session, executor, directory, plan, chosen, ends, command=command, folder=folder)


def warn_of_unread(keys: Sequence[str], who: str) -> None:
    """Say which LNAS_* variables are not read, for the command sets what they are about."""
    for key in keys:
        if os.environ.get(variable := f"LNAS_{key.upper()}", "").strip():
            output.warn(f"{variable} is not read by {who}, which sets {key} itself")


def _check_early(session: Session, how: How) -> None:
    """What is known to be wrong before a row is built.

    Raises:
        LnasError: for an executor that is not there, has no such option or not so many workers, a rule that does not exist, or
            a directory that cannot hold the sweep.
    """
    from lnas.core.errors import ConfigError
    from lnas.host.parts import factory
    from lnas.sweep.directory import SweepDirectory
    from lnas.sweep.stopping import rule

    registry, spec = session.host().registry, how.spec
    factory(registry, "executor", spec, seed=0)
    if how.workers > 1 and not getattr(registry.get("executor", spec.name).load(), "own_workers", True):
        raise ConfigError(
            f"workers must be 1, not {how.workers}: {spec.name} runs one trial at a time; choose the executor process"
        )
    rule(how.stopping)
    if how.out is not None:
        SweepDirectory.check_place(how.out)


def _settled(session: Session, request: Request, how: How) -> "tuple[SweepPlan, Path, Preview]":
    """The plan, with the threads that the sweep began with, whatever number of workers it has now; and its place."""
    threads = how.threads or _threads_of(how.out) or _threads(how.workers, how.spec)
    plan, notes, preview = _planned(session, request, how, threads)
    path = how.out or _place(plan)
    there = None if how.threads else _threads_of(path)
    if there not in (None, threads):
        plan, notes, preview = _planned(session, request, how, there or threads)
    for note in notes:
        output.warn(note)
    return plan, path, preview


def _planned(session: Session, request: Request, how: How, threads: int) -> "tuple[SweepPlan, Sequence[str], Preview]":
    from lnas.cli.sweep_plan import Preview
    from lnas.sweep.planning import Planner

    preview = Preview(measuring=how.dry_run, threads=threads)
    planner = Planner(session.host(), preview.look)
    plan = planner.plan(
        request.planned,
        seeds=how.seeds,
        controls=how.controls,
        lenient=how.every,
        threads=threads,
        kind=request.kind,
        scale=request.scale,
        stopping=how.stopping,
    )
    return plan, planner.notes, preview


def _threads(workers: int, executor: "Spec") -> int:
    """Of each trial: the cores of this machine shared out, one of them left alone; 1 where trials run elsewhere."""
    from lnas.host.prune_lines import short

    if short(executor.name) not in OF_THIS_MACHINE:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, (cores - 1) // workers)


def _threads_of(path: Path | None) -> int | None:
    """Those of the sweep at a place; None where there is none."""
    from lnas.sweep.directory import SweepDirectory

    return SweepDirectory.open(path).plan().threads if path is not None and SweepDirectory.is_one(path) else None


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
    return Path(SWEEPS) / f"{re.sub(r'[^A-Za-z0-9._]+', '-', stem)[:48]}-{mark}"


def _written(request: Request, how: How, plan: "SweepPlan") -> dict[str, object]:
    """What sweep.toml holds: with it, `lnas sweep --config` or `lnas reproduce table1 --config` makes the sweep again."""
    begins = {"reproduce": request.kind, "scale": request.scale} if request.kind != "sweep" else {}
    how_toml: dict[str, object] = {"seeds": how.seeds, "threads": plan.threads, "stopping": how.stopping}
    if how.controls:
        how_toml["controls"] = [ALL] if how.every else list(how.controls)
    return {**begins, **how_toml, **request.settings}
