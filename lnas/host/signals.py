"""Stopping is normal: the first SIGINT or SIGTERM asks the run to stop after its step, the second ends it at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from types import FrameType
from typing import ClassVar

from lnas.core.errors import LnasError
from lnas.core.pipeline import Progress


class Interrupted(LnasError):
    """The run was asked to stop by SIGINT and saved a checkpoint; it can be resumed."""

    exit_code: ClassVar[int] = 128 + signal.SIGINT


class Terminated(Interrupted):
    """The run was asked to stop by SIGTERM and saved a checkpoint; it can be resumed."""

    exit_code: ClassVar[int] = 128 + signal.SIGTERM


@dataclass
class StopRequest:
    """The signal that asked the run to stop, once one did."""

    signal: Signals | None = None

    def raise_if_made(self, progress: Progress, run: Path) -> None:
        """Raise `Interrupted` or `Terminated`, saying how to go on, if there was a signal; a checkpoint is saved by then."""
        if self.signal is not None:
            kind = Terminated if self.signal == Signals.SIGTERM else Interrupted
            raise kind(
                f"{self.signal.name} after {progress.stage} step {progress.step} of {progress.steps}; a checkpoint is saved;"
                f" go on with: lnas resume {run}"
            )


@contextmanager
def listening() -> Iterator[StopRequest]:
    """Note SIGINT and SIGTERM instead of dying of them, and put the former handlers back at the end.

    A second signal leaves the process without clean-up.  A signal that was ignored stays ignored (`nohup`).  Off the main
    thread, where Python allows no handlers, nothing is changed.
    """
    request = StopRequest()

    def note(number: int, frame: FrameType | None) -> None:
        if request.signal is not None:
            os._exit(128 + number)
        request.signal = Signals(number)

    former = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if handler is not None and handler != signal.SIG_IGN:
                former[number] = handler
                signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
