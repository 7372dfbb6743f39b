"""How often the worker of a piece of work may die, and how long to wait before another tries."""

import time
from dataclasses import dataclass, field

from lnas.host import checkpoint
from lnas.host.rundir import RunDirectory

PAUSES = (0.0, 2.0, 10.0, 60.0)
"""Seconds before the next try, after one death in a row, two, ...; after one more it has failed."""


@dataclass
class Deaths:
    """Counts them; a new checkpoint sets the count of its run back.

    Attributes:
        since: name -> deaths in a row, and the checkpoint that was the newest at the first of them.
        after: name -> when the next try may begin, by `time.monotonic()`.
    """

    since: dict[str, tuple[int, str]] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)

    def count(self, name: str, run: RunDirectory) -> int:
        """Deaths in a row, with the one of now; the next try waits."""
        there = [path.name for path in checkpoint.every(run.checkpoints)]
        newest = there[-1] if there else ""
        times, before = self.since.get(name, (0, newest))
        times = times + 1 if before == newest else 1
        self.since[name] = times, newest
        self.after[name] = time.monotonic() + PAUSES[min(times, len(PAUSES)) - 1]
        return times

    def hopeless(self, name: str) -> bool:
        """Whether another try would be one too many."""
        return self.since[name][0] > len(PAUSES)

    def waits(self, name: str) -> bool:
        """Whether it is too soon for the next try."""
        return time.monotonic() < self.after.get(name, 0.0)
