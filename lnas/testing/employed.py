"""An engine at work, once for all of its rules: what it was asked to do, and what came of it."""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from lnas.core.executor import Executor, Outcome, Work

WORKERS = 2
"""Of an engine that has its own."""

Came: TypeAlias = Outcome | BaseException
"""What a future gave: an outcome, or what it raised, a `TimeoutError` where it was not done in time."""


def work(target: str, threads: int = 1, **arguments: Any) -> Work:
    """A piece of `lnas.testing.work`."""
    return Work(f"{target}, for the suite", f"lnas.testing.work:{target}", arguments, threads)


SUM = work("add", left=2, right=3)
PIECES: Mapping[str, Work] = {
    "sum": SUM,
    "stop": work("answer", state="stopped", reason="asked to — é", number=0.1, text='"\n\\ü'),
    "arguments": work("received", text="é\n", whole=-(2**60), real=1e-7, flag=True, nothing=None, words=("a", "", "c,d")),
    "error": work("fail", words="out of sorts\n  on line two"),
    "missing": work("no_such_function"),
    "nothing": work("forget"),
    "threads": work("compute", 2, steps=0),  # to compute with two would be slow where others compute, too
    "bytes": work("compute", 1, steps=3),
}
"""Pieces that every engine can do, by name."""


@dataclass(frozen=True)
class Employed:
    """What an engine was seen to do.

    Attributes:
        came: of each piece, by its name.
        early: names of the pieces that were not done when `submit` returned.
        begun: how often the piece that kills its worker was begun.
        held: whether a piece still ran when `close` had returned; None where none had begun.
    """

    came: Mapping[str, Came]
    early: frozenset[str] = frozenset()
    begun: int = 0
    held: bool | None = None


@contextmanager
def closing(engine: Executor) -> Iterator[Executor]:
    """The engine, which is closed at the end."""
    try:
        yield engine
    finally:
        engine.close()


def employed(engine: Executor, limit: float, *, own_workers: bool) -> Employed:
    """Let an engine do all that can be asked of it; it is closed afterwards, twice.

    Args:
        engine: with 1 worker, or with `WORKERS` of its own.
        limit: seconds for each piece.
        own_workers: whether a worker may be killed.
    """
    came: dict[str, Came] = {}
    early: set[str] = set()
    begun, held = 0, None
    with tempfile.TemporaryDirectory(prefix="lnas-work-") as folder, closing(engine):
        place = Path(folder)
        _plain(engine, limit, came, early)
        if own_workers:
            _met(engine, place / "meeting", limit, came)
            begun = _killed(engine, place, limit, came)
            held = _closed(engine, place / "lock", limit, came)
        engine.close()
    return Employed(came, frozenset(early), begun, held)


def result(future: "Future[Outcome] | BaseException", limit: float) -> Came:
    """What a future gave, or the error in place of one."""
    if isinstance(future, BaseException):
        return future
    try:
        return future.result(limit)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # an engine is foreign code
        return error


def _submitted(engine: Executor, piece: Work) -> "Future[Outcome] | BaseException":
    try:
        return engine.submit(piece)
    except Exception as error:
        return error


def _plain(engine: Executor, limit: float, came: dict[str, Came], early: set[str]) -> None:
    """All pieces, as many at a time as there are workers."""
    waiting: dict[Future[Outcome], str] = {}
    for name, piece in PIECES.items():
        future = _submitted(engine, piece)
        if not isinstance(future, Future):
            came[name] = future if isinstance(future, BaseException) else TypeError(f"submit returned {future!r}, no Future")
            continue
        waiting[future] = name
        if not future.done():
            early.add(name)
        if len(waiting) == engine.workers:
            done, _ = wait(waiting, limit, FIRST_COMPLETED)
            for one in done or list(waiting):  # none: they are given up
                came[waiting.pop(one)] = result(one, 0)
    for future, name in waiting.items():
        came[name] = result(future, limit)


def _met(engine: Executor, folder: Path, limit: float, came: dict[str, Came]) -> None:
    folder.mkdir()
    names = [f"meeting {number}" for number in range(WORKERS)]
    pieces = [work("meet", folder=str(folder), name=name, number=WORKERS, limit=limit) for name in names]
    futures = [_submitted(engine, piece) for piece in pieces]
    came.update({name: result(future, 2 * limit) for name, future in zip(names, futures, strict=True)})


def _killed(engine: Executor, place: Path, limit: float, came: dict[str, Came]) -> int:
    """One worker dies beside one that works, and the next piece is asked for."""
    other = _submitted(engine, work("wait", path=str(place / "go on"), limit=limit))
    dying = _submitted(engine, work("die", path=str(place / "begun")))
    came["dying"] = result(dying, limit)
    came["next"] = result(_submitted(engine, SUM), limit)
    (place / "go on").touch()
    came["other"] = result(other, limit)
    return len((place / "begun").read_text().splitlines()) if (place / "begun").exists() else 0


def _closed(engine: Executor, path: Path, limit: float, came: dict[str, Came]) -> bool | None:
    """Close an engine of which a worker is busy; whether that one is still there then."""
    future = _submitted(engine, work("stay", path=str(path), limit=10 * limit))
    until = time.monotonic() + limit
    while not (path.exists() and path.stat().st_size) and time.monotonic() < until:
        time.sleep(0.01)
    engine.close()
    came["busy"] = result(future, limit)
    return _is_held(path) if path.exists() and path.stat().st_size else None


def _is_held(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
