"""What a job does, on the node that Slurm gives it."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

import lnas


def attempt(work: lnas.Work) -> lnas.Outcome:
    """Do it, in the main thread of the job; "lost" where it stopped because Slurm ends the job: at its limit, or for another.

    Slurm's signal before the limit (submitit asks for one) is passed on as SIGTERM, by which a run stops with a checkpoint.
    Outside a run SIGTERM ends the job; submitit's own handlers would ignore it, and break the run at that signal.
    """
    from submitit import JobEnvironment

    early = signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(work.threads)))
    former = {signal.SIGTERM: signal.signal(signal.SIGTERM, signal.SIG_DFL), early: signal.signal(early, _pass_on)}
    try:
        with _noted() as arrived:
            outcome = work.attempt()
            told = arrived()
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    names = " and ".join(number.name for number in former if number in told)
    if outcome.state == "stopped" and names:
        outcome = replace(outcome, state="lost", reason=f"Slurm ended the job with {names}: {outcome.reason}".removesuffix(": "))
    return replace(outcome, figures=dict(outcome.figures))  # not every mapping can be sent


@contextmanager
def _noted() -> Iterator[Callable[[], frozenset[int]]]:
    """Note which signals arrive, whoever handles them: Python writes their numbers into a pipe."""
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)

    def arrived() -> frozenset[int]:
        try:
            return frozenset(os.read(reader, 65536))
        except BlockingIOError:
            return frozenset()

    former = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield arrived
    finally:
        signal.set_wakeup_fd(former)
        os.close(reader)
        os.close(writer)


def _pass_on(number: int, frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGTERM)
