"""What a sweep shows while it runs: all that runs now on a terminal, a line for each beginning and end elsewhere."""

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
from lnas.sweep.engine import Told
from lnas.sweep.planned import SweepPlan

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
    _failed: int = 0
    _before: int = 0
    _began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._ended = {trial.name for trial in self.plan.trials if self.directory.finished(trial.name)}
        self._before = len(self._ended)

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
                accuracies = course(self.directory.run_of(told.name))
                reached = f": validation {percent(accuracies[-1])}" if accuracies else ""
                return f"{of} {name}{reached}{self._left()}"
            case "done":
                return f"{name} is done"
            case "lost":
                return f"{name}: {told.reason}; it goes on with another worker"
            case "stopped":
                return f"{of} {name} {told.reason}"
        return f"{of} {name} failed: {told.reason}" if told.kind == "trial" else f"{name} failed: {told.reason}"

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
        accuracies = course(run) if kind == "trial" else ()
        words = [] if stage is None else [f"{stage} {step:,}/{steps:,}"]
        words += [f"validation {percent(accuracies[-1])}"] if accuracies else []
        return Text(shown), ProgressBar(total=max(steps, 1), completed=step, width=_BAR), Text("  ".join(words) or "begins")

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
