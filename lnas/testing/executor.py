"""What every engine of a sweep keeps: work is done as it would be here, and whatever befalls a worker is an outcome."""

import unittest
from functools import cache
from typing import Any, ClassVar

from lnas.core.errors import ConfigError
from lnas.core.executor import Executor, Outcome
from lnas.testing.employed import PIECES, SUM, WORKERS, Came, Employed, closing, employed, result
from lnas.testing.part import PartSuite
from lnas.testing.suite import Violation, require
from lnas.testing.watched import empty_folder


class ExecutorSuite(PartSuite):
    """The rules of executors.  The engine is put to work once, with two workers, and the rules look at what came of it.

    It works in an empty folder, which is the working directory.

    Attributes:
        own_workers: as `Executor.own_workers`: whether there are workers that may die.  It is enough that the part says it.
        limit: seconds within which a piece of work is done that takes none, a worker's start included.
    """

    kind = "executor"
    own_workers: ClassVar[bool] = True
    limit: ClassVar[float] = 120.0

    def executor(self, workers: int) -> Executor:
        """A fresh engine; override it where it needs more than `options`, such as the address of a cluster."""
        return self.make(workers)  # type: ignore[no-any-return]

    def given(self) -> tuple[Any, ...]:
        """One worker."""
        return (1,)

    def exercise(self) -> None:
        """Start it, let it do one piece of work, and close it."""
        with empty_folder(), closing(self.executor(1)) as engine:
            came = result(engine.submit(SUM), self.limit)
            require(came == SUM.do(), f"{SUM.target} gave {_said(came)}")

    def test_it_is_an_executor(self) -> None:
        """The part makes an `Executor` that has as many workers as it was asked for, and can be closed before it has worked."""
        workers = WORKERS if self._has_workers() else 1
        with empty_folder():
            made: object = self.executor(workers)
        require(isinstance(made, Executor), f"{self.label()} made a {type(made).__name__}, which is no Executor")
        assert isinstance(made, Executor)
        with closing(made):
            found = getattr(made, "workers", None)
            require(found == workers, f"{self.label()} was asked for {workers} workers, and its `workers` is {found!r}")

    def test_fewer_workers_than_one_are_refused(self) -> None:
        """There is no engine of 0 workers, nor of -1: a ConfigError names `workers`, in one line."""
        for workers in (0, -1):
            did = f"{self.label()} was made with workers={workers}"
            try:
                made = self.executor(workers)
            except ConfigError as error:
                message = str(error)
                right = "workers" in message and "\n" not in message
                require(right, f"{did}. The ConfigError says {message!r}; it must name workers, in one line")
            except Exception as error:
                raise Violation(f"{did}. It raised {type(error).__name__} ({error}); it must raise lnas.ConfigError") from error
            else:
                made.close()
                require(False, f"{did}. Nothing was raised; it must raise lnas.ConfigError")

    def test_an_outcome_comes_back_as_it_was(self) -> None:
        """State, reason and figures are those that the work itself returns, of whatever state and whatever type."""
        for name in ("sum", "stop"):
            here, came = PIECES[name].do(), self._came(name)
            require(came == here, f"{PIECES[name].target} gave {_said(came)}; done here, it gives {_said(here)}")
            for key, value in here.figures.items():
                kind = type(came.figures[key])
                require(kind is type(value), f"the figure {key} came back as {kind.__name__}; it was {type(value).__name__}")

    def test_arguments_arrive_as_they_were_sent(self) -> None:
        """Text, whole numbers, floats, truth values, None and tuples of text keep value and type."""
        here, came = PIECES["arguments"].do(), self._came("arguments")
        for name, value in here.figures.items():
            found = came.figures.get(name)
            require(found == value, f"the argument {name} was sent as {value}, and arrived as {found}")

    def test_an_error_is_a_failure_with_a_reason(self) -> None:
        """Work that raises, cannot be imported or returns no outcome has "failed", with the message in one line."""
        for name, words in (("error", "out of sorts"), ("missing", "no_such_function"), ("nothing", "Outcome")):
            came = self._came(name)
            what = f"{PIECES[name].target} gave {_said(came)}; it must be failed"
            require(came.state == "failed", what)
            require(
                words in came.reason and "\n" not in came.reason, f"{what}, with the words {words!r} of the error in one line"
            )

    def test_work_is_done_in_the_main_thread(self) -> None:
        """A run handles signals, and Python allows that in the main thread alone."""
        for name in ("bytes", "threads"):
            main = self._came(name).figures.get("main")
            require(main is True, f"{PIECES[name].target} was not done in the main thread of its process")

    def test_threads_are_those_of_the_work(self) -> None:
        """torch has as many threads as the work says, whatever the one before it said."""
        for name in ("bytes", "threads"):
            wanted, found = PIECES[name].threads, self._came(name).figures.get("threads")
            require(found == wanted, f"{PIECES[name].target} was to have {wanted} threads of torch, and had {found}")

    def test_results_are_the_same_as_here(self) -> None:
        """A network that is trained there has the same bytes as one that is trained here."""
        here, found = PIECES["bytes"].do().figures["digest"], self._came("bytes").figures.get("digest")
        require(found == here, f"{PIECES['bytes'].target} gave weights of the digest {found}; here they have {here}")

    def test_as_much_at_a_time_as_there_are_workers(self) -> None:
        """Two workers do two pieces of work at once, and neither waits for the other."""
        self._require_workers()
        for number in range(WORKERS):
            met = self._came(f"meeting {number}").figures.get("met")
            require(met == WORKERS, f"{WORKERS} pieces of work that wait for each other ran, and one saw {met} of them")

    def test_work_without_workers_is_done_at_once(self) -> None:
        """An engine without workers of its own has done a piece of work when `submit` returns."""
        if self._has_workers():
            raise unittest.SkipTest("it has workers of its own")
        early = sorted(_employed(type(self)).early)
        require(not early, f"submit returned before the work was done: {', '.join(early)}; say own_workers = True, or do it then")

    def test_a_worker_that_dies_is_a_loss(self) -> None:
        """Work whose worker is killed is "lost", with a reason in one line."""
        self._require_workers()
        came = self._came("dying")
        require(came.state == "lost", f"a worker was killed, and its piece of work gave {_said(came)}; it must be lost")
        right = bool(came.reason) and "\n" not in came.reason
        require(right, f"a worker was killed, and the reason is {came.reason!r}; it must be one line")

    def test_a_loss_takes_nothing_with_it(self) -> None:
        """Beside and after a worker that is killed others do their work."""
        self._require_workers()
        for name, what in (("other", "the work of another"), ("next", "the next piece of work")):
            came = self._came(name)
            require(came.state == "done", f"a worker was killed, and {what} gave {_said(came)}; it must be done")

    def test_lost_work_is_not_begun_again(self) -> None:
        """Who submits decides whether to try again."""
        self._require_workers()
        begun = _employed(type(self)).begun
        require(begun == 1, f"a piece of work that kills its worker was begun {begun} times; it must be once")

    def test_nothing_is_left_after_close(self) -> None:
        """`close` ends a worker that is busy, before it returns; its work is "lost", or "stopped" where it stops by itself."""
        self._require_workers()
        came, held = self._came("busy"), _employed(type(self)).held
        require(held is not None, "a piece of work that stays until it is ended never began")
        require(held is False, "close returned while a piece of work still ran; it must end it")
        require(came.state in ("lost", "stopped"), f"work that close ended gave {_said(came)}; it must be lost")

    @classmethod
    def _has_workers(cls) -> bool:
        return cls.own_workers and bool(getattr(cls.loaded(), "own_workers", True))

    def _require_workers(self) -> None:
        if not self._has_workers():
            raise unittest.SkipTest("it has no workers of its own: own_workers = False")

    def _came(self, name: str) -> Outcome:
        """The outcome of a piece of work, whatever it is."""
        came = _employed(type(self)).came[name]
        if isinstance(came, TimeoutError):
            raise Violation(f"the future of a piece of work ({name}) was not done within {self.limit:g} s")
        if isinstance(came, Outcome):
            return came
        raise Violation(f"a piece of work ({name}) gave {_said(came)}; a future holds an Outcome, and never raises") from (
            came if isinstance(came, BaseException) else None
        )


@cache
def _employed(suite: type[ExecutorSuite]) -> Employed:
    """Once for all rules: to start workers takes seconds."""
    own_workers = suite._has_workers()
    with empty_folder():
        return employed(suite().executor(WORKERS if own_workers else 1), suite.limit, own_workers=own_workers)


def _said(came: Came) -> str:
    if isinstance(came, Outcome):
        return f"{came.state!r} ({came.reason!r}, {dict(came.figures)})"
    return f"{type(came).__name__} ({came})" if isinstance(came, BaseException) else repr(came)
