"""The engine for one machine: as many trials at a time as it can bear, each in a process of its own."""

import queue
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeAlias

from lnas.builtin.executors import required
from lnas.builtin.process_words import of_work, to_outcome
from lnas.builtin.process_worker import Worker, started
from lnas.core.executor import Executor, Outcome, Work
from lnas.core.one_line import in_one_line

PATIENCE = 10.0
"""Seconds that workers have to end after `close`."""

CLOSED = Outcome("lost", "the executor was closed before a worker was free")

_Asked: TypeAlias = "tuple[Work, Future[Outcome]] | None"


class Process(Executor):
    """Several trials at a time, in processes of this machine, which share its memory and its devices.

    A process is started when it is needed, does one trial after the other, and is replaced where it dies.  It imports what this
    program can import, but not the program itself.  What a trial prints is not shown; where its process dies, the last line on
    standard error is part of the reason.  The processes end when this program does, in whatever way that comes about.

    Raises:
        ConfigError: where there is to be no worker.
    """

    _start = staticmethod(started)

    def __init__(self, workers: int) -> None:
        self.workers = required(workers)
        self._asked: queue.SimpleQueue[_Asked] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._alive: set[Worker] = set()
        self._open = 0
        self._closed = False

    def submit(self, work: Work) -> "Future[Outcome]":
        """Give it to a worker; where all are busy, to the first that is not.

        Raises:
            RuntimeError: after `close`.
        """
        future: Future[Outcome] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError(f"{work.name} was submitted to an executor that is closed")
            self._open += 1
            if len(self._threads) < min(self._open, self.workers):
                thread = threading.Thread(target=self._employ, daemon=True)  # a program that forgets to close can end
                self._threads.append(thread)
                thread.start()
        future.add_done_callback(self._settle)
        self._asked.put((work, future))
        return future

    def close(self) -> None:
        """End all workers: idle ones at once; a busy one is told with SIGTERM, and has 10 s before it is killed.

        Work that no worker has begun is "lost".
        """
        with self._lock:
            self._closed = True
            workers = tuple(self._alive)
        with suppress(queue.Empty):
            while asked := self._asked.get_nowait():
                if asked[1].set_running_or_notify_cancel():
                    asked[1].set_result(CLOSED)
        for worker in workers:
            worker.dismiss()
        end = time.monotonic() + PATIENCE
        for worker in workers:
            worker.end(end - time.monotonic())
        for _ in self._threads:
            self._asked.put(None)
        for thread in self._threads:
            thread.join()

    def _employ(self) -> None:
        """Hand work to one worker after the other, in a thread of ours, until there is no more."""
        worker: Worker | None = None
        while (asked := self._asked.get()) is not None:
            work, future = asked
            if not future.set_running_or_notify_cancel():
                continue
            try:
                worker, outcome = self._done(work, worker)
            except Exception as error:  # the system refuses a process: whoever waits has to hear of it
                worker, outcome = None, Outcome("lost", f"no worker can be had: {in_one_line(error)}")
            future.set_result(outcome)
        if worker is not None:
            worker.buried()

    def _done(self, work: Work, worker: Worker | None) -> tuple[Worker | None, Outcome]:
        """What came of a piece of work, and who can do the next one: None where that one has to be hired."""
        if (worker := worker or self._hired(work.threads)) is None:
            return None, CLOSED
        line = worker.ask(of_work(work))
        if line is not None:
            return worker, to_outcome(line)
        with self._lock:
            self._alive.discard(worker)
        return None, Outcome("lost", worker.buried())

    def _hired(self, threads: int) -> Worker | None:
        """A new worker; None after `close`."""
        with self._lock:
            if self._closed:
                return None
            worker = self._start(threads)
            self._alive.add(worker)
            return worker

    def _settle(self, future: "Future[Outcome]") -> None:
        with self._lock:
            self._open -= 1
