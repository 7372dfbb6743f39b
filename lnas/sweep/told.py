"""What an engine of a sweep tells: what happens, how the trials stand, and why it stopped."""

from dataclasses import dataclass
from signal import Signals
from typing import Literal, TypeAlias

from lnas.core.errors import LnasError
from lnas.host.signals import OUT_OF_TIME

Kind: TypeAlias = Literal["trial", "search"]


@dataclass(frozen=True)
class Told:
    """Something that happened, for who watches.

    Attributes:
        kind: of what it is about.
        name: of a trial, or the key of a search.
        what: "began", "done", "failed", "stopped" (given up for good), "paused" (it waits for others, or for the next call),
            "lost" (its worker died, or somebody else held its run; it is tried again).
        reason: why, in one line.
    """

    kind: Kind
    name: str
    what: Literal["began", "done", "failed", "stopped", "paused", "lost"]
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

    The exit code is 128 and the number of the signal, or 0 where that was foreseen.
    """

    def __init__(self, reason: int, again: str) -> None:
        self.exit_code = 128 + reason if reason > 0 else 0
        why = Signals(reason).name if reason > 0 else "the time is over" if reason == OUT_OF_TIME else "asked to stop"
        super().__init__(f"{why}; what ran has saved a checkpoint; to go on: {again}")
