"""The executor: each trial is a task of Ray."""

import math
import threading
from concurrent.futures import Future, wait
from functools import partial
from typing import Annotated

import ray

import lnas
from lnas_ray.address import LOCAL, check_form
from lnas_ray.cluster import join, require_room
from lnas_ray.task import attempt, befallen

PATIENCE = 10.0
"""Seconds that workers have to end when they are killed."""

_CLOSED = lnas.Outcome("lost", "the executor was closed")


class Ray(lnas.Executor):
    """Trials as tasks, each in the main thread of one of Ray's worker processes, that are tried once.

    Where this program uses Ray already, `address=auto` is that one, and it stays as it is after `close`.

    Args:
        workers: trials at a time.

    Raises:
        ConfigError: where an option is out of range, nobody answers at the address, or no node has so many CPUs or GPUs.
    """

    def __init__(
        self,
        workers: int,
        *,
        address: Annotated[str, "HOST:PORT of a cluster's head node; auto: that of this machine; empty: start Ray here"] = LOCAL,
        gpus: Annotated[float, "GPUs of a trial; below 1 several trials share one"] = 0.0,
        cpus: Annotated[int, "CPUs of a trial; 0: as many as it has threads, and 1 where Ray is started here"] = 0,
    ) -> None:
        if workers < 1:
            raise lnas.ConfigError(f"workers must be at least 1, not {workers!r}")
        if not math.isfinite(gpus) or gpus < 0 or (gpus > 1 and gpus != int(gpus)):
            raise lnas.ConfigError(f"gpus must be a fraction of 1, or a whole number, of at least 0, not {gpus!r}")
        if cpus < 0:
            raise lnas.ConfigError(f"cpus must be at least 0, not {cpus!r}")
        check_form(address)
        self.workers = workers
        self._gpus = gpus
        self._cpus = cpus or (1 if address == LOCAL else 0)
        self._lock = threading.Lock()
        self._open: dict[Future[lnas.Outcome], ray.ObjectRef[lnas.Outcome]] = {}
        self._closed = False
        self._taken = False
        self._leave = join(address, workers * self._cpus)
        try:
            require_room(self._cpus or 1, gpus)
        except lnas.ConfigError:
            self._leave()
            raise
        self._task = ray.remote(attempt)

    def submit(self, work: lnas.Work) -> "Future[lnas.Outcome]":
        """Hand it to Ray, which begins it as soon as a node has room.

        Raises:
            ConfigError: of the first, where no node has as many CPUs as the work has threads; later on it is "lost".
            RuntimeError: after `close`.
        """
        cpus = self._cpus or work.threads
        future: Future[lnas.Outcome] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            if self._closed:
                raise RuntimeError(f"{work.name} was submitted to an executor that is closed")
            try:
                require_room(cpus, self._gpus)
            except lnas.ConfigError as error:
                if not self._taken:
                    raise
                future.set_result(lnas.Outcome("lost", str(error)))  # a node is away for a while
                return future
            self._taken = True
            ref = self._task.options(name=work.name, num_cpus=cpus, num_gpus=self._gpus, max_retries=0).remote(work)
            self._open[future] = ref
        ref.future().add_done_callback(partial(self._came, future))
        return future

    def close(self) -> None:
        """Kill the workers that are busy, and end the Ray that was started here; from any other only disconnect."""
        with self._lock:
            self._closed = True
            rest = dict(self._open)
        if rest and ray.is_initialized():
            for ref in rest.values():
                ray.cancel(ref, force=True)
            wait(rest, PATIENCE)
        self._leave()
        self._leave = _nothing
        for future in rest:
            self._settle(future, _CLOSED)

    def _came(self, future: "Future[lnas.Outcome]", task: "Future[lnas.Outcome]") -> None:
        error = task.exception()
        if error is None:
            self._settle(future, task.result())
        else:
            self._settle(future, _CLOSED if self._closed else befallen(error))

    def _settle(self, future: "Future[lnas.Outcome]", outcome: lnas.Outcome) -> None:
        """The first to settle it does, in one of Ray's threads or in `close`."""
        with self._lock:
            first = self._open.pop(future, None) is not None
        if first:
            future.set_result(outcome)


def _nothing() -> None:
    """What there is to leave once it has been left."""
