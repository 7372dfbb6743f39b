"""Stopping is normal: a signal, or the end of the time, asks the run to stop after its step; a second signal ends it at once."""

import os
import shlex
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from types import FrameType

from lnas.core.errors import LnasError
from lnas.core.pipeline import Progress

OUT_OF_TIME = 0
"""The reason of a run that stops because its time is over; any other is the number of a signal."""


@dataclass(frozen=True)
class Limits:
    """What else stops a run, beside SIGINT and SIGTERM.

    Attributes:
        deadline: when its time is over, by `time.monotonic()`.
        signal: another signal.
    """

    deadline: float | None = None
    signal: Signals | None = None


UNLIMITED = Limits()


class Interrupted(LnasError):
    """The run was asked to stop and saved a checkpoint; it can be resumed.

    The exit code is 128 and the number of the signal: 130 after SIGINT, 143 after SIGTERM; 0 where its time was over.

    Args:
        reason: `OUT_OF_TIME`, or the number of a signal.
        progress: where it stopped.
        run: its directory.
    """

    def __init__(self, reason: int, progress: Progress, run: Path) -> None:
        self.exit_code = 128 + reason if reason else 0
        self.progress = progress
        why = Signals(reason).name if reason else "the time is over"
        super().__init__(
            f"{why} after {progress.stage} step {progress.step} of {progress.steps}; a checkpoint is saved;"
            f" go on with: lnas resume {shlex.quote(str(run))}"
        )


@dataclass
class StopRequest:
    """The signal that asked the run to stop, once one did, and the time when it stops by itself."""

    signal: Signals | None = None
    deadline: float | None = None

    @property
    def reason(self) -> int | None:
        """Why the run has to stop now; None where it has not."""
        if self.signal is not None:
            return int(self.signal)
        return OUT_OF_TIME if self.deadline is not None and time.monotonic() >= self.deadline else None


@contextmanager
def listening(limits: Limits = UNLIMITED) -> Iterator[StopRequest]:
    """Note SIGINT, SIGTERM and the signal of the limits instead of dying of them, and put the former handlers back at the end.

    A second signal leaves the process without clean-up.  SIGINT and SIGTERM stay ignored where they were (`nohup`).  Off the
    main thread, where Python allows no handlers, none is set.
    """
    request = StopRequest(deadline=limits.deadline)

    def note(number: int, frame: FrameType | None) -> None:
        if request.signal is not None:
            os._exit(128 + number)
        request.signal = Signals(number)

    former = {}
    if threading.current_thread() is threading.main_thread():
        for number in {signal.SIGINT, signal.SIGTERM} | ({limits.signal} if limits.signal else set()):
            handler = signal.getsignal(number)
            if handler is not None and (handler != signal.SIG_IGN or number == limits.signal):
                former[number] = handler
                signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
