"""Runs what is left of a sweep that is planned, and reports what came of it, also where it was stopped."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lnas.cli import output
from lnas.cli.session import Session
from lnas.cli.sweep_options import How

if TYPE_CHECKING:
    from lnas.core.executor import Executor
    from lnas.host.signals import Limits
    from lnas.sweep.directory import SweepDirectory
    from lnas.sweep.planned import SweepPlan
    from lnas.sweep.told import Counts, SweepInterrupted, Told

FAILED = 3
"""Exit code where a trial has failed."""


def run_what_is_left(
    session: Session,
    executor: "Executor",
    directory: "SweepDirectory",
    plan: "SweepPlan",
    how: How,
    ends: "Limits",
    *,
    command: str,
    folder: str = "",
) -> None:
    """Run it, print the table, write the report, and say what is missing.

    Args:
        session: of this call.
        executor: who runs the trials; closed before the report is written.
        directory: of the sweep.
        plan: what it runs.
        how: it is run.
        ends: what stops it, beside SIGINT and SIGTERM.
        command: what was typed, at first.
        folder: where relative paths begin; "" for here.

    Raises:
        SweepInterrupted: where it was stopped.
        RunError: with exit code 3, where trials have failed.
    """
    from lnas.sweep.figures import count

    output.note(f"{count(len(plan.trials), 'trial')} of {count(len(plan.rows), 'row')}, in {directory.path}")
    with directory.locked():
        counts, stopped = _run(session, directory, plan, executor, how, ends, command, folder or os.getcwd())
    executor.close()
    if stopped is not None:
        _report_stopped(directory, counts, stopped, as_json=how.as_json)
    _report(directory, counts, as_json=how.as_json)


@contextmanager
def executing(session: Session, how: How) -> "Iterator[Executor]":
    """Who runs the trials; ended with the block.

    Raises:
        ConfigError: where there is nobody who could.
    """
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
    how: How,
    ends: "Limits",
    command: str,
    folder: str,
) -> "tuple[Counts, SweepInterrupted | None]":
    """How the trials stand after this call, and what stopped it."""
    from lnas.cli.sweep_progress import watching
    from lnas.sweep.call import Call
    from lnas.sweep.engine import Engine
    from lnas.sweep.told import SweepInterrupted
    from lnas.sweep.work import Surroundings

    surroundings = Surroundings(
        folder,
        ("lnas", *session.arguments),
        session.no_plugins,
        session.disable,
        tuple(str(file.absolute()) for file in session.files),
    )
    before, start = directory.seconds(), time.monotonic()
    said = Call.said(directory.read_status())
    call = here = Call(str(how.spec), executor.workers, executor.workers, command, folder).after(said)
    if said is not None:
        call = said  # until something is run in another way

    def note(state: str) -> None:
        directory.write_status(state, seconds=before + time.monotonic() - start, call=call)

    state, stopped = "interrupted", None
    note("running")
    try:
        with watching(directory, plan, executor.workers) as tell:

            def told(event: "Told") -> None:
                nonlocal call
                tell(event)
                if (began := event.what == "began") and call == here:
                    return
                call = here if began else call
                note("running")

            engine = Engine(directory, plan, executor, surroundings, told, ends, how.max_trials)
            try:
                engine.run(session.command)
            except SweepInterrupted as error:
                stopped = error
        counts = engine.counts()
        state = "interrupted" if counts.left else "failed" if counts.failed else "finished"
        return counts, stopped
    finally:
        note(state)


def _report_stopped(directory: "SweepDirectory", counts: "Counts", stopped: "SweepInterrupted", *, as_json: bool) -> NoReturn:
    """Write what there is so far, and go on with what stopped the sweep.

    Raises:
        SweepInterrupted: the one that was given.
        RunError: where trials have failed, which its exit code 0 would hide.
    """
    from lnas.cli.sweep_table import tell
    from lnas.core.errors import LnasError
    from lnas.report.sweep_files import write

    try:
        written = write(directory.path)
    except LnasError as error:  # why it ends matters more
        output.warn(str(error))
        raise stopped from error
    if as_json:
        tell(directory.path, as_json=True)
    output.note(f"Report: {written}")
    if counts.failed and not stopped.exit_code:
        output.note(f"lnas: {stopped}")
        raise _failed(counts, written)
    raise stopped


def _report(directory: "SweepDirectory", counts: "Counts", *, as_json: bool) -> None:
    """Print the table, write the report, and say what is missing."""
    from lnas.cli.sweep_table import tell
    from lnas.report.sweep_files import write
    from lnas.sweep.figures import count

    written = write(directory.path)
    tell(directory.path, as_json=as_json)
    say = output.note if as_json else output.text
    say(f"Report: {written}")
    if counts.left:
        say(f"{count(counts.left, 'trial')} left; the same command goes on")
    if counts.failed:
        raise _failed(counts, written)


def _failed(counts: "Counts", written: Path) -> Exception:
    from lnas.core.errors import RunError

    total = sum(vars(counts).values())
    error = RunError(f"{counts.failed} of {total} trials failed; {written} says why; the same command tries them again")
    error.exit_code = FAILED
    return error
