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

    out = Path(os.environ.get("LNAS_OUT", "").strip() or OUT)
    if run == "latest":
        return RunDirectory.latest(out).path
    path = Path(run)
    if not path.exists() and path.name == run and (out / run).exists():
        path = out / run
    return RunDirectory.open(path).path
