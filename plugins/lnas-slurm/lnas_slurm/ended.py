"""What became of a job."""

import os
import signal
from pathlib import Path
from typing import Any, TypeAlias

import lnas
from lnas_slurm.engine import submitit

MOST = 300
"""Characters of a reason."""

Job: TypeAlias = "submitit.Job[Any]"


def is_over(job: Job, *, now: bool = False) -> bool:
    """Whether it has ended, in any way.

    Args:
        job: of submitit, which asks Slurm seldom, the longer a job takes.
        now: ask at once, for all jobs.
    """
    if job.done(force_check=now):
        return True
    return not isinstance(job, submitit.LocalJob) and job.state.startswith("PREEMPTED")  # it is not begun again: --no-requeue


def outcome_of(job: Job) -> lnas.Outcome | None:
    """The outcome that it left behind; None where there is none."""
    if not job.paths.result_pickle.exists():
        return None
    try:
        outcome = job.result()
    except Exception:  # what was raised there, or could not be read
        return lnas.Outcome("failed", _cut(_last(job.paths.stderr) or "the job failed"))
    return outcome if isinstance(outcome, lnas.Outcome) else lnas.Outcome("failed", f"the job gave {_cut(repr(outcome))}")


def lost(job: Job) -> lnas.Outcome:
    """The outcome of a job that left none: what Slurm says of it, and the last that it said itself."""
    state = "the process ended" if isinstance(job, submitit.LocalJob) else job.state
    return lnas.Outcome("lost", _cut(": ".join(filter(None, (f"job {job.job_id}: {state}", _last(job.paths.stderr))))))


def cancel(job: Job, *, kill: bool = False) -> None:
    """Tell it to end; a process of this machine is killed only where asked for."""
    if isinstance(job, submitit.LocalJob) and not kill:
        os.kill(int(job.job_id), signal.SIGTERM)  # it is passed on to the trial; submitit's way would kill that after 1 s
    else:
        job.cancel(check=False)


def _last(path: Path) -> str:
    """The last line of a file; "" where there is none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _cut(text: str) -> str:
    return " ".join(text.split())[:MOST]
