"""What a worker does: a trial, or a search that several trials begin with.  Each is a run in its directory, and goes on there."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import TypeVar

from lnas import cost
from lnas.core.errors import LnasError, RunInUseError
from lnas.core.executor import Outcome, Plain
from lnas.host import documents, models
from lnas.host.adopt import adopt
from lnas.host.assemble import reopen
from lnas.host.chosen import of_plugins
from lnas.host.foreign import aside, in_one_line
from lnas.host.job import WATCHING, Job
from lnas.host.plugins import Host
from lnas.host.rundir import RunDirectory
from lnas.host.signals import ASKED, REACHED, Interrupted, Limits
from lnas.host.switches import Switches

TRIAL, SEARCH = "lnas.sweep.work:trial", "lnas.sweep.work:search"
"""Targets of the work of a sweep."""

PATIENCE = 30.0
"""Seconds to wait for a worker whose sweep was killed: it notices, saves and ends."""

T = TypeVar("T")


@dataclass(frozen=True)
class Surroundings:
    """What all work of a sweep is told.

    Attributes:
        folder: where relative paths begin.
        command: what was typed.
        no_plugins, disable, files: the switches of the plugins.
    """

    folder: str
    command: tuple[str, ...] = ()
    no_plugins: bool = False
    disable: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def arguments(self) -> dict[str, Plain | tuple[str, ...]]:
        """As keywords of `lnas.sweep.work`."""
        return {
            "folder": self.folder,
            "command": self.command,
            "no_plugins": self.no_plugins,
            "disable": self.disable,
            "files": self.files,
        }


def trial(
    *,
    directory: str,
    config: str,
    search: str | None,
    sparsity: float,
    until: int | None,
    stop: str,
    folder: str,
    command: tuple[str, ...],
    no_plugins: bool,
    disable: tuple[str, ...],
    files: tuple[str, ...],
) -> Outcome:
    """Run a trial to its end, from where it stands.

    Args:
        directory: of its run; made where it is missing.
        config: resolved, as TOML.
        search: the directory of the run that did its search, or None.
        sparsity: asked of its row, for `nni_compat`.
        until: the epoch of its training after which it pauses, or None.
        stop: while this file is there, it stops after its step.
        folder: where relative paths begin.
        command: what was typed, for the record.
        no_plugins: whether installed plugins are left out.
        disable: plugins that are left out, by name.
        files: plugins of a single file.

    Returns:
        "done" with the figure `nni_compat`, or with `paused`.
    """

    def work(host: Host) -> Outcome:
        run = _opened(Path(directory), config)
        if not run.finished():
            job, run = reopen(run.path, host)
            with run.locked():
                run.clear()
                if search is not None:
                    adopt(run, RunDirectory.open(Path(search)), plugins=_plugins(job), keep=job.config.keep)
                limits = Limits(file=Path(stop), until=None if until is None else ("train", until))
                job.run(run, command=command, limits=limits)
        try:
            documents.read(run.summary)
        except ValueError as error:  # its test set was read once, and is not read again
            return Outcome("failed", f"{run.summary}: {error}; remove {run.path} to run the trial again")
        network, task, _ = models.loaded(run, host)
        return Outcome("done", figures={"nni_compat": cost.nni_compat(network, task.shape, sparsity)})

    return _done(work, folder, no_plugins, disable, files)


def search(
    *,
    directory: str,
    config: str,
    stop: str,
    folder: str,
    command: tuple[str, ...],
    no_plugins: bool,
    disable: tuple[str, ...],
    files: tuple[str, ...],
) -> Outcome:
    """Run a search to its end, where the trials that share it begin.  Arguments as in `trial`."""

    def work(host: Host) -> Outcome:
        job, run = reopen(_opened(Path(directory), config).path, host)
        job.run(run, command=command, limits=Limits(file=Path(stop), until=("search", None)))
        return Outcome("done")  # a search without a training after it

    return _done(work, folder, no_plugins, disable, files)


def _done(
    work: Callable[[Host], Outcome], folder: str, no_plugins: bool, disable: tuple[str, ...], files: tuple[str, ...]
) -> Outcome:
    """What became of it: whatever goes wrong is said, and ends nobody but this."""
    here = os.getcwd()
    try:
        os.chdir(folder)
        with aside():
            switches = Switches.of(os.environ, no_plugins=no_plugins, disable=disable, files=[Path(file) for file in files])
            return _patient(lambda: work(Host(switches=switches)))
    except Interrupted as stop:
        if stop.reason == REACHED:
            return Outcome("done", figures={"paused": True})
        figures = {} if stop.reason == ASKED else {"signal": int(stop.reason), **_here()}
        return Outcome("stopped", in_one_line(stop), figures)
    except RunInUseError as error:
        return Outcome("lost", in_one_line(error))  # whoever runs it may end
    except LnasError as error:
        return Outcome("failed", in_one_line(error))
    finally:
        os.chdir(here)


def _patient(work: Callable[[], T]) -> T:
    """Wait for a worker of a sweep that was killed, which still writes there."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return work()
        except RunInUseError:
            if time.monotonic() >= end:
                raise
            time.sleep(0.25)


def _opened(path: Path, config: str) -> RunDirectory:
    if path.exists():
        return RunDirectory.open(path)
    return RunDirectory.create(path.parent, name=path.name, recipe="", data="", seed=0, config=config)


def _plugins(job: Job) -> dict[str, str]:
    return of_plugins(part for part in job.parts if part.kind not in WATCHING)


def signal_of(outcome: Outcome) -> Signals | None:
    """The signal that stopped work of this very process, which meant the sweep; None where none did."""
    if "signal" not in outcome.figures or any(outcome.figures.get(key) != value for key, value in _here().items()):
        return None
    return Signals(int(outcome.figures["signal"] or 0))


def _here() -> dict[str, Plain]:
    return {"process": os.getpid(), "machine": platform.node()}
