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

OUT_OF_TIME, ASKED, REACHED = 0, -1, -2
"""The reasons of a run that stops because its time is over, a file asks for it, or it is as far as it shall go; any other is
the number of a signal."""

GLANCE = 0.2
"""Seconds between two looks at whether the file is there, at least."""

_WORDS = {OUT_OF_TIME: "the time is over", ASKED: "asked to stop", REACHED: "as far as asked"}


@dataclass(frozen=True)
class Limits:
    """What else stops a run, beside SIGINT and SIGTERM.

    Attributes:
        deadline: when its time is over, by `time.monotonic()`.
        signal: another signal.
        file: it stops once this file is there.
        until: a stage by its name, and the epoch after which it stops; None for the end of the stage.
    """

    deadline: float | None = None
    signal: Signals | None = None
    file: Path | None = None
    until: tuple[str, int | None] | None = None


UNLIMITED = Limits()


class Interrupted(LnasError):
    """The run was asked to stop and saved a checkpoint; it can be resumed.

    The exit code is 128 and the number of the signal: 130 after SIGINT, 143 after SIGTERM; 0 where that was foreseen.

    Args:
        reason: `OUT_OF_TIME`, `ASKED`, `REACHED`, or the number of a signal.
        progress: where it stopped.
        run: its directory.
    """

    def __init__(self, reason: int, progress: Progress, run: Path) -> None:
        self.exit_code = 128 + reason if reason > 0 else 0
        self.reason = reason
        self.progress = progress
        why = Signals(reason).name if reason > 0 else _WORDS[reason]
        super().__init__(
            f"{why} after {progress.stage} step {progress.step} of {progress.steps}; a checkpoint is saved;"
            f" go on with: lnas resume {shlex.quote(str(run))}"
        )


@dataclass
class StopRequest:
    """The signal that asked the run to stop, once one did, and what else stops it."""

    signal: Signals | None = None
    deadline: float | None = None
    file: Path | None = None
    _asked: bool = False
    _looked: float = 0.0

    @property
    def reason(self) -> int | None:
        """Why the run has to stop now; None where it has not."""
        if self.signal is not None:
            return int(self.signal)
        now = time.monotonic()
        if self.deadline is not None and now >= self.deadline:
            return OUT_OF_TIME
        if now - self._looked >= GLANCE:
            self.look()
        return ASKED if self._asked else None

    def look(self) -> None:
        """See now whether the file is there; once it was, the run stops."""
        self._looked = time.monotonic()
        self._asked = self._asked or (self.file is not None and self.file.exists())


@contextmanager
def listening(limits: Limits = UNLIMITED) -> Iterator[StopRequest]:
    """Note SIGINT, SIGTERM and the signal of the limits instead of dying of them, and put the former handlers back at the end.

    A second signal leaves the process without clean-up.  SIGINT and SIGTERM stay ignored where they were (`nohup`).  Off the
    main thread, where Python allows no handlers, none is set.
    """
    request = StopRequest(deadline=limits.deadline, file=limits.file)

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
