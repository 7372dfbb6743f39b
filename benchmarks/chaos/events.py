"""SIGKILL before every file-system event of a run that saves at each step.

The audit hook of Python tells of every file that is opened for writing, of every folder made, name changed and name
removed; fsync, flock and pwrite, which it does not tell of, are wrapped.  A quiet run lists them: from the first folder,
over the saves at every step, to the report.  A try is a run that is killed just before one of them.  It holds if the newest
checkpoint is then the last that had its name, and whole, with none damaged; and if the run, resumed, or started again
where there was none, has left in the end what the quiet run leaves.
"""

import fcntl
import os
import shutil
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.chaos import child
from benchmarks.chaos.outcome import Outcome, progress
from benchmarks.chaos.tiny import RUN, Program, differing, directory, server, traces
from lnas.core.errors import RunError
from lnas.host import checkpoint

LONG = 1000
"""More than there are: all of them."""

NAMES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink")
WRAPPED: tuple[tuple[Any, str], ...] = ((os, "fsync"), (os, "pwrite"), (fcntl, "flock"))
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def counted(arguments: Sequence[str], log: str, kill: int) -> None:
    """In a child: `lnas ARGUMENTS`, saving at every step, every file event written to `log`; killed before the `kill`-th.

    Events are those on files below the working directory, but for the streams of the process; 0 kills never.
    """
    child.save_every(0.0)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    place, process, number = os.getcwd(), str(os.getpid()), 0

    def event(line: str) -> None:
        nonlocal number
        number += 1
        if number == kill:
            child.die()
        os.write(written, (line.replace(process, "PID") + "\n").encode())

    def hook(name: str, given: tuple[Any, ...]) -> None:
        if name == "open":
            path, _, flags = given
            if flags & _WRITES and isinstance(path, str | os.PathLike) and _below(path, place):
                event(f"open {_short(path, place)}")
        elif name in NAMES:
            paths = [entry for entry in given if isinstance(entry, str | os.PathLike)]
            if paths and _below(paths[0], place):
                event(f"{name.removeprefix('os.')} {' '.join(_short(path, place) for path in paths)}")

    def wrapped(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            event(name)
            return real(*given)

        return call

    for owner, name in WRAPPED:
        setattr(owner, name, wrapped(name, getattr(owner, name)))
    sys.addaudithook(hook)
    child.program(arguments)


def measure(count: int, seed: int, folder: Path) -> Outcome:
    """Kill a run before `count` of its file events, or all if there are fewer; they lie evenly, `seed` shifts them."""
    broken: list[str] = []
    with server() as forks:
        quiet = _Listed(forks, folder / "quiet")
        status = quiet.listed(0)
        if status:
            raise RuntimeError(f"the quiet run ended with status {status}: {quiet.last_words()}")
        events = quiet.events()
        expected = traces(directory(quiet.folder))
        tried = range(1 + seed % max(1, len(events) // count), len(events) + 1, max(1, len(events) // count))[:count]
        for number in tried:
            program = _Listed(forks, folder / f"event-{number}")
            if found := _wrong(program, number, events, expected):
                broken.append(f"killed before event {number} ({events[number - 1]}): {found}; left in {program.folder}")
            else:
                shutil.rmtree(program.folder)
            if number % 25 == 0:
                progress(f"event {number} of {len(events)}, {len(broken)} broken")
    kinds = Counter(f"events of the quiet run: {line.split()[0]}" for line in events)
    figures: dict[str, str | int | float] = {"events of the quiet run": len(events), **dict(sorted(kinds.items()))}
    return Outcome(len(tried), len(tried) - len(broken), figures, broken)


class _Listed(Program):
    """A program whose file events are listed."""

    def listed(self, kill: int) -> int:
        """The exit status of the run, from its beginning, killed before so many events."""
        self.log = self.folder / "events.txt"
        return self.wait(
            self._server.start(
                "benchmarks.chaos.events:counted", list(RUN), str(self.log), kill, folder=self.folder, errors=self.errors
            )
        )

    def events(self) -> list[str]:
        """Those of the last `listed`."""
        return self.log.read_text().splitlines()


def _wrong(program: _Listed, number: int, events: Sequence[str], expected: dict[str, object]) -> str:
    """Kill the run before that event, and let it go on: what is not as it should be, "" where all is."""
    status = program.listed(number)
    if status != -9:
        return f"it ended with status {status}: {program.last_words()}"
    if program.events() != list(events[: number - 1]):
        return "its events were not those of the quiet run"
    if found := _checkpoint_missing(directory(program.folder) / "checkpoints", events[: number - 1]):
        return found
    status = program.call(program.go_on(), longest=60.0)
    if status:
        return f"going on ended with status {status}: {program.last_words()}"
    return ", ".join(differing(expected, traces(directory(program.folder))))


def _checkpoint_missing(place: Path, events: Sequence[str]) -> str:
    """What is wrong with the newest checkpoint, if any had its name by then."""
    named = [words[2].rpartition("/")[2] for line in events if (words := line.split())[0] == "rename" and "/step-" in words[2]]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            path = checkpoint.latest(place)
            if path is not None:
                checkpoint.load(path)
    except (RuntimeWarning, RunError) as error:
        return str(error)
    newest = path.name if path else None
    return "" if newest == (named[-1] if named else None) else f"the newest checkpoint is {newest}, not {named[-1]}"


def _below(path: Any, place: str) -> bool:
    """Whether a path that is relative to the working directory, or absolute, lies in this folder."""
    return _absolute(path).startswith(f"{place}/")


def _short(path: Any, place: str) -> str:
    return _absolute(path).removeprefix(f"{place}/")


def _absolute(path: Any) -> str:
    return os.path.abspath(os.fsdecode(path))
