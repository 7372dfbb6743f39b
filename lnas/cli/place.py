"""Which run a user means: a path, a name, or `latest`."""

import os
from pathlib import Path

OUT = "runs"
"""The folder of all runs, unless LNAS_OUT names another."""


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
        RunError: where it is "latest", and there is no run.
    """
    from lnas.host.rundir import RunDirectory

    if run == "latest":
        return RunDirectory.latest(folder()).path
    path = Path(run)
    if not os.path.lexists(path) and path.name == run and os.path.lexists(folder() / run):
        path = folder() / run
    return path


def folder() -> Path:
    """The folder of all runs."""
    return Path(os.environ.get("LNAS_OUT", "").strip() or OUT)
