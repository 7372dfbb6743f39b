"""What the loop of a run must remember beside the pipeline."""

import time
from dataclasses import dataclass, field, fields
from typing import Any

from lnas.core.types import State
from lnas.host.diagnosis import Course
from lnas.host.means import Means


@dataclass
class Memory:
    """All of it is saved, but for the clock."""

    closed: int = 0
    """Steps of the stages before the open one."""
    seconds: dict[str, float] = field(default_factory=dict)
    """By stage, up to the last call of `start` or `pause`, over all the times that the run was resumed."""
    validation: float | None = None
    """Accuracy at the end of the last epoch of this stage."""
    best: float | None = None
    """The highest at the end of an epoch of this stage."""
    baseline: dict[str, Any] | None = None
    exact: bool = True
    redrawn: list[list[Any]] = field(default_factory=list)
    """[stage, step] of every time that a step was given another batch, for an update of it was not finite."""
    means: Means = field(default_factory=Means)
    """Of the epoch so far."""
    course: Course = field(default_factory=Course)
    """Of the search that is open, or was the last one."""
    clock: float = field(default_factory=time.monotonic)

    def attempt(self, stage: str, step: int) -> int:
        """How often that step of the stage was given another batch."""
        return self.redrawn.count([stage, step])

    def spent(self, stage: str) -> float:
        """Seconds since the stage began, without those in which the run lay still."""
        return self.seconds.get(stage, 0.0) + time.monotonic() - self.clock

    def pause(self, stage: str) -> None:
        """Write down the seconds so far; the clock goes on."""
        self.seconds[stage] = self.spent(stage)
        self.clock = time.monotonic()

    def close(self, stage: str, steps: int) -> None:
        """A stage of `steps` steps is over."""
        self.pause(stage)
        self.closed += steps
        self.validation = self.best = None

    def state_dict(self) -> State:
        """A state for a checkpoint."""
        plain = {
            entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in ("means", "course", "clock")
        }
        return {**plain, "means": self.means.state_dict(), "course": self.course.state_dict()}

    @classmethod
    def from_state(cls, state: State) -> "Memory":
        """What `state_dict` gave, with the clock at now."""
        means, course = Means(), Course()
        means.load_state_dict(state["means"])
        course.load_state_dict(state["course"])
        return cls(**{**state, "means": means, "course": course})
