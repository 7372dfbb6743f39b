"""All runs of a folder, and the removal of some: only what bears our marker is removed, and nothing by halves."""

import os
import re
import shutil
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnas.core.errors import ConfigError, LnasError, RunError, RunInUseError
from lnas.host import documents, durable, lock, toml
from lnas.host.rundir import RunDirectory

_HIDDEN = re.compile(r"\..+\.\d+\.(removed|tmp)")
"""The names under which a run is removed or made: no run has one that begins with a dot."""
_MAKING = 3600.0
"""Seconds after which nobody makes a run any more that is still under its hidden name."""


@dataclass(frozen=True)
class Entry:
    """A run as a list shows it.

    Attributes:
        path: of its directory.
        state: running, finished, interrupted or failed as status.json says; stopped where that says running and nobody holds
            the lock, as after a kill; broken where it does not say.
        reason: why it is broken, or empty.
        stage, step, steps: where it stands.
        recipe: its name, or None where config.toml does not say.
        validation, test: accuracies of a finished run.
        exact: of a finished run, False where it was resumed on another torch, device or number of threads or processes.
        size: bytes in all its files.
        updated: when its status was written, in ISO 8601.
    """

    path: Path
    state: str
    reason: str = ""
    stage: str | None = None
    step: int = 0
    steps: int = 0
    recipe: str | None = None
    validation: float | None = None
    test: float | None = None
    exact: bool | None = None
    size: int = 0
    updated: str | None = None


def listed(out: Path) -> tuple[Entry, ...]:
    """The runs of a folder, the one whose status changed last at the end.

    Raises:
        RunError: where the folder cannot be read.
    """
    try:
        runs = [RunDirectory(path) for path in sorted(out.iterdir()) if not path.name.startswith(".")]
    except OSError as error:
        raise RunError(f"cannot read {out}: {error.strerror or error}; start a run with: lnas run") from error
    runs = [run for run in runs if marked(run) or (run.config.is_file() and os.path.lexists(run.status))]
    return tuple(_entry(run) for run in sorted(runs, key=_changed))


def leftovers(out: Path) -> tuple[Path, ...]:
    """What a process left that was killed while it removed a run, or while it made one: nobody does so now."""
    found = []
    for path in sorted(out.iterdir()) if out.is_dir() else ():
        run = RunDirectory(path)
        match = _HIDDEN.fullmatch(path.name)
        if match is None or path.is_symlink() or not path.is_dir():
            continue
        try:
            fresh = match[1] == "tmp" and time.time() - path.stat().st_mtime < _MAKING
            ours = marked(run) or not any(path.iterdir())  # the marker goes last
        except OSError:  # another process removes it now, or it is another user's
            continue
        if ours and not fresh and not _held(run):
            found.append(path)
    return tuple(found)


def removable(paths: Sequence[Path]) -> tuple[RunDirectory, ...]:
    """The runs at these paths, each once, all of which may be removed.

    Raises:
        RunError: naming the first that is no run, is a link, or that lnas did not make.
        RunInUseError: naming the first that somebody runs.
        ConfigError: where a path goes up, or one lies in another.
    """
    runs: dict[Path, RunDirectory] = {}
    for path in paths:
        if ".." in path.parts or not path.name:
            raise ConfigError(f"{path} is not the name of a run; give its own directory, without '..'")
        run = RunDirectory(path)
        if path.is_symlink():
            raise RunError(f"{path} is a link; nothing is removed: give the directory that it leads to, or remove the link")
        if not path.is_dir():
            raise RunError(f"{path} is no run; nothing is removed")
        if not marked(run):
            raise RunError(f"{path} holds no {run.marker.name}, so it is no run that lnas made; nothing is removed")
        if holder := _held(run):
            raise RunInUseError(f"{path} is in use by process {holder}; nothing is removed: wait until it ends, or stop it")
        runs.setdefault(path.resolve(), run)
    for place in runs:
        if inside := [other for other in runs if other != place and other.is_relative_to(place)]:
            raise ConfigError(f"{runs[inside[0]].path} lies in {runs[place].path}; nothing is removed: name one of them")
    return tuple(runs.values())


def remove(runs: Sequence[RunDirectory]) -> None:
    """Remove what `removable` gave.  Each leaves its name first, so that a kill leaves no half run under it.

    Raises:
        RunInUseError: where somebody began to run one meanwhile; nothing is removed then.
        RunError: where one cannot be removed; the others stay.
    """
    with ExitStack() as stack:
        for run in runs:
            stack.enter_context(run.locked())
        for run in runs:
            doomed = run.path.with_name(f".{run.path.name}.{os.getpid()}.removed")
            with durable.writing(run.path):
                os.rename(run.path, doomed)
                durable.sync_directory(run.path.parent)
            discard(doomed)


def discard(doomed: Path) -> None:
    """Remove a run that has left its name; links in it are removed, not followed.

    Raises:
        RunError: naming what cannot be removed.
    """
    run = RunDirectory(doomed)
    last = (run.lock, run.marker)  # the lock tells others that it is being removed, the marker that it was a run
    try:
        for path in (*(path for path in doomed.iterdir() if path not in last), *last):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        doomed.rmdir()
    except FileNotFoundError:  # another process removes it too
        pass
    except OSError as error:
        raise RunError(f"cannot remove {error.filename or doomed}: {error.strerror or error}; mend its permissions") from error


def size_of(path: Path) -> int:
    """Bytes in all files below a directory; links count as what they are, and what goes away meanwhile not at all."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                continue
    return total


def marked(run: RunDirectory) -> bool:
    """Whether `RunDirectory.create` made it."""
    try:
        return stat.S_ISREG(run.marker.lstat().st_mode)
    except OSError:
        return False


def actual(run: RunDirectory, said: str) -> str:
    """The state of a run of which status.json says `said`: stopped where that is running and nobody holds the lock.

    Raises:
        RunError: where the lock cannot be asked about.
    """
    if said == "finished" and not os.path.lexists(run.summary):  # it is written last
        said = "running"
    return "stopped" if said == "running" and not _held(run) else said


def _entry(run: RunDirectory) -> Entry:
    size = size_of(run.path)
    recipe = _recipe(run)
    try:
        status = documents.read(run.status)
        state, stage, step, steps, updated = (status[key] for key in ("state", "stage", "step", "steps", "updated"))
        if (
            not all(isinstance(text, str) for text in (state, updated, stage or ""))
            or type(step) is not int
            or type(steps) is not int
        ):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Entry(run.path, "broken", f"status.json: {_words(error)}", recipe=recipe, size=size)
    reason = "" if recipe is not None else "config.toml: cannot be read"
    validation, test, exact = None, None, None
    try:
        state = actual(run, state)
        if state == "finished":
            summary = documents.read(run.summary)
            validation, test = (float(summary["accuracy"][split]) for split in ("validation", "test"))
            exact = None if (said := summary.get("exact")) is None else said is True
    except RunError as error:
        reason = reason or str(error)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = reason or f"summary.json: {_words(error)}"
    return Entry(
        run.path,
        "broken" if reason else state,
        reason,
        stage=stage,
        step=step,
        steps=steps,
        recipe=recipe,
        validation=validation,
        test=test,
        exact=exact,
        size=size,
        updated=updated,
    )


def _words(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "missing"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return str(error) if isinstance(error, ValueError) else "it does not say what it should"


def _recipe(run: RunDirectory) -> str | None:
    try:
        table: Mapping[str, Any] = toml.parse(run.read_config().encode(), where=run.config)
    except LnasError:
        return None
    return str(table.get("recipe", ""))


def _held(run: RunDirectory) -> str | None:
    try:
        return lock.holder(run.lock)
    except OSError as error:
        raise RunError(f"cannot read {run.lock}: {error.strerror or error}") from error


def _changed(run: RunDirectory) -> tuple[int, str]:
    for path in (run.status, run.path):
        try:
            return path.stat().st_mtime_ns, run.path.name
        except OSError:
            continue
    return 0, run.path.name
