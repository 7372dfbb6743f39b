"""Which run a user means: a path, a name, or `latest`."""

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

OUT = "runs"
"""The folder of all runs, unless LNAS_OUT names another."""
LATEST = "latest"
WHAT_RUN_IS = (
    f"RUN is a directory, the name of a run in LNAS_OUT or {OUT}, or `{LATEST}`: the one there whose status changed last."
)

F = TypeVar("F", bound=Callable[..., Any])


def of_a_run(command: F) -> F:
    """Give a command the argument RUN, and say at the end of its help what that may be."""
    command.__doc__ = f"{inspect.getdoc(command)}\n\n{WHAT_RUN_IS}"
    return click.argument("run")(command)


def found(run: str) -> Path:
    """The directory of a run.

    Args:
        run: a path, the name of a run in LNAS_OUT or runs, or "latest": the one there whose status changed last.

    Raises:
        RunError: where there is no run.
    """
    from lnas.core.errors import RunError
    from lnas.host.rundir import RunDirectory
    from lnas.sweep.directory import SweepDirectory

    path = meant(run)
    if SweepDirectory.is_one(path):
        raise RunError(f"{path} is a sweep; name one of its runs, which are in {path / 'trials'}")
    return RunDirectory.open(path).path


def meant(run: str) -> Path:
    """Where the run would be that a user names as in `found`; nothing need be there.

    Raises:
        RunError: where it is "latest", and there is no run.
    """
    from lnas.host.rundir import RunDirectory

    if run == LATEST:
        return RunDirectory.latest(folder()).path
    path = Path(run)
    if not os.path.lexists(path) and path.name == run and os.path.lexists(folder() / run):
        path = folder() / run
    return path


def folder() -> Path:
    """The folder of all runs."""
    return Path(os.environ.get("LNAS_OUT", "").strip() or OUT)
