"""Runs what is left of a sweep: searches first where trials share them, as many at a time as the executor takes.

A worker that dies is replaced and its run goes on from its last checkpoint; a trial that fails is noted, and the others go on.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from lnas.core.errors import LnasError
from lnas.core.executor import Executor, Outcome, Plain, Work
from lnas.host import checkpoint
from lnas.host.signals import OUT_OF_TIME, UNLIMITED, Limits, StopRequest, listening
from lnas.sweep.collect import course
from lnas.sweep.directory import SweepDirectory
from lnas.sweep.planned import SweepPlan, Trial
from lnas.sweep.stopping import rule
from lnas.sweep.work import SEARCH, TRIAL, signal_of

PAUSE = 0.5
"""Seconds between two looks at signals and the clock, while trials run."""

MOST_LOSSES = 5
"""So often in a row may a worker die in one trial without a new checkpoint."""

Kind: TypeAlias = Literal["trial", "search"]
State: TypeAlias = Literal["waiting", "running", "paused", "done", "failed", "stopped"]


@dataclass(frozen=True)
class Told:
    """Something that happened, for who watches.

    Attributes:
        kind: of what it is about.
        name: of a trial, or the key of a search.
        what: "began", "done", "failed", "stopped", "lost" (its worker died; it is tried again).
        reason: why, in one line.
    """

    kind: Kind
    name: str
    what: Literal["began", "done", "failed", "stopped", "lost"]
    reason: str = ""


@dataclass(frozen=True)
class Counts:
    """How the trials of a sweep stand."""

    finished: int
    failed: int
    stopped: int
    left: int


class SweepInterrupted(LnasError):
    """The sweep was stopped; every run in it has a checkpoint.

    The exit code is 128 and the number of the signal, or 0 where its time was over.
    """

    def __init__(self, reason: int, again: str) -> None:
        self.exit_code = 128 + reason if reason else 0
        why = "the time is over" if reason == OUT_OF_TIME else f"stopped by signal {reason}"
        super().__init__(f"{why}; what ran has saved a checkpoint; to go on: {again}")


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


@dataclass
class Engine:
    """One call of a sweep.

    Attributes:
        directory: of the sweep; its lock is held.
        plan: what it runs.
        executor: who does the work.
        surroundings: what the work is told.
        tell: hears what happens.
        limits: what stops the sweep, beside SIGINT and SIGTERM.
        most: so many trials are begun at most; None for all.
    """

    directory: SweepDirectory
    plan: SweepPlan
    executor: Executor
    surroundings: Surroundings
    tell: Callable[[Told], None] = lambda told: None
    limits: Limits = UNLIMITED
    most: int | None = None
    _states: dict[tuple[Kind, str], State] = field(default_factory=dict)
    _flying: "dict[Future[Outcome], tuple[Kind, str]]" = field(default_factory=dict)
    _rungs: dict[str, int] = field(default_factory=dict)
    """How many rungs a trial has passed."""
    _losses: dict[tuple[Kind, str], tuple[int, str]] = field(default_factory=dict)
    """How often its worker died since which checkpoint."""
    _begun: set[str] = field(default_factory=set)

    def run(self, again: str) -> Counts:
        """All that is left, or as much as there is time for.

        Args:
            again: the command that goes on, for the message of one that was stopped.

        Raises:
            SweepInterrupted: after a signal, or where the time is over.
        """
        self._look()
        with listening(self.limits) as request, self._asking(request):
            while request.reason is None or self._flying:
                while request.reason is None and len(self._flying) < self.executor.workers and self._begin_next():
                    self._settle(request)  # an engine without workers has done it already
                if not self._flying:
                    break
                wait(self._flying, timeout=PAUSE, return_when=FIRST_COMPLETED)
                self._settle(request)
            if (reason := request.reason) is not None and self.counts().left:
                raise SweepInterrupted(reason, again)
        return self.counts()

    def counts(self) -> Counts:
        """How the trials stand."""
        states = [self._states["trial", trial.name] for trial in self.plan.trials]
        done, failed, stopped = (states.count(state) for state in ("done", "failed", "stopped"))
        return Counts(done, failed, stopped, len(states) - done - failed - stopped)

    def _look(self) -> None:
        """What was done before."""
        for key in self.plan.searches:
            outcome = self.directory.outcome(f"search-{key}")
            there = outcome is not None and outcome["state"] == "done" and self.directory.search_of(key).checkpoints.is_dir()
            self._states["search", key] = "done" if there else "waiting"
        for trial in self.plan.trials:
            outcome = self.directory.outcome(trial.name)
            state: State = "waiting"  # one that failed is tried again
            if self.directory.finished(trial.name):
                state = "done"
            elif outcome is not None and outcome["state"] == "stopped":
                state = "stopped"
            self._states["trial", trial.name] = state

    @contextmanager
    def _asking(self, request: StopRequest) -> Iterator[None]:
        """While the block runs, what runs is asked to stop once the sweep is.

        A thread does so: an engine without workers does its work in this one.
        """
        over = threading.Event()

        def watch() -> None:
            while not over.wait(PAUSE):
                if request.reason is not None:
                    self.directory.ask_to_stop()
                    return

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _begin_next(self) -> bool:
        """Begin the first piece of work that can begin.  False where none can."""
        self._judge()
        for trial in self.plan.trials:
            if self._states["trial", trial.name] != "waiting":
                continue
            if trial.search is not None:
                state = self._states["search", trial.search]
                if state == "failed":
                    outcome = self.directory.outcome(f"search-{trial.search}") or {}
                    self._end("trial", trial.name, Outcome("failed", f"its search failed: {outcome.get('reason', '')}"))
                    continue
                if state == "waiting" and self._may_begin(trial):
                    self._submit("search", trial.search, self._search(trial.search))
                    return True
                if state != "done":
                    continue
            if self._may_begin(trial):
                self._begun.add(trial.name)
                self._submit("trial", trial.name, self._trial(trial))
                return True
        return False

    def _may_begin(self, trial: Trial) -> bool:
        return self.most is None or trial.name in self._begun or len(self._begun) < self.most

    def _submit(self, kind: Kind, name: str, work: Work) -> None:
        self._states[kind, name] = "running"
        self.tell(Told(kind, name, "began"))
        self._flying[self.executor.submit(work)] = kind, name

    def _trial(self, trial: Trial) -> Work:
        rungs = self._rungs_of(trial)
        passed = self._rungs.get(trial.name, 0)
        directory = self.directory
        return Work(
            trial.name,
            TRIAL,
            {
                "directory": str(directory.run_of(trial.name).path.absolute()),
                "config": trial.config,
                "search": None if trial.search is None else str(directory.search_of(trial.search).path.absolute()),
                "sparsity": trial.sparsity,
                "until": rungs[passed] if passed < len(rungs) else None,
                "stop": str(directory.stop.absolute()),
                **self.surroundings.arguments(),
            },
            self.plan.threads,
        )

    def _search(self, key: str) -> Work:
        arguments = {
            "directory": str(self.directory.search_of(key).path.absolute()),
            "config": self.plan.searches[key],
            "stop": str(self.directory.stop.absolute()),
        }
        return Work(f"search-{key}", SEARCH, {**arguments, **self.surroundings.arguments()}, self.plan.threads)

    def _settle(self, request: StopRequest) -> None:
        """Note what became of the work that has ended."""
        for future in [future for future in self._flying if future.done()]:
            kind, name = self._flying.pop(future)
            error = future.exception()
            outcome = future.result() if error is None else Outcome("lost", f"{type(error).__name__}: {error}")
            if (signal := signal_of(outcome)) is not None and request.signal is None:
                request.signal = signal  # it was meant for the sweep, and the run was listening
            if outcome.state == "stopped":
                self._states[kind, name] = "waiting"
            elif outcome.state == "lost":
                self._lose(kind, name, outcome.reason)
            elif outcome.figures.get("paused") and kind == "trial":
                self._rungs[name] = self._rungs.get(name, 0) + 1
                self._states[kind, name] = "paused"
            else:
                self._end(kind, name, outcome)

    def _lose(self, kind: Kind, name: str, reason: str) -> None:
        run = self.directory.run_of(name) if kind == "trial" else self.directory.search_of(name)
        there = [path.name for path in checkpoint.every(run.checkpoints)]
        newest = there[-1] if there else ""
        times, since = self._losses.get((kind, name), (0, newest))
        times = times + 1 if since == newest else 1
        self._losses[kind, name] = times, newest
        if times >= MOST_LOSSES:
            self._end(kind, name, Outcome("failed", f"{reason}; its worker died {times} times without getting further"))
        else:
            self._states[kind, name] = "waiting"
            self.tell(Told(kind, name, "lost", reason))

    def _end(self, kind: Kind, name: str, outcome: Outcome) -> None:
        self.directory.write_outcome(name if kind == "trial" else f"search-{name}", outcome)
        assert outcome.state != "lost", "a worker that died is replaced, or makes its work a failed one"
        self._states[kind, name] = outcome.state
        self.tell(Told(kind, name, outcome.state, outcome.reason))

    def _rungs_of(self, trial: Trial) -> tuple[int, ...]:
        stopping = rule(self.plan.stopping)
        return () if stopping is None else stopping.rungs(trial.epochs)

    def _judge(self) -> None:
        """Once all that are left have come to their rung, the rule says who goes on."""
        stopping = rule(self.plan.stopping)
        paused = [trial for trial in self.plan.trials if self._states["trial", trial.name] == "paused"]
        if stopping is None or not paused:
            return
        rung = min(self._rungs[trial.name] for trial in paused)
        behind = [
            trial
            for trial in self.plan.trials
            if self._states["trial", trial.name] in ("waiting", "running")
            and self._rungs.get(trial.name, 0) < min(rung, len(self._rungs_of(trial)))
        ]
        if behind:
            return
        there = [trial for trial in paused if self._rungs[trial.name] == rung]
        courses = {trial.name: course(self.directory.run_of(trial.name))[: self._rungs_of(trial)[rung - 1]] for trial in there}
        survivors = stopping.survivors(courses)
        for trial in there:
            if trial.name in survivors:
                self._states["trial", trial.name] = "waiting"
            else:
                epoch = self._rungs_of(trial)[rung - 1]
                reason = f"given up by {self.plan.stopping} after epoch {epoch} of {trial.epochs}"
                self._end("trial", trial.name, Outcome("stopped", reason))
