"""Real worker processes.  Their torch is a stub, which takes no time to import; tests/testing/test_executor.py has the rules."""

import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lnas.builtin import process_executor
from lnas.builtin.process_executor import CLOSED, Process
from lnas.core.executor import Outcome, Work

LIMIT = 60
STUB = """
number = 1

def get_num_threads():
    return number

def set_num_threads(value):
    global number
    number = value
"""
PIECES = """
import fcntl, os, signal, subprocess, sys, time
from pathlib import Path
from lnas.core.executor import Outcome

kept = []

def me():
    import torch
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return Outcome("done", figures={"process": os.getpid(), "torch": torch.number, **{name: os.environ[name] for name in names}})

def talk():
    print("words", flush=True)
    os.write(1, b'{"state": "done"}\\n')
    subprocess.run(["echo", "more words"], check=True)
    return Outcome("done", figures={"input": sys.stdin.read()})

def leave(status, words):
    print("first\\n" + words, file=sys.stderr)
    os._exit(status)

def end(number):
    os.kill(os.getpid(), number)
    time.sleep(60)

def hear_a_terminal():
    os.kill(os.getpid(), signal.SIGINT)
    return Outcome("done")

def lock(path):
    file = open(path, "w")
    fcntl.flock(file, fcntl.LOCK_EX)
    kept.append(file)
    return Outcome("done")

def hold(path):
    lock(path)
    return wait(path + ".begun", path + ".told")

def wait(begun, told):
    heard = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    Path(begun).touch()
    while not heard:
        time.sleep(0.01)
    Path(told).touch()
    return Outcome("stopped", "by SIGTERM")

def interrupted(begun, closing):
    heard = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: heard.append(number))
    os.kill(os.getpid(), signal.SIGINT)
    Path(begun).touch()
    while not os.path.exists(closing):
        time.sleep(0.01)
    time.sleep(0.3)  # a second signal would be on its way
    return Outcome("stopped", " ".join(map(str, heard)))

def deaf(begun):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(begun).touch()
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that workers import from, first of all."""
    (tmp_path / "torch.py").write_text(STUB)
    (tmp_path / "pieces.py").write_text(PIECES)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def engine() -> Iterator[Process]:
    made = Process(1)
    yield made
    made.close()


def work(name: str, threads: int = 1, **arguments: object) -> Work:
    return Work(name, f"pieces:{name}", arguments, threads)  # type: ignore[arg-type]


def done(engine: Process, piece: Work) -> Outcome:
    return engine.submit(piece).result(LIMIT)


def appears(path: Path) -> None:
    for _ in range(100 * LIMIT):
        if path.exists():
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"{path} does not appear")


def released(path: Path) -> None:
    """Wait for the end of the process that has locked the file."""
    with path.open() as file:
        for _ in range(100 * LIMIT):
            with suppress(BlockingIOError):
                return fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            threading.Event().wait(0.01)
    raise AssertionError(f"{path} is still locked")


def test_one_process_does_one_piece_after_the_other_with_its_threads(engine: Process) -> None:
    first, second = done(engine, work("me", 3)), done(engine, work("me", 2))
    variables = {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3"}  # of the first: libraries read them when they are loaded
    assert first.figures == {"process": first.figures["process"], "torch": 3, **variables}
    assert second.figures == {**first.figures, "torch": 2}
    assert first.figures["process"] != os.getpid()


def test_what_work_prints_is_nowhere_in_what_it_says(engine: Process, capfd: pytest.CaptureFixture[str]) -> None:
    assert done(engine, work("talk")) == Outcome("done", figures={"input": ""})
    assert done(engine, work("me")).state == "done"
    assert capfd.readouterr() == ("", "")


def test_a_worker_that_dies_says_why_and_another_takes_its_place(engine: Process) -> None:
    before = done(engine, work("me")).figures["process"]
    assert done(engine, work("end", number=int(signal.SIGKILL))) == Outcome("lost", "the worker died: signal 9")
    last = "no room is left\x1b"
    assert done(engine, work("leave", status=3, words=last)) == Outcome(
        "lost", "the worker died: exit status 3: no room is left?"
    )
    after = done(engine, work("me"))
    assert after.state == "done" and after.figures["process"] != before


def test_what_was_printed_for_an_earlier_piece_is_no_reason(engine: Process) -> None:
    done(engine, work("talk"))
    assert done(engine, work("leave", status=0, words="")).reason == "the worker died: exit status 0: first"
    assert done(engine, work("end", number=int(signal.SIGTERM))).reason == "the worker died: signal 15"


def test_an_idle_worker_and_one_without_handlers_are_deaf_to_a_terminal(engine: Process) -> None:
    process = done(engine, work("me")).figures["process"]
    assert isinstance(process, int)
    os.kill(process, signal.SIGINT)
    assert done(engine, work("hear_a_terminal")) == Outcome("done")
    assert done(engine, work("me")).figures["process"] == process


def test_more_work_than_workers_waits_and_what_is_cancelled_is_not_begun(pieces: Path) -> None:
    engine = Process(2)
    blocking = engine.submit(work("wait", begun=str(pieces / "begun"), told=str(pieces / "told")))
    appears(pieces / "begun")
    futures = [engine.submit(work("me")) for _ in range(4)]
    assert len({future.result(LIMIT).figures["process"] for future in futures}) == 1
    engine.submit(work("wait", begun=str(pieces / "again"), told=str(pieces / "told")))
    appears(pieces / "again")
    cancelled, waiting = engine.submit(work("lock", path=str(pieces / "never"))), engine.submit(work("me"))
    assert cancelled.cancel()
    engine.close()
    assert waiting.result(0) == CLOSED
    assert blocking.result(0) == Outcome("stopped", "by SIGTERM")
    assert not (pieces / "never").exists()
    with pytest.raises(RuntimeError, match="me was submitted to an executor that is closed"):
        engine.submit(work("me"))
    engine.close()


def test_work_that_has_heard_a_terminal_is_not_told_again(engine: Process, pieces: Path) -> None:
    """A run leaves at once at a second signal, before its checkpoint."""
    future = engine.submit(work("interrupted", begun=str(pieces / "begun"), closing=str(pieces / "closing")))
    appears(pieces / "begun")
    (worker,) = engine._alive
    worker.dismiss()
    (pieces / "closing").touch()
    assert future.result(LIMIT) == Outcome("stopped", str(int(signal.SIGINT)))


def test_work_that_does_not_stop_is_killed(engine: Process, pieces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_executor, "PATIENCE", 0.05)
    future = engine.submit(work("deaf", begun=str(pieces / "begun")))
    appears(pieces / "begun")
    engine.close()
    assert future.result(0) == Outcome("lost", "the worker died: signal 9")


def test_where_no_process_can_be_had_the_work_is_lost(engine: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    came = done(engine, work("me"))
    assert came.state == "lost"
    assert came.reason == "no worker can be had: FileNotFoundError: [Errno 2] No such file or directory: '/no/such/python'"


SCRIPT = """
from lnas.builtin.process_executor import Process
from lnas.core.executor import Work

print("once")
engine = Process(1)
print(engine.submit(Work("me", "pieces:me", {})).result().state)
"""


@pytest.mark.parametrize("how", ["a script", "standard input", "a shell that stands elsewhere"])
def test_a_program_is_not_run_again_in_its_workers(how: str, pieces: Path) -> None:
    """Neither is it imported, nor does it have to close its executor."""
    (pieces / "script.py").write_text(SCRIPT)
    (pieces / "json.py").write_text("raise RuntimeError")  # where a worker starts is no place to import from
    arguments = {"a script": [str(pieces / "script.py")], "standard input": ["-"]}.get(how, ["-P", "-c", SCRIPT])
    elsewhere = pieces / "elsewhere"
    elsewhere.mkdir()
    (pieces / "json.py").rename(elsewhere / "json.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(pieces), *sys.path])}
    flags = ["-P"] if how == "standard input" else []
    done = subprocess.run(
        [sys.executable, *flags, *arguments],
        input=SCRIPT, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "once\ndone\n", "")


ORPHANS = """
import sys
from lnas.builtin.process_executor import Process
from lnas.core.executor import Work

idle, busy = sys.argv[1:]
engine = Process(2)
engine.submit(Work("hold", "pieces:hold", {"path": busy}))
engine.submit(Work("lock", "pieces:lock", {"path": idle})).result()
print("ready", flush=True)
sys.stdin.read()
"""


def test_no_worker_outlives_a_program_that_is_killed(pieces: Path) -> None:
    """An idle one ends, and work in progress is told, so that it saves what it has."""
    idle, busy = pieces / "idle", pieces / "busy"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(pieces), *sys.path])}
    command = [sys.executable, "-c", textwrap.dedent(ORPHANS), str(idle), str(busy)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None and program.stdout.readline() == "ready\n"
        appears(Path(f"{busy}.begun"))
        program.kill()
    for path in (idle, busy):
        released(path)
    assert Path(f"{busy}.told").exists()
