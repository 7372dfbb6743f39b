"""What happens to the disk in the middle of a run: done in the child that runs it, which is the real program."""

import errno
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.chaos import child, disk
from lnas.host import keeper
from lnas.report import page

PAGE = "<html></html>"
NOTES = "notes"
"""What is in the files that are none of ours."""


def command(arguments: Sequence[str], kind: str, number: int) -> None:
    """`lnas ARGUMENTS` in the present folder, in a child of its own, with something that happens at `number`."""
    folder = Path.cwd()
    keeper.COST = 0  # a checkpoint at the end of every epoch
    if kind == "log":
        log = os.open("../events", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

        def note(what: str, path: str) -> None:
            os.write(log, f"{what} {path}\n".encode())

        disk.watch(folder, note)
    elif kind == "size":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (number, number))
    elif KINDS.get(kind) is not None:
        disk.watch(folder, Trigger(kind, number))
    elif kind == "nothing":
        page.render = lambda run, registry=None: PAGE  # drawn by hundreds of tries, and looked at by none
    child.program(arguments)


class Trigger:
    """Counts events, and does what a kind does at its time."""

    def __init__(self, kind: str, number: int) -> None:
        self._kind, self._left = kind, number

    def __call__(self, what: str, path: str) -> None:
        if self._kind == "write" and what != "write":
            return
        self._left -= 1
        if self._left > 0:
            return
        do: Callable[[bool], None] | None = KINDS[self._kind]
        assert do is not None
        if what != "remove" or self._kind not in ("event", "once"):  # a full disk does not forbid that
            do(self._left == 0)


def _no_space(now: bool) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _no_space_now(now: bool) -> None:
    if now:
        _no_space(now)


def _read_only(now: bool) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def _once(script: str) -> Callable[[bool], None]:
    """A shell command, as another process does it, so that nothing of this one is counted."""

    def do(now: bool) -> None:
        if now:
            subprocess.run(["sh", "-c", script], check=True)

    return do


KINDS: dict[str, Callable[[bool], None] | None] = {
    "write": _no_space,
    "event": _no_space,
    "once": _no_space_now,
    "size": None,
    "small disk": None,
    "read-only": _read_only,
    "removed": _once("rm -rf runs/run"),
    "no checkpoints": _once(f"[ ! -d runs/run ] || {{ rm -rf runs/run/checkpoints; printf '{NOTES}' > runs/run/checkpoints; }}"),
    "no journal": _once("[ ! -e runs/run/metrics.jsonl ] || mv runs/run/metrics.jsonl ../kept"),
    "journal a directory": _once(
        "[ ! -e runs/run/metrics.jsonl ] || { mv runs/run/metrics.jsonl ../kept; mkdir runs/run/metrics.jsonl; }"
    ),
}
