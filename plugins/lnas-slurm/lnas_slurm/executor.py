"""The executor: each trial is a job."""

import math
import threading
import time as clock
from concurrent.futures import Future
from pathlib import Path
from typing import Annotated, get_args

import lnas
from lnas_slurm.ended import Job, cancel, is_over, lost, outcome_of
from lnas_slurm.engine import Cluster, Wanted, made, prepare, submitit
from lnas_slurm.job import attempt
from lnas_slurm.limit import minutes_of

LATE = 15.0
"""Seconds that the result of a job may take to be seen on this machine after its end, with Slurm."""
PATIENCE = 10.0
"""Seconds that jobs on this machine have to end after `close`, before they are killed, and after that."""
PATIENCE_OF_SLURM = 60.0
"""Seconds after which jobs of Slurm are left to it: it kills a job 30 s after it was cancelled, or as it is configured."""

_CLOSED = lnas.Outcome("lost", "the executor was closed")


class Slurm(lnas.Executor):
    """Trials as jobs, one each, that are tried once; submitit submits them, and a thread of ours looks what became of them.

    Args:
        workers: jobs at a time, those that wait in the queue among them.

    Raises:
        ConfigError: where an option is out of range, there is no Slurm, or the folder cannot be made.
    """

    def __init__(
        self,
        workers: int,
        *,
        partition: Annotated[str, "where jobs run; empty: Slurm's default"] = "",
        time: Annotated[str, "limit of a job: 90 (minutes), 2h30m, 1-12:00:00; empty: the partition's"] = "",
        gpus: Annotated[int, "GPUs of a job"] = 0,
        memory: Annotated[float, "memory of a job in GB; 0: Slurm's default"] = 0.0,
        account: Annotated[str, "who pays"] = "",
        qos: Annotated[str, "quality of service"] = "",
        logs: Annotated[str, "folder of jobs' scripts, logs and results; every node has to see it"] = "slurm-logs",
        cluster: Annotated[Cluster, "slurm; local: processes of this machine; debug: this process"] = "slurm",
        poll: Annotated[float, "seconds between two looks at the jobs"] = 5.0,
    ) -> None:
        if workers < 1:
            raise lnas.ConfigError(f"workers must be at least 1, not {workers!r}")
        if gpus < 0:
            raise lnas.ConfigError(f"gpus must be at least 0, not {gpus!r}")
        if not 0 <= memory < math.inf:
            raise lnas.ConfigError(f"memory must be GB, at least 0, not {memory!r}")
        if not 0 < poll < math.inf:
            raise lnas.ConfigError(f"poll must be seconds above 0, not {poll!r}")
        if cluster not in get_args(Cluster):
            raise lnas.ConfigError(f"cluster must be one of {', '.join(get_args(Cluster))}, not {cluster!r}")
        if cluster == "debug" and workers > 1:
            raise lnas.ConfigError(f"workers must be 1 with cluster=debug, which does one job after the other, not {workers}")
        minutes = minutes_of(time) if time else 0
        self.workers = workers
        self._wanted = Wanted(partition, minutes, gpus, math.ceil(memory * 1024), account, qos)
        self._cluster, self._poll = cluster, poll
        self._engine = None if cluster == "debug" else made(cluster, Path(logs).expanduser().absolute())
        self._lock = threading.Lock()
        self._open: dict[Future[lnas.Outcome], Job] = {}
        self._over: dict[Future[lnas.Outcome], float] = {}  # since when, of jobs whose result is not seen
        self._taken = False
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)  # a program that forgets to close may end
        self._watcher.start()

    def submit(self, work: lnas.Work) -> "Future[lnas.Outcome]":
        """Submit a job; with `debug` do it now.

        A job that Slurm does not take is lost where it took others before: its controller may be down for a moment.

        Raises:
            ConfigError: where Slurm does not take the first one.
            RuntimeError: after `close`.
        """
        future: Future[lnas.Outcome] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            if self._closing.is_set():
                raise RuntimeError(f"{work.name} was submitted to an executor that is closed")
            if self._engine is None:
                future.set_result(work.attempt())
                return future
            prepare(self._engine, self._wanted, work)
            try:
                job = self._engine.submit(attempt, work)
            except (OSError, RuntimeError) as error:  # submitit's are RuntimeErrors
                reason = f"the job was not taken: {' '.join(str(error).split())}"
                if not self._taken:
                    raise lnas.ConfigError(f"{reason}; look at partition, time, gpus, memory, account and qos") from error
                future.set_result(lnas.Outcome("lost", reason))
                return future
            self._taken = True
            self._open[future] = job
        return future

    def close(self) -> None:
        """Cancel the jobs that are not done.

        Each is told with SIGTERM, by which a run saves a checkpoint, and killed where it does not end: after 10 s on this
        machine, and by Slurm after the time that it is configured to wait (30 s).
        """
        with self._lock:
            self._closing.set()
        self._watcher.join()
        rest = dict(self._open)
        jobs = [job for job in rest.values() if not is_over(job)]
        if self._cluster == "slurm":
            self._end(jobs, PATIENCE_OF_SLURM)
        else:
            self._end(self._end(jobs, PATIENCE), PATIENCE, kill=True)
        for future, job in rest.items():
            self._settle(future, outcome_of(job) or _CLOSED)

    def _end(self, jobs: list[Job], seconds: float, *, kill: bool = False) -> list[Job]:
        """Cancel jobs, and wait until they have ended; those that have not in time."""
        for job in jobs:
            cancel(job, kill=kill)
        until = clock.monotonic() + seconds
        while jobs and clock.monotonic() < until:
            clock.sleep(min(self._poll, 1.0))
            jobs = [job for number, job in enumerate(jobs) if not is_over(job, now=not number)]
        return jobs

    def _watch(self) -> None:
        while not self._closing.wait(self._poll):
            for future, job in list(self._open.items()):
                try:
                    self._look(future, job)
                except OSError:
                    continue  # the file system has a moment, and the job goes on
                except Exception as error:
                    self._settle(future, lnas.Outcome("lost", f"job {job.job_id}: {' '.join(repr(error).split())}"))

    def _look(self, future: "Future[lnas.Outcome]", job: Job) -> None:
        over = is_over(job)  # before the result is looked for, which may come in between
        outcome = outcome_of(job)
        if outcome is None and over:
            late = LATE if isinstance(job, submitit.SlurmJob) else 0
            if clock.monotonic() - self._over.setdefault(future, clock.monotonic()) >= late:
                outcome = lost(job)
        if outcome is not None:
            self._settle(future, outcome)

    def _settle(self, future: "Future[lnas.Outcome]", outcome: lnas.Outcome) -> None:
        self._over.pop(future, None)
        if self._open.pop(future, None) is not None:
            future.set_result(outcome)
