"""What a sweep shows while it runs: all that runs now on a terminal, a line for each end and each shared search elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lnas.cli import output
from lnas.host import documents
from lnas.host.rundir import RunDirectory
from lnas.report.table import duration, percent
from lnas.report.text import line
from lnas.sweep.collect import course
from lnas.sweep.directory import SweepDirectory
from lnas.sweep.planned import SweepPlan
from lnas.sweep.told import Told

PER_SECOND = 2
"""Drawings; each reads a small file of every trial that runs."""

_BAR, _NAME = 24, 44


@contextmanager
def watching(directory: SweepDirectory, plan: SweepPlan, workers: int) -> Iterator[Callable[[Told], None]]:
    """What to tell; a display ends with the block, however that ends."""
    watch = Watch(directory, plan, workers)
    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    if not sys.stderr.isatty() or console.is_dumb_terminal:
        yield lambda told: _say(watch, told)
        return
    with Live(get_renderable=watch.drawn, console=console, refresh_per_second=PER_SECOND, transient=True) as live:

        def hear(told: Told) -> None:
            watch.hear(told)
            if (words := watch.words(told)) is not None and told.what != "began":
                live.console.print(line(words), soft_wrap=True)
            live.refresh()

        yield hear


def _say(watch: "Watch", told: Told) -> None:
    watch.hear(told)
    if (words := watch.words(told)) is not None:
        output.note(words)


@dataclass
class Watch:
    """How the sweep stands, by what was heard and by the files of the runs.

    Attributes:
        directory: of the sweep.
        plan: what it runs.
        workers: trials at a time.
        running: (kind, name) -> since when, by `time.monotonic()`.
    """

    directory: SweepDirectory
    plan: SweepPlan
    workers: int
    running: dict[tuple[str, str], float] = field(default_factory=dict)
    _ended: set[str] = field(default_factory=set)
    _reached: dict[str, tuple[tuple[int, int], float | None]] = field(default_factory=dict)
    """Of each run, the journal by size and time, and the accuracy that it told."""
    _failed: int = 0
    _before: int = 0
    _began: float = 0.0

    def __post_init__(self) -> None:
        """What ended in an earlier call and is not run again; a trial that failed is."""
        for trial in self.plan.trials:
            outcome = self.directory.outcome(trial.name) or {}
            if outcome.get("state") == "stopped" or self.directory.finished(trial.name):
                self._ended.add(trial.name)
        self._before, self._began = len(self._ended), time.monotonic()

    def hear(self, told: Told) -> None:
        """Something happened."""
        if told.what == "began":
            self.running[told.kind, told.name] = time.monotonic()
            return
        self.running.pop((told.kind, told.name), None)
        if told.kind == "trial" and told.what in ("done", "failed", "stopped"):
            self._ended.add(told.name)
            self._failed += told.what == "failed"

    def words(self, told: Told) -> str | None:
        """What happened, in a line; None where that is not worth one."""
        of = f"{len(self._ended)}/{len(self.plan.trials)}"
        name = told.name if told.kind == "trial" else f"search {told.name}"
        match told.what:
            case "began":
                return None if told.kind == "trial" else f"{name} begins, shared by {self._sharing(told.name)} trials"
            case "done" if told.kind == "trial":
                accuracy = self._accuracy(told.name)
                reached = "" if accuracy is None else f": validation {percent(accuracy)}"
                return f"{of} {name}{reached}{self._left()}"
            case "done":
                return f"{name} is done"
            case "lost":
                return f"{name}: {told.reason}; it goes on with another worker"
            case "stopped":
                return f"{of} {name} {told.reason}"
            case "failed":
                return f"{of} {name} failed: {told.reason}" if told.kind == "trial" else f"{name} failed: {told.reason}"
        return None  # it waits for others

    def drawn(self) -> RenderableType:
        """All of it, for a terminal."""
        total = len(self.plan.trials)
        rows = Table.grid(padding=(0, 1))
        rows.add_row(Text("trials"), ProgressBar(total=total, completed=len(self._ended), width=_BAR), Text(self._standing()))
        for kind, name in list(self.running):
            rows.add_row(*self._row(kind, name))
        return Group(rows)

    def _row(self, kind: str, name: str) -> Sequence[RenderableType]:
        run = self.directory.run_of(name) if kind == "trial" else self.directory.search_of(name)
        shown = line(name if kind == "trial" else f"search {name}", most=_NAME)
        stage, step, steps = _standing(run)
        accuracy = self._accuracy(name) if kind == "trial" else None
        words = [] if stage is None else [f"{stage} {step:,}/{steps:,}"]
        words += [] if accuracy is None else [f"validation {percent(accuracy)}"]
        return Text(shown), ProgressBar(total=max(steps, 1), completed=step, width=_BAR), Text("  ".join(words) or "begins")

    def _accuracy(self, name: str) -> float | None:
        """Validation accuracy after the last epoch of a trial's training; its journal is read once it has grown."""
        run = self.directory.run_of(name)
        try:
            found = run.metrics.stat()
        except OSError:
            return None
        mark = found.st_size, found.st_mtime_ns
        known = self._reached.get(name)
        if known is None or known[0] != mark:
            known = self._reached[name] = mark, next(reversed(course(run)), None)
        return known[1]

    def _standing(self) -> str:
        failed = f"  {self._failed} failed" if self._failed else ""
        return f"{len(self._ended)}/{len(self.plan.trials)}{failed}{self._left()}"

    def _left(self) -> str:
        """How long the rest takes, by the mean of those that were done now."""
        now = len(self._ended) - self._before
        rest = len(self.plan.trials) - len(self._ended)
        if now < 1 or not rest:
            return ""
        return f", about {duration((time.monotonic() - self._began) / now * rest)} left"

    def _sharing(self, key: str) -> int:
        return sum(trial.search == key for trial in self.plan.trials)


def _standing(run: RunDirectory) -> tuple[str | None, int, int]:
    """Stage, step and steps, as the last epoch left them."""
    try:
        status = documents.read(run.status)
        return status["stage"], int(status["step"]), int(status["steps"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, 0, 0
