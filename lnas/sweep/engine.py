"""Runs what is left of a sweep: searches first where trials share them, as many at a time as the executor takes.

A worker that dies is replaced and its run goes on from its last checkpoint; a trial that fails is noted, and the others go on.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from lnas.core.executor import Executor, Outcome, Work
from lnas.host.adopt import whole
from lnas.host.signals import UNLIMITED, Limits, StopRequest, listening
from lnas.sweep.collect import course
from lnas.sweep.deaths import Deaths
from lnas.sweep.directory import SweepDirectory
from lnas.sweep.planned import SweepPlan, Trial
from lnas.sweep.rungs import Rungs
from lnas.sweep.stopping import rule
from lnas.sweep.told import Counts, Kind, SweepInterrupted, Told
from lnas.sweep.work import SEARCH, TRIAL, Surroundings, signal_of

PAUSE = 0.5
"""Seconds between two looks at signals and the clock, while trials run."""

GRACE = 60.0
"""Seconds that what runs has to save a checkpoint and end, once the sweep is asked to stop."""

State: TypeAlias = Literal["waiting", "running", "done", "failed", "stopped"]


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
    _pending: "dict[Future[Outcome], tuple[Kind, str]]" = field(default_factory=dict)
    _deaths: Deaths = field(default_factory=Deaths)
    _begun: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._rungs = Rungs(rule(self.plan.stopping), self.plan.trials)

    def run(self, again: str) -> Counts:
        """All that is left, or as much as there is time for.

        Args:
            again: the command that goes on, for the message of one that was stopped.

        Raises:
            SweepInterrupted: after a signal, where the time is over, or where the file `stop` is put into the directory.
        """
        self._look()
        with listening(replace(self.limits, file=self.directory.stop)) as request, self._asking(request):
            while request.reason is None:
                while request.reason is None and len(self._pending) < self.executor.workers and self._begin_next():
                    self._settle(request)  # an engine without workers has done it already
                if not self._pending:
                    if request.reason is not None or not self._is_early():
                        break
                    time.sleep(PAUSE)
                wait(self._pending, timeout=PAUSE, return_when=FIRST_COMPLETED)
                self._settle(request)
            end = time.monotonic() + GRACE
            while self._pending and time.monotonic() < end:
                wait(self._pending, timeout=PAUSE, return_when=FIRST_COMPLETED)
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
            there = outcome is not None and outcome["state"] == "done" and whole(self.directory.search_of(key)) is not None
            self._states["search", key] = "done" if there else "waiting"
        for trial in self.plan.trials:
            outcome = self.directory.outcome(trial.name)
            state: State = "waiting"  # one that failed is tried again
            if self.directory.finished(trial.name):
                state = "done"
            elif outcome is not None and outcome["state"] == "stopped":
                state = "stopped"
                self._rungs.given_up[trial.name] = len(course(self.directory.run_of(trial.name)))
            self._states["trial", trial.name] = state
            self._read_course(trial.name)

    def _read_course(self, name: str) -> None:
        if self.plan.stopping is not None:
            self._rungs.courses[name] = course(self.directory.run_of(name))

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
        self._fail_with_their_search()  # first, for others may have waited for those
        self._give_up()
        for trial in self.plan.trials:
            if self._states["trial", trial.name] != "waiting" or self._rungs.waits(trial) or not self._may_begin(trial):
                continue
            if trial.search is None or self._states["search", trial.search] == "done":
                if not self._deaths.waits(trial.name):
                    self._submit("trial", trial.name, self._trial(trial))
                    return True
            elif self._states["search", trial.search] == "waiting" and not self._deaths.waits(trial.search):
                self._submit("search", trial.search, self._search(trial.search))
                self._begun.add(trial.name)
                return True
        return False

    def _fail_with_their_search(self) -> None:
        for trial in self.plan.trials:
            if self._states["trial", trial.name] != "waiting" or trial.search is None:
                continue
            if self._states["search", trial.search] == "failed":
                outcome = self.directory.outcome(f"search-{trial.search}") or {}
                self._end("trial", trial.name, Outcome("failed", f"its search failed: {outcome.get('reason', '')}"))

    def _may_begin(self, trial: Trial) -> bool:
        return self.most is None or trial.name in self._begun or len(self._begun) < self.most

    def _is_early(self) -> bool:
        """Whether something waits for no more than the time of its next try."""
        return any(state == "waiting" and self._deaths.waits(name) for (_, name), state in self._states.items())

    def _submit(self, kind: Kind, name: str, work: Work) -> None:
        self._states[kind, name] = "running"
        if kind == "trial":
            self._begun.add(name)
        self.directory.forget_outcome(work.name)
        self.tell(Told(kind, name, "began"))
        self._pending[self.executor.submit(work)] = kind, name

    def _trial(self, trial: Trial) -> Work:
        directory = self.directory
        return Work(
            trial.name,
            TRIAL,
            {
                "directory": str(directory.run_of(trial.name).path.absolute()),
                "config": trial.config,
                "search": None if trial.search is None else str(directory.search_of(trial.search).path.absolute()),
                "sparsity": trial.sparsity,
                "until": self._rungs.until(trial),
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
        for future in [future for future in self._pending if future.done()]:
            kind, name = self._pending.pop(future)
            error = future.exception()
            outcome = future.result() if error is None else Outcome("lost", f"{type(error).__name__}: {error}")
            if (signal := signal_of(outcome)) is not None and request.signal is None:
                request.signal = signal  # it was meant for the sweep, and the run was listening
            if outcome.state == "stopped":
                request.look()  # at what made it stop
            if kind == "trial":
                self._read_course(name)
            if outcome.state == "lost" and request.reason is None:
                self._lose(kind, name, outcome.reason)
            elif outcome.state in ("stopped", "lost") or (outcome.figures.get("paused") and kind == "trial"):
                self._states[kind, name] = "waiting"
                self.tell(Told(kind, name, "paused", outcome.reason))
            else:
                self._end(kind, name, outcome)

    def _lose(self, kind: Kind, name: str, reason: str) -> None:
        """The worker died, or could not begin: another one goes on, unless that has happened too often."""
        times = self._deaths.count(name, self.directory.run_of(name) if kind == "trial" else self.directory.search_of(name))
        if self._deaths.hopeless(name):
            self._end(kind, name, Outcome("failed", f"{reason}; it was lost {times} times without getting further"))
        else:
            self._states[kind, name] = "waiting"
            self.tell(Told(kind, name, "lost", reason))

    def _end(self, kind: Kind, name: str, outcome: Outcome) -> None:
        self.directory.write_outcome(name if kind == "trial" else f"search-{name}", outcome)
        assert outcome.state != "lost", "a worker that died is replaced, or makes its work a failed one"
        self._states[kind, name] = outcome.state
        if outcome.state == "failed":
            self._rungs.out.add(name)
        self.tell(Told(kind, name, outcome.state, outcome.reason))

    def _give_up(self) -> None:
        """End those that the rule gives up, now that all have come to their rung."""
        if self.plan.stopping is None:
            return
        epochs = {trial.name: trial.epochs for trial in self.plan.trials}
        for name, epoch in self._rungs.judge().items():
            reason = f"given up by {self.plan.stopping} after epoch {epoch} of {epochs[name]}"
            self._end("trial", name, Outcome("stopped", reason))
