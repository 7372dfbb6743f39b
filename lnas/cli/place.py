"""Which run or sweep a user means: a path, a name, or `latest`."""

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

OUT = "runs"
"""The folder of all runs, unless LNAS_OUT names another."""
SWEEPS = "sweeps"
"""The folder of all sweeps."""
LATEST = "latest"
WHAT_RUN_IS = (
    f"RUN is a directory, the name of a run in LNAS_OUT or {OUT}, or `{LATEST}`: the one there whose status changed last."
)
WHAT_EITHER_IS = (
    f"RUN is a directory, the name of a run in LNAS_OUT or {OUT} or of a sweep in {SWEEPS}, or `{LATEST}`: the one there whose"
    " status changed last."
)

F = TypeVar("F", bound=Callable[..., Any])


def of_a_run(command: F) -> F:
    """Give a command the argument RUN, and say at the end of its help what that may be."""
    return _told(command, WHAT_RUN_IS)


def of_a_run_or_sweep(command: F) -> F:
    """The same for a command that asks `found_sweep` first."""
    return _told(command, WHAT_EITHER_IS)


def _told(command: F, what: str) -> F:
    command.__doc__ = f"{inspect.getdoc(command)}\n\n{what}"
    return click.argument("run")(command)


def found(run: str) -> Path:
    """The directory of a run.

    Args:
        run: a path, the name of a run in LNAS_OUT or runs, or "latest": the one there whose status changed last.

    Raises:
        RunError: where there is no run.
    """
    from lnas.host.rundir import RunDirectory

    return RunDirectory.open(meant(run)).path


def meant(run: str) -> Path:
    """Where the run would be that a user names as in `found`; nothing need be there.

    Raises:
        RunError: where a sweep is there, or it is "latest", and there is no run.
    """
    from lnas.core.errors import RunError
    from lnas.host.rundir import RunDirectory
    from lnas.sweep.directory import SweepDirectory

    if run == LATEST:
        return RunDirectory.latest(folder()).path
    path = _named(run)
    if SweepDirectory.is_one(path):
        raise RunError(f"{path} is a sweep; name one of its runs, which are in {path / 'trials'}")
    return path


def found_sweep(run: str) -> Path | None:
    """The directory of a sweep, where it is one that is named: by its path, its name in sweeps, or "latest"."""
    from lnas.core.errors import RunError
    from lnas.host.rundir import RunDirectory, changed
    from lnas.sweep.directory import SweepDirectory

    if run != LATEST:
        path = _named(run)
        return path if SweepDirectory.is_one(path) else None
    sweep = SweepDirectory.latest(Path(SWEEPS))
    if sweep is None:
        return None
    try:
        other = RunDirectory.latest(folder())
    except RunError:
        return sweep.path
    return sweep.path if changed(sweep.status) > changed(other.status) else None


def _named(run: str) -> Path:
    path = Path(run)
    if path.name == run and not os.path.lexists(path):
        return next((place / run for place in (folder(), Path(SWEEPS)) if os.path.lexists(place / run)), path)
    return path


def folder() -> Path:
    """The folder of all runs."""
    return Path(os.environ.get("LNAS_OUT", "").strip() or OUT)
