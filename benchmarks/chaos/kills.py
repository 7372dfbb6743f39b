"""SIGKILL at every step and at random moments of a run, then five times in a row as it is resumed.

A try is one run of generalized LNAS that was killed, with all the resumptions that followed, the last of which came to
the end.  It holds if the run then has left what the quiet run leaves, byte for byte but for clock time: the digest, the
journal, the genotype, the weights, the masks, the tensors of the last checkpoint.  Every other try is killed at a boundary,
all of them in turn: before and after each step, between the masks and the rewind of each prune round, before and after
each save, before and after the final evaluation.  The others are killed at a moment drawn from the whole time that the
quiet run takes, from the start of the process to its end.  Checkpoints are made at every step, or as often as the seconds
that were drawn allow, so that a run may have lost much since its last one.

A process that is killed before there is a run to resume has lost nothing: what was typed is typed again.  One that is not
killed must have finished the run with exit status 0; whatever else it ends with is broken.  The short form of the test suite
has boundaries alone, and checkpoints at every step, so that nothing depends on the clock.
"""

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.chaos.outcome import Outcome, progress
from benchmarks.chaos.tiny import RUN, STEPS, Program, differing, directory, finished, newest_step, server, traces

LONG = 300
IN_A_ROW = 5
"""Kills during resumption, in each try."""
STARTS = 50
"""Of one try at most, until a process is killed before it has come to its end."""
SELDOM = (0.0, 0.05, 0.2, 60.0)
"""Seconds between two checkpoints at least, one drawn for each process; 60 is what lnas has, longer than the run."""

BOUNDARIES: tuple[tuple[str, int], ...] = (
    *((moment, step) for moment in ("before a step", "after a step") for step in range(1, STEPS + 1)),
    *(("between masks and rewind", number) for number in range(1, 5)),
    *((moment, number) for moment in ("before a save", "after a save") for number in range(1, STEPS + 1)),
    *((moment, 1) for moment in ("before the end", "after the end")),
)
"""Moments, and how many-th in a run that saves at every step."""
RESUMING = (
    *((moment, step) for moment in ("before a step", "after a step") for step in (1, 2, 3)),
    *((moment, 1) for moment in ("after restoring", "between masks and rewind", "before a save", "after a save")),
    *((moment, 1) for moment in ("before the end", "after the end")),
)
"""The same, of a run that goes on."""


class _BrokenError(Exception):
    """What a process did that it must not."""


@dataclass
class _Try:
    """One run that is killed again and again.

    Attributes:
        span: seconds of the quiet run, or None where nothing may depend on the clock.
    """

    program: Program
    drawn: random.Random
    span: float | None
    counts: Counter[str]

    def at_a_moment(self, span: float) -> int:
        """Kill what there is to be started within so many seconds; its exit status."""
        delay = self.drawn.uniform(0, span)
        process = self.program.start(self.program.go_on(), longest=self.drawn.choice(SELDOM))
        time.sleep(delay)
        os.kill(process, signal.SIGKILL)  # where it has ended it is a zombie, which does not mind
        return self.program.wait(process)

    def at_a_boundary(self, boundary: Sequence[Any], longest: float) -> int:
        """Kill it at a boundary, if it comes by there; its exit status."""
        return self.program.call(self.program.go_on(), longest=longest, kill=boundary)

    def killed(self, status: int, how: str) -> bool:
        """Count what came of it; whether it was killed."""
        was = status == -signal.SIGKILL
        if not was and (status or not finished(directory(self.program.folder))):
            words = f"ended with status {status} before the kill {how}: {self.program.last_words()}"
            raise _BrokenError(f"a process {words if status else f'{words}; the run is not finished'}")
        self.counts[f"killed {how}" if was else f"ended before the kill {how}"] += 1
        if was and not self.program.resumable():
            self.counts["of these, before there was a run to resume"] += 1
        if was and self.program.resumable() and not newest_step(directory(self.program.folder)):
            self.counts["of these, before the first checkpoint"] += 1
        if was and (directory(self.program.folder) / "model.safetensors").exists():
            self.counts["of these, while the last files were written"] += 1
        return was

    def first(self, boundary: Sequence[Any] | None) -> None:
        """The first kill; a run that came to its end before a moment that was drawn is started again."""
        if boundary is not None:
            if not self.killed(self.at_a_boundary(boundary, 0.0), "at a boundary"):
                raise _BrokenError(f"the run did not come by {boundary[0]}, {boundary[1]}")
            return
        assert self.span is not None
        for _ in range(STARTS):
            if self.killed(self.at_a_moment(self.span), "at a random moment"):
                return
            shutil.rmtree(directory(self.program.folder))
        raise _BrokenError(f"{STARTS} processes in a row had finished the run before the kill")

    def resumed(self) -> None:
        """Five kills of what goes on, or fewer where it comes to its end between them."""
        for _ in range(IN_A_ROW):
            if self.span is None:
                status, how = self.at_a_boundary(self.drawn.choice(RESUMING), 0.0), "at a boundary, resuming"
            elif self.drawn.random() < 0.5:
                status, how = self.at_a_moment(self.span / 2), "at a random moment, resuming"
            else:
                status = self.at_a_boundary(self.drawn.choice(RESUMING), self.drawn.choice(SELDOM))
                how = "at a boundary, resuming"
            if not self.killed(status, how):
                return


def measure(count: int, seed: int, folder: Path, *, moments: bool = True) -> Outcome:
    """Kill `count` runs, each in a folder of its own, and let each come to its end; `moments`: also at random ones."""
    counts: Counter[str] = Counter()
    broken: list[str] = []
    with server() as forks:
        quiet = Program(forks, folder / "quiet")
        took = [_quiet(quiet) for _ in range(4 if moments else 1)]  # the first is slower, and what else the machine does is
        expected = traces(directory(quiet.folder))
        boundaries = islice(cycle(_in_turn(count, seed) if moments else _shuffled(seed)), count)
        for number, boundary in enumerate(boundaries):
            drawn = random.Random(f"{seed}/{number}")
            program = Program(forks, folder / f"try-{number}")
            if found := _wrong(_Try(program, drawn, min(took) if moments else None, counts), boundary, expected):
                broken.append(f"try {number} of seed {seed} ({boundary or 'a random moment'}): {found}; left in {program.folder}")
            else:
                shutil.rmtree(program.folder)
            if number % 10 == 9:
                progress(f"{number + 1} of {count} runs killed, {counts.total()} processes, {len(broken)} broken")
    figures: dict[str, str | int | float] = {**dict(sorted(counts.items())), "seconds of the quiet run": round(min(took), 2)}
    return Outcome(count, count - len(broken), figures, broken)


def _quiet(program: Program) -> float:
    """Run it, from its beginning; the seconds that it took."""
    shutil.rmtree(directory(program.folder), ignore_errors=True)
    began = time.monotonic()
    if status := program.call(RUN):
        raise RuntimeError(f"the quiet run ended with status {status}: {program.last_words()}")
    return time.monotonic() - began


def _shuffled(seed: int) -> list[tuple[str, int]]:
    """All boundaries."""
    order = list(BOUNDARIES)
    random.Random(seed).shuffle(order)
    return order


def _in_turn(count: int, seed: int) -> list[tuple[str, int] | None]:
    """A boundary, then a random moment, and so on; where there are fewer tries than boundaries, some that lie apart."""
    order = _shuffled(seed)
    chosen = order if count >= 2 * len(order) else order[: max(1, count // 2)]
    return [entry for boundary in chosen for entry in (boundary, None)]


def _wrong(one: _Try, boundary: Sequence[Any] | None, expected: dict[str, object]) -> str:
    """Kill the run, then let it come to its end: what is not as it should be, "" where all is."""
    program = one.program
    try:
        one.first(boundary)
        one.resumed()
    except _BrokenError as error:
        return str(error)
    status = program.call(program.go_on(), longest=0.0)
    if status:
        return f"the last resumption ended with status {status}: {program.last_words()}"
    return ", ".join(differing(expected, traces(directory(program.folder))))
