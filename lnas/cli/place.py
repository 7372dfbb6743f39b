"""Which run a user means: a path, or `latest`."""

import os
from pathlib import Path

OUT = "runs"
"""The folder of all runs, unless LNAS_OUT names another."""


def found(run: str) -> Path:
    """The directory of a run.

    Args:
        run: a path, or "latest": the run whose status changed last, of those in LNAS_OUT or runs.

    Raises:
        RunError: where there is no run.
    """
    from lnas.host.rundir import RunDirectory

    if run == "latest":
        return RunDirectory.latest(Path(os.environ.get("LNAS_OUT", "").strip() or OUT)).path
    return RunDirectory.open(Path(run)).path
