"""What a run shows while it runs: bars on a terminal, a line for each epoch and round elsewhere."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import assert_never

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from lnas.cli import output
from lnas.host.events import (
    EpochDone,
    Event,
    Finished,
    Observer,
    Pruned,
    Resumed,
    RolledBack,
    RunStarted,
    Saved,
    StageStarted,
    StepDone,
    Stopped,
)
from lnas.host.job import Job
from lnas.report.table import duration, percent
from lnas.report.text import line

_PAUSE = 0.1
"""Seconds between two drawings, at least."""

_BAR = 6, 40
_WORDS = 48
"""The narrowest and the widest bar, and the columns that are left for words.  A row must not reach the edge: the ^C that a
terminal shows there would begin a new line, and the rows above would be drawn one line off."""


@dataclass(frozen=True)
class Lengths:
    """Steps of an epoch and of a prune round of one stage."""

    epoch: int
    round: int


@contextmanager
def watching(job: Job) -> Iterator[Observer]:
    """The observer for where standard error goes; its display ends with the block, however that ends."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    stages = {stage.name: Lengths(job.stream.steps_per_epoch(stage.draws), stage.loop()[0]) for stage in job.pipeline.stages}
    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    if console.is_dumb_terminal:
        yield Lines()
        return
    with bars(console) as progress:
        yield Bars(progress, stages)


class Lines(Observer):
    """One line on standard error for each stage, epoch and round."""

    def notify(self, event: Event) -> None:
        """Print the line of an event, if it has one."""
        if (words := line_of(event)) is not None:
            output.note(words)
        if isinstance(event, EpochDone):
            _warn(event)
        if isinstance(event, RolledBack):
            output.warn(_back(event))


def line_of(event: Event) -> str | None:
    """An event in words; None for one that is not worth a line."""
    match event:
        case Resumed(progress, differences):
            with_another = f"; not the same as before: {', '.join(differences)}" if differences else ""
            return f"{progress.stage} goes on at step {progress.step} of {progress.steps}{with_another}"
        case StageStarted(progress, epochs):
            rounds = f", {_many(progress.rounds, 'prune round')}" if progress.rounds else ""
            return f"{progress.stage}: {_many(epochs, 'epoch')}, {_many(progress.steps, 'step')}{rounds}"
        case EpochDone(progress):
            left = event.seconds / progress.step * (progress.steps - progress.step)
            took = f"{duration(event.seconds)}, {duration(left)} left" if left else duration(event.seconds)
            return f"{progress.stage} epoch {event.epoch}/{event.epochs}: {', '.join([*_learned(event), *_pruned(event), took])}"
        case Pruned(progress):
            rewound = "" if event.rewind is None else f", rewound to step {event.rewind}"
            sparsity = f"{event.target} sparsity {event.attained:.4f}, {event.asked:.4f} asked"
            return f"{progress.stage} round {progress.round}/{progress.rounds}: {sparsity}{rewound}"
        case RunStarted() | RolledBack() | StepDone() | Saved() | Stopped() | Finished():
            return None
    assert_never(event)


def _learned(event: EpochDone) -> list[str]:
    """Loss and accuracy."""
    loss = event.metrics.get("loss")
    shown = [] if loss is None else [f"loss {loss:.4f}"]
    return [*shown, f"validation {percent(event.validation_accuracy)}"]


def _pruned(event: EpochDone) -> list[str]:
    """Sparsity and live paths, where there are any to speak of."""
    sparsity = [f"sparsity {event.sparsity:.4f}"] if event.progress.rounds else []
    return sparsity if event.live_paths is None else [*sparsity, f"{event.live_paths} live paths"]


def _warn(event: EpochDone) -> None:
    """Of each group that has just collapsed, one line."""
    for group in event.collapsed:
        empty = int(event.diagnosis[f"{group}/edges_without_weights"])
        output.warn(
            f"the search has collapsed: {_many(empty, 'edge')} of {group} learn nothing after {event.progress.stage} epoch"
            f" {event.epoch}; search for fewer epochs, with --strategy darts,unrolled=finite, or with robust-darts (lnas-robust)"
        )


def _back(event: RolledBack) -> str:
    return f"{event.error}; back to the last checkpoint, with another batch for that step ({event.times} of {event.most})"


def _many(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


class Bars(Observer):
    """Bars: one for each stage so far, and one each for the round and the epoch that is running."""

    def __init__(self, progress: Progress, stages: Mapping[str, Lengths]) -> None:
        self._progress = progress
        self._stages = stages
        self._rows: dict[str, TaskID] = {}
        self._epochs = 0
        self._drawn = 0.0

    def notify(self, event: Event) -> None:
        """Move the bars, and draw them unless they were drawn just now."""
        match event:
            case Resumed():
                output.note(line_of(event) or "")
            case StageStarted():
                self._start(event)
            case StepDone():
                self._move(event)
            case EpochDone():
                self._write("epoch", "  ".join(_learned(event)))
                self._write("round", "  ".join(_pruned(event)))
                _warn(event)
            case RolledBack():
                self._remove("round", "epoch", "stage")
                output.warn(_back(event))
            case Pruned():
                self._write("round", f"sparsity {event.attained:.4f}")
            case Finished():
                self._remove("round", "epoch")
        now = time.monotonic()
        if not isinstance(event, StepDone) or now - self._drawn >= _PAUSE:
            self._drawn = now
            self._progress.refresh()

    def _start(self, event: StageStarted) -> None:
        """The rows of a new stage stand below those of the stages before."""
        self._remove("round", "epoch")
        progress = event.progress
        self._add("stage", progress.stage, progress.steps, progress.step, f"{progress.step}/{progress.steps} steps")
        if progress.rounds:
            self._add("round", f"round {min(progress.round + 1, progress.rounds)}/{progress.rounds}", 1, 0)
        self._add("epoch", f"epoch 1/{event.epochs}", 1, 0)
        self._epochs = event.epochs

    def _move(self, event: StepDone) -> None:
        progress, lengths = event.progress, self._stages[event.progress.stage]
        self._progress.update(self._rows["stage"], completed=progress.step)
        self._write("stage", f"{progress.step}/{progress.steps} steps{self._time()}")
        epoch = max(0, progress.step - 1) // lengths.epoch
        length = min(lengths.epoch, progress.steps - epoch * lengths.epoch)  # the last one may be shorter
        name = f"epoch {epoch + 1}/{self._epochs}"
        self._progress.update(
            self._rows["epoch"], description=name, total=length, completed=progress.step - epoch * lengths.epoch
        )
        if "round" in self._rows:
            over = progress.round == progress.rounds
            position = lengths.round if over else progress.step - progress.round * lengths.round
            name = f"round {min(progress.round + 1, progress.rounds)}/{progress.rounds}"
            self._progress.update(self._rows["round"], description=name, total=lengths.round, completed=position)

    def _time(self) -> str:
        """What is left of the stage, or what it took."""
        stage = next(task for task in self._progress.tasks if task.id == self._rows["stage"])
        if stage.finished:
            return f"  {duration(stage.finished_time or 0)}"
        return "" if stage.time_remaining is None else f"  {duration(stage.time_remaining)} left"

    def _add(self, row: str, name: str, total: int, completed: int, words: str = "") -> None:
        self._rows[row] = self._progress.add_task(line(name), total=total, completed=completed, words=words)

    def _write(self, row: str, words: str) -> None:
        if row in self._rows:
            self._progress.update(self._rows[row], words=words)

    def _remove(self, *rows: str) -> None:
        for row in rows:
            if row in self._rows:
                self._progress.remove_task(self._rows.pop(row))


def bars(console: Console) -> Progress:
    """A display of bars that is drawn when it is told to: no thread beside the one that trains."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=max(_BAR[0], min(_BAR[1], console.width - _WORDS))),
        TextColumn("{task.fields[words]}", markup=False),
        console=console,
        auto_refresh=False,
    )
