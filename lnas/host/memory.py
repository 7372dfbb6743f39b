"""What the loop of a run must remember beside the pipeline."""

import time
from dataclasses import dataclass, field, fields
from typing import Any

from lnas.core.types import State
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
    means: Means = field(default_factory=Means)
    """Of the epoch so far."""
    clock: float = field(default_factory=time.monotonic)

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
        plain = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in ("means", "clock")}
        return {**plain, "means": self.means.state_dict()}

    @classmethod
    def from_state(cls, state: State) -> "Memory":
        """What `state_dict` gave, with the clock at now."""
        means = Means()
        means.load_state_dict(state["means"])
        return cls(**{**state, "means": means})
