"""When a run stops or saves: after the same step in every process, and without a message at every step."""

import time
from dataclasses import dataclass

from lnas.host.keeper import Keeper
from lnas.host.processes import Processes
from lnas.host.signals import StopRequest

PAUSE = 0.25
"""Several processes exchange a message about so often, in seconds: that is how long a signal to one of them may wait."""


@dataclass(frozen=True)
class Decision:
    """What all processes do after this step."""

    save: bool = False
    stop: int | None = None
    """Why: `StopRequest.reason`."""


class Agreement:
    """One process decides after every step for itself.  Several do so at the end of each epoch and every few steps between.

    They stop where any of them had a signal or is out of time, and save when process 0 finds it due.  With every message,
    process 0 says how many steps it is to the next, by how long the last took; never more than twice as many, for steps may
    become slower.

    Args:
        processes: of the run.
        keeper: says when a checkpoint is due.
        request: whether this process has to stop.
        pause: seconds between two messages, about; 0 for one after every step.
    """

    def __init__(self, processes: Processes, keeper: Keeper, request: StopRequest, *, pause: float = PAUSE) -> None:
        self._processes = processes
        self._keeper = keeper
        self._request = request
        self._pause = pause
        self._stride = 1
        self._passed = 0
        self._met = time.monotonic()

    def after_step(self, *, epoch_over: bool) -> Decision:
        """Called by every process after every step."""
        if self._processes.size == 1:
            return Decision(self._keeper.due(epoch_over=epoch_over), self._request.reason)
        self._passed += 1
        if self._passed < self._stride and not epoch_over:
            return Decision()
        seconds = (time.monotonic() - self._met) / self._passed
        stride = max(1, min(int(self._pause / max(seconds, 1e-9)), 2 * self._stride))
        rows = self._processes.exchange([self._request.reason, self._keeper.due(epoch_over=epoch_over), stride])
        self._stride, self._passed, self._met = rows[0][2], 0, time.monotonic()
        reasons = [reason for reason, _, _ in rows if reason is not None]
        return Decision(rows[0][1], reasons[0] if reasons else None)
