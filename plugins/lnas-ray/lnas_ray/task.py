"""What a worker of Ray does, and what became of it as an outcome."""

import os
import signal
from dataclasses import replace

from ray.exceptions import RayTaskError, RuntimeEnvSetupError, TaskUnschedulableError

import lnas

MOST = 300
"""Characters of a reason."""

_AGAIN = (RayTaskError, RuntimeEnvSetupError, TaskUnschedulableError)
"""What a second try would meet again: an error of the program (lnas is not installed there), or of what was asked for."""


def attempt(work: lnas.Work) -> lnas.Outcome:
    """Do it, in the main thread of a worker.

    Outside a run, SIGTERM ends the worker, and so the work is lost: Ray's own handler raises an error inside of it, which
    would be taken for one of the work.
    """
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(work.threads)))  # Ray sets 1 for each CPU
    former = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        outcome = work.attempt()
    finally:
        signal.signal(signal.SIGTERM, former)
    return replace(outcome, figures=dict(outcome.figures))  # not every mapping can be sent


def befallen(error: BaseException) -> lnas.Outcome:
    """What Ray raises in place of an outcome: "failed" where a second try would meet it again, else "lost"."""
    cause = getattr(error, "cause", None) if isinstance(error, RayTaskError) else None
    shown = cause if isinstance(cause, BaseException) else error
    line = " ".join(str(shown).split())
    reason = f"{type(shown).__name__}: {line}" if line else type(shown).__name__
    return lnas.Outcome("failed" if isinstance(error, _AGAIN) else "lost", reason[:MOST])
