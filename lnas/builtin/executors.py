"""The engine that every machine has: one trial after the other, in this process."""

from concurrent.futures import Future
from typing import ClassVar

from lnas.core.errors import ConfigError
from lnas.core.executor import Executor, Outcome, Work


class Serial(Executor):
    """One trial after the other, in this process.

    Raises:
        ConfigError: where there is to be more than one worker, or none.
    """

    own_workers: ClassVar[bool] = False

    def __init__(self, workers: int) -> None:
        if workers > 1:
            raise ConfigError(f"workers must be 1, not {workers}: serial runs one trial at a time; choose the executor process")
        self.workers = required(workers)

    def submit(self, work: Work) -> "Future[Outcome]":
        """Do it, now.

        Raises:
            KeyboardInterrupt: where it comes out of the work: it is the caller's as much.
        """
        future: Future[Outcome] = Future()
        future.set_result(work.attempt())
        return future

    def close(self) -> None:
        """Nothing to do."""


def required(workers: int) -> int:
    """The number of workers, which is at least 1.

    Raises:
        ConfigError: where it is not.
    """
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, not {workers!r}")
    return workers
