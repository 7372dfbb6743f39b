"""Who runs the trials of a sweep, and where: one after the other, in processes, on a cluster."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from importlib import import_module
from typing import ClassVar, Literal, TypeAlias

from lnas.core.one_line import in_one_line

Plain: TypeAlias = str | int | float | bool | None
OutcomeState: TypeAlias = Literal["done", "stopped", "failed", "lost"]


@dataclass(frozen=True)
class Outcome:
    """What became of a piece of work.

    Attributes:
        state: "done"; "stopped" between two steps, by request; "failed" by an error that a second try would meet again;
            "lost" where whoever did it died: killed, out of memory, its machine gone.
        reason: why it is not done, in one line.
        figures: what the work measured, by name.

    Raises:
        TypeError: where a figure is not plain.
    """

    state: OutcomeState
    reason: str = ""
    figures: Mapping[str, Plain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_plain("figure", self.figures)


@dataclass(frozen=True)
class Work:
    """A piece of work in plain words, so that any engine can carry it to where it is done.

    Attributes:
        name: of what it is about, for the lists of an engine.
        target: "module:function"; it is called with the arguments by keyword and returns an `Outcome`.
        arguments: of the call; every path in them is absolute.
        threads: of torch, in whoever does it: a result depends on their number.

    Raises:
        TypeError: where an argument is neither plain nor a tuple of text.
    """

    name: str
    target: str
    arguments: Mapping[str, Plain | tuple[str, ...]]
    threads: int = 1

    def __post_init__(self) -> None:
        _require_plain("argument", {key: value for key, value in self.arguments.items() if not _is_words(value)})

    def do(self) -> Outcome:
        """Do it, here and now, with that many threads.  It may be done again, or by two at once: the target minds that."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        module, _, function = self.target.partition(":")
        try:
            outcome = getattr(import_module(module), function)(**self.arguments)
        finally:
            torch.set_num_threads(before)
        if not isinstance(outcome, Outcome):
            raise TypeError(f"{self.target} returned a {type(outcome).__name__}, not an Outcome")
        return outcome

    def attempt(self) -> Outcome:
        """`do`, for an engine: "failed" with a reason where it raises; only a `KeyboardInterrupt` goes on to the caller."""
        try:
            return self.do()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # foreign code: it may even exit
            return Outcome("failed", in_one_line(error))


class Executor(ABC):
    """Does pieces of work, up to `workers` at a time, and never tries one twice: who asked for it decides that.

    All workers see the files of who submits, under the same paths.  One asks a piece of work to stop by a file that it
    watches, so an engine needs no way to tell it.

    Attributes:
        own_workers: whether it has workers of its own; not where `submit` itself does the work, one piece after the other.
        workers: pieces of work at a time, at least 1.  Who submits keeps to it.
    """

    own_workers: ClassVar[bool] = True
    workers: int

    @abstractmethod
    def submit(self, work: Work) -> "Future[Outcome]":
        """Begin a piece of work; `work.attempt()` is called in the main thread of whoever does it.

        The future holds what it returned, and "lost" where the worker died: it never raises.  An engine that has no worker of
        its own does it now, and returns a future that is done.
        """

    @abstractmethod
    def close(self) -> None:
        """End all workers, at once where one is still busy, whose piece is "lost" unless it stops by itself.

        Every future is done when it returns, and no worker is left, but for jobs that a batch system has been told to end and
        takes its time for.  May be called twice.
        """


def _require_plain(what: str, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        if value is not None and not isinstance(value, str | int | float | bool):
            raise TypeError(f"{what} {name} is a {type(value).__name__}; it must be text, a number, true or false, or None")


def _is_words(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(word, str) for word in value)
