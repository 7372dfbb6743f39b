"""Several processes on one run at the same moment: one writes, the others say who does.

Of three tries, two are a run that was killed and that two, three or four processes resume at once: exactly one goes on, and
the run ends with what the quiet run leaves; every other one exits 4 with one line that names the process that won.  One
that came so late that the run was over says so and exits 0; such a try is done again.  The third try is `lnas run --name`
of the same name, in two processes at once: one runs, the other exits 2, for the name is taken, or 4.
"""

import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.chaos.outcome import Outcome, progress
from benchmarks.chaos.tiny import RESUME, RUN, Program, differing, directory, server, traces
from lnas.testing.forkserver import ForkServer

LONG = 100
AHEAD = 0.1
"""Seconds from the first fork to the moment at which all of a race begin."""
SAVED = (2, 4, 5, 7)
"""The runs that are raced for were killed after so many saves."""


class _Runner(Program):
    """One process of a race, with errors of its own."""

    def __init__(self, server: ForkServer, folder: Path, number: int) -> None:
        super().__init__(server, folder)
        self.errors = folder / f"errors-{number}.txt"


class _Race:
    """Some processes that did the same at the same moment, and what became of them.

    Attributes:
        won: the processes that ran the run to its end.
        late: those that found it finished.
        wrong: what is not as it should be, "" where all is.
    """

    def __init__(self, forks: ForkServer, folder: Path, arguments: Sequence[str], number: int) -> None:
        at = time.monotonic() + AHEAD
        runners = [_Runner(forks, folder, index) for index in range(number)]
        processes = [runner.start(arguments, longest=0.05, at=at) for runner in runners]
        statuses = [runner.wait(process) for runner, process in zip(runners, processes, strict=True)]
        words = [runner.errors.read_text() for runner in runners]
        self.won, self.late, self.wrong = [], 0, ""
        self.statuses = Counter(statuses)
        for process, status, said in zip(processes, statuses, words, strict=True):
            if status == 0 and "nothing is left to do" in said:
                self.late += 1
            elif status == 0:
                self.won.append(process)
        for process, status, said in zip(processes, statuses, words, strict=True):
            if status and not self._fair(status, said, arguments):
                self.wrong = f"process {process} ended with status {status}: {said}; {self.won} won"
        if len(self.won) != 1:
            self.wrong = self.wrong or f"{len(self.won)} processes won"

    def _fair(self, status: int, said: str, arguments: Sequence[str]) -> bool:
        """Whether a loser said what it should, in one line."""
        if said.count("\n") != 1:
            return False
        if status == 2 and arguments is RUN:
            return "is there already; choose another name" in said
        held = re.search(r"is in use by process (\d+);", said)
        return status == 4 and held is not None and int(held[1]) in self.won


def measure(count: int, seed: int, folder: Path) -> Outcome:
    """Run `count` races."""
    counts: Counter[str] = Counter()
    broken: list[str] = []
    drawn = random.Random(seed)
    with server() as forks:
        quiet = Program(forks, folder / "quiet")
        if status := quiet.call(RUN):
            raise RuntimeError(f"the quiet run ended with status {status}: {quiet.last_words()}")
        expected = traces(directory(quiet.folder))
        halves = []
        for saves in SAVED:
            half = Program(forks, folder / f"half-{saves}")
            half.call(RUN, kill=("after a save", saves))
            halves.append(half.folder)
        number = 0
        while number < count:
            place = folder / f"race-{number}"
            if number % 3 == 2:
                race, what = _Race(forks, place, RUN, 2), "run"
            else:
                shutil.copytree(drawn.choice(halves), place)
                race, what = _Race(forks, place, RESUME, drawn.choice((2, 2, 3, 4))), "resume"
            counts.update({f"{what}: processes with exit status {status}": n for status, n in race.statuses.items()})
            if race.late and not race.wrong:
                counts["races done again: a process found the run finished"] += 1
                shutil.rmtree(place)
                continue
            wrong = race.wrong or ", ".join(differing(expected, traces(directory(place))))
            if wrong:
                broken.append(f"race {number} of seed {seed}, {what}: {wrong}; left in {place}")
            else:
                shutil.rmtree(place)
            number += 1
            if number % 10 == 0:
                progress(f"{number} of {count} races, {len(broken)} broken")
    return Outcome(count, count - len(broken), dict(sorted(counts.items())), broken)
