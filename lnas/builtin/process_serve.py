"""A worker process: it reads a piece of work, does it in its main thread, and writes the outcome, until nobody asks for more.

Its standard input is the work, and the end of it the end of whoever employs the worker, in whatever way that came about.  The
outcomes go where its standard output was when it started; what the work prints goes to standard error.

An idle worker is deaf to SIGINT, which a terminal sends to a whole group of processes.  A busy one leaves SIGINT and SIGTERM to
the handlers of the work, if it has any: a run saves a checkpoint and ends.
"""

import atexit
import os
import queue
import signal
import sys
import threading
import time
from types import FrameType

from lnas.builtin.process_words import of_outcome, to_work

LONGEST_END = 60.0
"""Seconds that work may take to end once nobody waits for it any more, and it was told so with SIGTERM."""

_READ = 1 << 16


class _Employer:
    """Who sends the work: lines of it wait here until the main thread takes them, and its end is noted at once."""

    def __init__(self, source: int) -> None:
        self._source = source
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._busy = self._gone = False
        # Python writes the number of every signal that it handles to this pipe, whosever the handler is.
        self._heard, written = os.pipe()
        os.set_blocking(self._heard, False)
        os.set_blocking(written, False)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, daemon=True).start()

    def take(self) -> bytes | None:
        """The next piece of work, which makes this worker busy; None where there will be no more."""
        line = self._lines.get()
        with self._lock:
            self._drain()
            self._busy = line is not None and not self._gone
            return line if self._busy else None

    def rest(self) -> None:
        """The piece of work is done."""
        with self._lock:
            self._busy = False

    def _watch(self) -> None:
        rest = b""
        while chunk := os.read(self._source, _READ):  # not `sys.stdin`, whose lock would be held when the process ends
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)
        with self._lock:
            self._gone = True
            told = not self._busy or self._drain()
        if not told:  # a second signal would end a run before its checkpoint
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(LONGEST_END)
        os.kill(os.getpid(), signal.SIGKILL)

    def _drain(self) -> bytes:
        """The signals since the last look."""
        try:
            return os.read(self._heard, _READ)
        except BlockingIOError:
            return b""


def serve() -> None:
    """Do what standard input says until it ends; never returns."""
    signal.signal(signal.SIGINT, _deaf)  # not SIG_IGN, which a run takes for `nohup`
    source, answers = os.dup(0), os.dup(1)
    _replace(0, os.open(os.devnull, os.O_RDONLY))
    os.dup2(2, 1)
    employer = _Employer(source)
    while (line := employer.take()) is not None:
        outcome = to_work(line).attempt()
        employer.rest()
        _write(answers, of_outcome(outcome))
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # to take all of torch down, module by module, would cost seconds


def _deaf(number: int, frame: FrameType | None) -> None:
    """Nothing."""


def _replace(number: int, descriptor: int) -> None:
    os.dup2(descriptor, number)
    os.close(descriptor)


def _write(descriptor: int, line: bytes) -> None:
    try:
        while line:
            line = line[os.write(descriptor, line) :]
    except BrokenPipeError:  # whoever asked is gone, and the end of the input says so next
        return
