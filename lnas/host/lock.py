"""The lock of a run directory: one writer by flock.  The kernel frees it when the process dies, however it dies."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lnas.core.errors import RunError, RunInUseError
from lnas.host import durable

ATTEMPTS, PATIENCE = 50, 0.25
"""So often in so many seconds a writer asks where others look (`holder`): each of them holds a shared lock for an instant."""


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Be the one that holds the file at `path`, which is made where it is missing and names the process.

    Raises:
        RunInUseError: naming the process that holds it.
        RunError: where it cannot be written.
    """
    with durable.writing(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    try:
        try:
            _take(descriptor)
        except BlockingIOError as error:
            raise RunInUseError(
                f"{path.parent} is in use by process {_settled(descriptor)}; wait until it ends, or stop it"
            ) from error
        except OSError as error:
            raise RunError(
                f"{path.parent} cannot be locked: {error.strerror or error}; choose a folder on a file system that has flock"
            ) from error
        with durable.writing(path):
            if not os.path.samestat(os.fstat(descriptor), os.stat(path)):
                raise RunInUseError(f"{path.parent} was removed just now, and made again; try once more")
        with durable.writing(path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(path: Path) -> str | None:
    """The process that holds the file at `path`, as it named itself; None where nobody does.

    It asks the kernel for a shared lock and gives it back at once; /proc/locks would not show the processes of another
    container.  Nothing is written: a folder that is read-only can be asked about too.

    Raises:
        OSError: where the file is there and cannot be asked about.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _named(descriptor)
    finally:
        os.close(descriptor)
    return None


def _take(descriptor: int) -> None:
    """Lock an open file for this process alone.  Raises `BlockingIOError` where another writer holds it."""
    for _ in range(ATTEMPTS):  # and not until a time: a machine under load may sleep through it
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # fails beside a writer, and not beside those who look
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            time.sleep(PATIENCE / ATTEMPTS)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _settled(descriptor: int) -> str:
    """The process that holds an open file, which may have locked it just now and be about to write its number."""
    for _ in range(ATTEMPTS):
        name = _named(descriptor)
        if name.isdigit() and _lives(int(name)):
            return name
        time.sleep(PATIENCE / ATTEMPTS)
    return _named(descriptor)  # of another machine, or of another container


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _named(descriptor: int) -> str:
    return os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
