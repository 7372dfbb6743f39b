"""A worker process as its employer sees it: one that is handed a line, and gives one back or dies."""

import fcntl
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, suppress
from typing import IO, Protocol

from lnas.core.one_line import cut

_BOOT = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from lnas.builtin.process_serve import serve
serve()
"""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_LAST = 4096
"""Bytes of what a worker wrote to standard error, of which the last line tells why it died."""
_GLANCE = 500
"""Milliseconds between two looks at whether a worker is alive: what it has forked may hold its pipe open."""
_READ = 1 << 16


class Started(Protocol):
    """What is needed of a `subprocess.Popen`."""

    stdin: IO[bytes] | None
    stdout: IO[bytes] | None

    def poll(self) -> int | None:
        """The exit status, where it has ended."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once it has ended."""

    def kill(self) -> None:
        """End it."""


class Worker:
    """A process that does one piece of work after the other.

    Args:
        process: with pipes to its standard input and output, which are not buffered.
        errors: the file, opened for appending, that its standard error goes to; closed with the worker.
    """

    def __init__(self, process: Started, errors: IO[bytes]) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process, self._errors = process, errors
        self._input, self._output = process.stdin, process.stdout
        self._lock = threading.Lock()

    def ask(self, line: bytes) -> bytes | None:
        """Its answer to a line; None where it died, or was dismissed, and gave none."""
        self._errors.truncate(0)
        with suppress(OSError, ValueError), self._lock:  # it is dead, or dismissed: there is no answer
            while line:
                line = line[self._input.write(line) :]
        poller, answer = select.poll(), b""
        poller.register(self._output, select.POLLIN)
        while not answer.endswith(b"\n"):
            if not poller.poll(_GLANCE):
                if self._process.poll() is not None and not poller.poll(0):
                    return None
            elif chunk := os.read(self._output.fileno(), _READ):
                answer += chunk
            else:
                return None
        return answer

    def dismiss(self) -> None:
        """Tell it that there is no more work: it ends at once where it is idle, and tells its work to stop where it is not."""
        with suppress(OSError), self._lock:
            self._input.close()

    def end(self, patience: float) -> None:
        """Wait until it has ended, and kill it where that takes longer than so many seconds."""
        self.dismiss()
        try:
            self._process.wait(max(0.0, patience))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def buried(self) -> str:
        """Why it died, in one line, once it has; its files are closed."""
        self.end(0.0)
        status = self._process.wait()
        words = f"the worker died: signal {-status}" if status < 0 else f"the worker died: exit status {status}"
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _LAST))
        last = self._errors.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
        self._errors.close()
        self._output.close()
        return cut(f"{words}: {last}" if last else words)


def started(threads: int) -> Worker:
    """A worker that imports what this program can, in an environment for so many threads.

    It is a fresh interpreter, which knows nothing of the program's own module: a script need not guard itself against being
    imported again.

    Raises:
        OSError: where the system has no room for it.
    """
    path = [os.fspath(place) or os.getcwd() for place in sys.path]
    environment = {**os.environ, **{name: str(threads) for name in _THREADS}}
    with ExitStack() as opened:
        errors = opened.enter_context(tempfile.TemporaryFile(buffering=0))
        # Whatever the file is cut to between two pieces of work, the next line goes to its end.
        fcntl.fcntl(errors, fcntl.F_SETFL, fcntl.fcntl(errors, fcntl.F_GETFL) | os.O_APPEND)
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT, json.dumps(path)],
            bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment,
        )  # fmt: skip
        opened.pop_all()
    return Worker(process, errors)
