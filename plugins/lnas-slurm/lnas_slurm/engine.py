"""submitit's executors: Slurm itself, and processes of this machine to try things out."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import lnas

_LEVEL = "SUBMITIT_LOG_LEVEL"
_told = os.environ.get(_LEVEL)
os.environ.setdefault(_LEVEL, "CRITICAL")  # read when it is imported: it would log to standard output
import submitit as submitit  # noqa: E402  # the other modules take it from here

if _told is None:
    del os.environ[_LEVEL]

Cluster: TypeAlias = Literal["slurm", "local", "debug"]
COMMANDS = ("sbatch", "srun", "sacct", "scancel")
NOTICE = 90
"""Seconds between Slurm's signal and the limit."""
UNLIMITED = 365 * 24 * 60
"""Minutes that a process of this machine has where there is no limit; submitit's own default is 2."""


@dataclass(frozen=True)
class Wanted:
    """What every job asks for; 0 and "" stand for what Slurm does by itself.

    Attributes:
        partition: where it runs.
        minutes: its limit.
        gpus: how many.
        megabytes: of memory.
        account: who pays.
        qos: the quality of service.
    """

    partition: str = ""
    minutes: int = 0
    gpus: int = 0
    megabytes: int = 0
    account: str = ""
    qos: str = ""


def require_slurm() -> None:
    """Refuse a machine that cannot submit a job, or cannot say what became of one.

    Raises:
        ConfigError: naming what is missing.
    """
    advice = "start the sweep where jobs are submitted from, or set cluster=local to try it on this machine"
    missing = [command for command in COMMANDS if shutil.which(command) is None]
    if missing:
        raise lnas.ConfigError(f"cluster=slurm needs {', '.join(COMMANDS)}; there is no {', no '.join(missing)} here; {advice}")
    asked = ["sacct", "--noheader", "--starttime", "now"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=60)
        fault = "" if done.returncode == 0 else done.stderr.strip() or f"exit status {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        fault = str(error)
    if fault:
        raise lnas.ConfigError(f"cluster=slurm needs sacct to say what became of a job: {' '.join(fault.split())}; {advice}")


def made(cluster: Literal["slurm", "local"], folder: Path) -> submitit.Executor:
    """An executor whose files are in the folder, which is made.

    Raises:
        ConfigError: where that cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise lnas.ConfigError(f"logs={folder} cannot be made: {error.strerror}; name a folder that every node sees") from None
    if cluster == "slurm":
        require_slurm()
        return submitit.SlurmExecutor(folder)
    return submitit.LocalExecutor(folder)


def prepare(executor: submitit.Executor, wanted: Wanted, work: lnas.Work) -> None:
    """Set what the next job asks for."""
    if isinstance(executor, submitit.LocalExecutor):
        executor.update_parameters(timeout_min=wanted.minutes or UNLIMITED, gpus_per_node=wanted.gpus)
    elif isinstance(executor, submitit.SlurmExecutor):
        executor.update_parameters(
            job_name=re.sub(r"[^\w.=+-]+", "_", work.name, flags=re.ASCII),
            partition=wanted.partition or None,
            time=wanted.minutes or None,
            gpus_per_node=wanted.gpus or None,
            mem=f"{wanted.megabytes}M" if wanted.megabytes else None,
            account=wanted.account or None,
            qos=wanted.qos or None,
            nodes=1,
            ntasks_per_node=1,
            cpus_per_task=work.threads,
            srun_args=[f"--cpus-per-task={work.threads}"],  # since Slurm 22.05 srun does not take it from sbatch
            signal_delay_s=NOTICE,
            wckey=None,  # submitit's own is refused where keys are checked
            additional_parameters={"no-requeue": True},  # who submitted decides whether to try again
        )
