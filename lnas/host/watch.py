"""Notices that another process of the run is gone, even while this one waits where nothing can reach it; and who says so.

Each process writes a beat into the launcher's store every second and reads those of the others, on a thread of its own.
Where a collective fails by itself, as with gloo, the main thread is faster, and the watch lets it: it is for one that is
stuck in a kernel on the GPU or in a long step.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]

from lnas.host.launch import Place

BEAT = 1.0
"""Seconds between two beats."""
LAPSE = 12
"""A process of which so many beats in a row are missing is gone.  Counted, not timed: a machine that slept missed none."""
GRACE = 3.0
"""Seconds that the main thread has to end by itself, and that another process leaves process 0 to speak first."""

_LEFT = b"left"
_ENDED = "ended"


class Watch:
    """Over all processes of a run.

    Args:
        store: of the launcher; a connection of its own is made, for a call of the main thread may hold the given one.
        place: of this process.
        say: shows one line, from the thread of the watch.
        code: the exit code of a process that ends because another is gone.
    """

    def __init__(self, store: Store, place: Place, *, say: Callable[[str], None], code: int) -> None:
        self._store = PrefixStore("watch", store.clone())
        self._place = place
        self._say = say
        self._code = code
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lnas-watch", daemon=True)
        self._store.set(_beat(place.rank), "0")

    def start(self) -> None:
        """Begin, once every process has made its watch."""
        self._thread.start()

    def stop(self, *, left: bool) -> None:
        """End; the others do not miss a process that `left`."""
        self._over.set()
        self._thread.join(GRACE)
        if left:
            with suppress(RuntimeError):  # the process that kept the store may have left before
                self._store.set(_beat(self._place.rank), _LEFT.decode())

    def speaks(self) -> bool:
        """Whether this process is the one to say why the run ends: process 0 where it can, else the first that asks."""
        mine = str(self._place.rank)
        try:
            patience = time.monotonic() + (GRACE if self._place.rank else 0.0)
            while not self._store.check([_ENDED]) and time.monotonic() < patience:
                time.sleep(0.05)
            return bool(self._store.compare_set(_ENDED, "", mine) == mine.encode())
        except RuntimeError:  # the store went with the process that kept it
            return True

    def _run(self) -> None:
        beats, missing = [b""] * self._place.size, [0] * self._place.size
        number = 0
        while not self._over.wait(BEAT):
            number += 1
            try:
                self._store.set(_beat(self._place.rank), str(number))
                now = self._store.multi_get([_beat(rank) for rank in range(self._place.size)])
                ended = self._store.check([_ENDED])
            except RuntimeError:
                self._end("the store of this run is gone, and the process that kept it")
                return
            missing = [0 if a != b or b == _LEFT else count + 1 for a, b, count in zip(beats, now, missing, strict=True)]
            beats = now
            if ended or max(missing) >= LAPSE:
                self._end(f"process {missing.index(max(missing))} of this run has not been heard of for {LAPSE * BEAT:g} s")
                return

    def _end(self, why: str) -> None:
        """End the process from outside its main thread, unless that does so itself in time."""
        if self._over.wait(GRACE):
            return
        if self.speaks():
            self._say(f"{why}; the last checkpoint is kept; start all processes again with lnas resume")
        os._exit(self._code)


def _beat(rank: int) -> str:
    return f"beat/{rank}"
