"""The rules of executors catch an engine that breaks them; the built-in engines keep them.

The engines here hire workers that are forked from a process which has imported torch: to start one takes milliseconds.
"""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

import lnas
from lnas.builtin.executors import Serial
from lnas.builtin.process_executor import Process
from lnas.builtin.process_worker import Worker
from lnas.testing import ExecutorSuite, forkserver, judge
from lnas.testing.forkserver import ForkServer
from lnas.testing.suite import rules

LIMIT = 60
SERVES = """
import os
from lnas.builtin.process_serve import serve

def begin(source, answers):
    for number, path, flags in ((0, source, os.O_RDONLY), (1, answers, os.O_WRONLY)):
        os.dup2(os.open(path, flags), number)
    serve()
"""


class Forked:
    """What `Worker` needs of a `subprocess.Popen`."""

    def __init__(self, server: ForkServer, lock: threading.Lock, folder: Path, number: int) -> None:
        self._server, self._lock = server, lock
        paths = [folder / f"{number}.{name}" for name in ("in", "out", "err")]
        for path in paths[:2]:
            os.mkfifo(path)
        with lock:
            self._child = server.start("serves_work:begin", str(paths[0]), str(paths[1]), errors=paths[2], limit=2 * LIMIT)
        self.stdin = paths[0].open("wb", buffering=0)
        self.stdout = paths[1].open("rb", buffering=0)
        self.errors = paths[2].open("a+b", buffering=0)

    def poll(self):
        return None  # the end of its output says it

    def wait(self, timeout=None):
        with self._lock:
            if self._child:
                self.status, self._child = self._server.wait(self._child), 0
        return self.status

    def kill(self):
        raise AssertionError("`wait` of a forked worker has no time limit")


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every engine of this file hires its workers here."""
    folder, numbers, lock = tmp_path_factory.mktemp("workers"), count(), threading.Lock()
    (folder / "serves_work.py").write_text(SERVES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forkserver, "PRELOADED", ("torch", "lnas.builtin.process_serve"))
        patch.syspath_prepend(folder)
        server = ForkServer()

        def started(threads: int) -> Worker:
            made = Forked(server, lock, folder, next(numbers))
            return Worker(made, made.errors)

        patch.setattr(Quick, "_start", staticmethod(started))
        with server:
            yield
            for engine in LeavesThem.made:
                Process.close(engine)


class Quick(Process):
    """Every class below is this one, but for one thing."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)

    def submit(self, work):
        """What `change` makes of it."""
        given = super().submit(self.sent(work))
        future: Future[lnas.Outcome] = Future()
        given.add_done_callback(lambda done: self.settle(future, work, done.result()))
        return future

    def sent(self, work):
        return work

    def settle(self, future, work, outcome):
        future.set_result(self.came(outcome))

    def came(self, outcome):
        return outcome


class NoExecutor:
    def __init__(self, workers: int) -> None:
        self._inner = Quick(workers)
        self.workers, self.submit, self.close = workers, self._inner.submit, self._inner.close


class Miscounts(Quick):
    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self.workers = 2 * workers


class TakesNone(Quick):
    def __init__(self, workers: int) -> None:
        super().__init__(max(1, workers))


class Words(Quick):
    """As one that keeps figures in a table of text."""

    def came(self, outcome):
        return replace(outcome, figures={name: str(value) for name, value in outcome.figures.items()})


class Rounds(Quick):
    """As one that sends numbers with six digits."""

    def sent(self, work):
        return replace(work, arguments={**work.arguments, "whole": 0} if "whole" in work.arguments else work.arguments)


class Raises(Quick):
    def settle(self, future, work, outcome):
        if outcome.state == "failed" and "sorts" in outcome.reason:
            future.set_exception(ValueError(outcome.reason))
        else:
            future.set_result(outcome)


class HasNoReasons(Quick):
    def came(self, outcome):
        return replace(outcome, reason="" if outcome.state in ("failed", "lost") else outcome.reason)


class InAnyThread(Quick):
    """As a pool of threads: what it does, it does here."""

    def submit(self, work):
        if work.target != "lnas.testing.work:compute":
            return super().submit(work)
        future: Future[lnas.Outcome] = Future()
        thread = threading.Thread(target=lambda: future.set_result(work.attempt()))
        thread.start()
        thread.join()
        return future


class OneThread(Quick):
    def sent(self, work):
        return replace(work, threads=1)


class CutsShort(Quick):
    """What it computes is not what was asked for."""

    def sent(self, work):
        return replace(work, arguments={"steps": work.arguments["steps"] // 2}) if "steps" in work.arguments else work


class OneByOne(Quick):
    """It says that it has two workers; a piece that waits for another need not wait long."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self._last: Future[lnas.Outcome] | None = None

    def submit(self, work):
        if work.target.endswith(":meet"):
            work = replace(work, arguments={**work.arguments, "limit": 0})
            if self._last is not None:
                self._last.result()
        self._last = super().submit(work)
        return self._last


class CallsItFailed(Quick):
    def came(self, outcome):
        return replace(outcome, state="failed" if outcome.state == "lost" else outcome.state)


class BreaksDown(Quick):
    """The first worker that dies is the last."""

    _down = False

    def came(self, outcome):
        self._down = self._down or outcome.state == "lost"
        return lnas.Outcome("lost", "the pool is broken") if self._down else outcome


class TriesAgain(Quick):
    def submit(self, work):
        first = super().submit(work)
        if not work.target.endswith(":die"):
            return first
        first.result()
        return super().submit(work)


class LeavesThem(Quick):
    """Its workers go on, and end once the last test is over."""

    made: list[Process] = []

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self.made.append(self)
        self._given: list[Future[lnas.Outcome]] = []

    def submit(self, work):
        future: Future[lnas.Outcome] = Future()
        self._given.append(future)
        super().submit(work).add_done_callback(lambda done: future.done() or future.set_result(done.result()))
        return future

    def close(self):
        for future in self._given:
            if not future.done():
                future.set_result(lnas.Outcome("lost", "closed"))


class Later(Serial):
    """Without workers, and yet it does not do the work at once."""

    def submit(self, work):
        future, outcome = Future(), work.attempt()
        threading.Timer(0.01, future.set_result, [outcome]).start()
        return future


BROKEN = {
    NoExecutor: {"it_is_an_executor"},
    Miscounts: {"it_is_an_executor"},
    TakesNone: {"fewer_workers_than_one_are_refused"},
    Words: {
        *("an_outcome_comes_back_as_it_was", "work_is_done_in_the_main_thread", "threads_are_those_of_the_work"),
        *("as_much_at_a_time_as_there_are_workers", "nothing_is_printed", "the_global_random_state_is_left_alone"),
        "global_settings_are_left_alone",
    },
    Rounds: {"arguments_arrive_as_they_were_sent"},
    Raises: {"an_error_is_a_failure_with_a_reason"},
    HasNoReasons: {"an_error_is_a_failure_with_a_reason", "a_worker_that_dies_is_a_loss"},
    InAnyThread: {"work_is_done_in_the_main_thread"},
    OneThread: {"threads_are_those_of_the_work"},
    CutsShort: {"results_are_the_same_as_here"},
    OneByOne: {"as_much_at_a_time_as_there_are_workers"},
    CallsItFailed: {"a_worker_that_dies_is_a_loss", "nothing_is_left_after_close"},
    BreaksDown: {"a_loss_takes_nothing_with_it"},
    TriesAgain: {"lost_work_is_not_begun_again"},
    LeavesThem: {"nothing_is_left_after_close"},
    Later: {"work_without_workers_is_done_at_once"},
}


class TestSerial(ExecutorSuite):
    part = "lnas.builtin.executors:Serial"
    plugin = "lnas.builtin.plugin"


class TestProcess(ExecutorSuite):
    part = "lnas.builtin.process_executor:Process"
    plugin = "lnas.builtin.plugin"

    def executor(self, workers: int) -> lnas.Executor:
        return Quick(workers)


def found(part: type) -> dict[str, str]:
    suite = type("Of", (ExecutorSuite,), {"part": part, "limit": LIMIT})
    return {verdict.rule: verdict.message for verdict in judge(suite) if verdict.outcome == "broken"}


@pytest.mark.parametrize("part", BROKEN, ids=lambda part: part.__name__)
def test_the_broken_rule_is_named(part: type) -> None:
    assert found(part).keys() == BROKEN[part]


def test_every_rule_of_executors_can_be_broken() -> None:
    own = {name.removeprefix("test_") for name, _ in rules(ExecutorSuite) if name in vars(ExecutorSuite)}
    assert own <= set().union(*BROKEN.values())
