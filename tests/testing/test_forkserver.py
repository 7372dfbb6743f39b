"""The server that forks: what a child has started ends with it, whether it ends by itself, by its limit or with the server."""

import os
import signal
import time
from pathlib import Path

from lnas.testing.forkserver import ForkServer

HOLD = "exec 3> held; printf x >&3; sleep 100 &"
"""A process that is left, and keeps a pipe open as long as it lives."""


def opened(folder: Path) -> int:
    folder.mkdir()
    os.mkfifo(folder / "held")
    return os.open(folder / "held", os.O_RDONLY | os.O_NONBLOCK)


def began(pipe: int) -> bool:
    return _read(pipe, b"x")


def ended(pipe: int) -> bool:
    return _read(pipe, b"")


def _read(pipe: int, expected: bytes) -> bool:
    """Whether that is what comes within some seconds; an end is what comes before the first writer, too."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if os.read(pipe, 1) == expected:
                return True
        except BlockingIOError:
            pass
        time.sleep(0.01)
    return False


def test_nothing_that_a_child_has_started_outlives_it(tmp_path: Path) -> None:
    with ForkServer() as server:
        itself, limited, closed = (opened(tmp_path / name) for name in ("itself", "limited", "closed"))
        child = server.start("subprocess:call", ["sh", "-c", HOLD], folder=tmp_path / "itself")
        assert server.wait(child) == 0
        assert began(itself) and ended(itself)

        child = server.start("subprocess:call", ["sh", "-c", f"{HOLD} wait"], folder=tmp_path / "limited", limit=1)
        assert server.wait(child) == -signal.SIGALRM
        assert began(limited) and ended(limited)

        server.start("subprocess:call", ["sh", "-c", f"{HOLD} wait"], folder=tmp_path / "closed")
        assert began(closed)
    assert ended(closed)
    for pipe in (itself, limited, closed):
        os.close(pipe)
