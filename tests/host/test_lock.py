import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lnas.core.errors import RunError, RunInUseError
from lnas.host import lock

HOLD = """
import sys
from pathlib import Path
from lnas.host import lock
with lock.exclusive(Path(sys.argv[1])):
    print(flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(path: Path) -> Iterator[int]:
    """By another process, whose number it gives."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield holder.pid
        holder.kill()


def test_the_holder_is_named_and_gone_when_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path) as number:
        assert lock.holder(path) == str(number)
        with pytest.raises(RunInUseError, match=f"{tmp_path} is in use by process {number};"), lock.exclusive(path):
            pass
        assert lock.holder(path) == str(number)
    assert lock.holder(path) is None
    assert path.read_text() == f"{number}\n"
    with lock.exclusive(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_to_ask_writes_nothing(tmp_path: Path) -> None:
    assert lock.holder(tmp_path / "lock") is None
    assert lock.holder(tmp_path / "missing" / "lock") is None
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "lock").write_text("1\n")
    (tmp_path / "lock").chmod(0o444)
    tmp_path.chmod(0o555)
    before = (tmp_path / "lock").stat().st_mtime_ns
    assert lock.holder(tmp_path / "lock") is None
    assert (tmp_path / "lock").stat().st_mtime_ns == before
    tmp_path.chmod(0o755)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="cannot write"), lock.exclusive(tmp_path / "lock"):
        pass
    with pytest.raises(OSError, match="Too many levels"):
        lock.holder(tmp_path / "lock")
    assert not (tmp_path / "elsewhere").exists()


def test_those_who_look_disturb_no_writer(tmp_path: Path) -> None:
    """Three threads ask without a pause; 200 times in a row the writer gets the lock all the same."""
    path, over = tmp_path / "lock", threading.Event()

    def look() -> None:
        while not over.is_set():
            lock.holder(path)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(200):
            with lock.exclusive(path):
                pass
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_a_writer_waits_for_one_who_looks_and_not_for_another_writer(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    timer = threading.Timer(lock.PATIENCE / 5, os.close, [descriptor])
    timer.start()
    with lock.exclusive(path):
        timer.join()
    with lock.exclusive(path):
        began = time.monotonic()
        with pytest.raises(RunInUseError), lock.exclusive(path):
            pass
        assert time.monotonic() - began < lock.PATIENCE
