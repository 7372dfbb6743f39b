"""Runs a pipeline in its directory: under its lock, from where it was left, until it is done or told to stop.

Killed at any moment, a run that is started again goes on from its last checkpoint and ends with the same bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from types import MappingProxyType
from typing import Any

import torch

from lnas.core.errors import NumericalError, RunError
from lnas.core.pipeline import Pipeline, Progress
from lnas.host.agreement import PAUSE, Agreement
from lnas.host.distributed import PeerError
from lnas.host.evaluate import Correct
from lnas.host.events import Observer
from lnas.host.foreign import in_one_line
from lnas.host.guard import Guard, NotFiniteError
from lnas.host.keeper import Keeper
from lnas.host.loop import Loop, Result
from lnas.host.memory import Memory
from lnas.host.processes import ALONE, Processes
from lnas.host.record import Record
from lnas.host.rundir import RunDirectory
from lnas.host.signals import UNLIMITED, Interrupted, Limits, listening
from lnas.host.stream import Stream

__all__ = ["Result", "run"]


def run(
    pipeline: Pipeline,
    stream: Stream,
    directory: RunDirectory,
    *,
    correct: Correct,
    seed: int,
    device: torch.device,
    recipe: str = "",
    observers: Sequence[Observer] = (),
    checkpoint_seconds: float = 60.0,
    keep: int = 2,
    limits: Limits = UNLIMITED,
    again: Callable[[], Pipeline] | None = None,
    rollbacks: int = 0,
    require_exact: bool = False,
    processes: Processes = ALONE,
    plugins: Mapping[str, str] = MappingProxyType({}),
) -> Result:
    """Drive a fresh pipeline to its end, from the last checkpoint in `directory` where there is one.

    Several processes all call it; what it does to the directory, the first does.

    Args:
        pipeline: as built from the run's configuration, not yet stepped.
        stream: its batches.
        directory: holds config.toml; the run takes its lock.
        correct: counts what the network gets right.
        seed: the root seed.
        device: where the pipeline computes.
        recipe: the name of the pipeline, for observers.
        observers: told what happens.
        checkpoint_seconds: between two checkpoints, where they cost little and a step is shorter; 0 saves after every step.
        keep: how many of the newest checkpoints stay, beside the best.
        limits: what stops the run, beside SIGINT and SIGTERM.
        again: makes another fresh pipeline, as `pipeline` was.
        rollbacks: how often the run may go back to its last checkpoint where an update is not finite; the step at which it was
            gets another batch.  Needs `again`.
        require_exact: refuse to go on where the result may not be that of an uninterrupted run.
        processes: those that run the pipeline together, each on its own share of `stream`.
        plugins: the versions of those that take part, by name: with another, a resumed run is not exact.

    Raises:
        RunInUseError: where another process runs it.
        RunError: where its files cannot be read or written or do not fit the pipeline, or memory runs out.
        Interrupted: after a signal, or where the time is over; a checkpoint is saved.
        NumericalError: where a loss, a gradient, alpha or the finished network is not finite.
        PeerError: where another process has ended.
        PluginError: where the processes do not hold the same.
    """
    with directory.locked() if processes.first else nullcontext(), listening(limits) as request:
        processes.use(device)
        records = (Record(directory, observers),) if processes.first else ()
        saving: dict[str, Any] = {"longest": checkpoint_seconds, "keep": keep, "processes": processes, "plugins": plugins}
        saving["data"] = stream.fingerprint() if processes.first else ""
        redrawn: list[list[Any]] = []
        began = False
        while True:
            if processes.size > 1:
                pipeline.average = processes.average
            keeper, guard = Keeper(pipeline, directory, device, **saving), Guard.on(device, processes)
            agreement = Agreement(processes, keeper, request, pause=min(PAUSE, checkpoint_seconds))
            memory = Memory(redrawn=redrawn)
            loop = Loop(
                pipeline, stream, directory, correct, keeper, agreement, records, processes, guard, recipe, memory, limits.until
            )
            try:
                with closing(guard):
                    loop.start(seed, require_exact)
                    began = True
                    loop.complete()
                    return loop.result()
            except BaseException as error:
                past = loop.memory.redrawn
                if not (began and again is not None and isinstance(error, NotFiniteError) and len(past) < rollbacks):
                    if not began:  # what is refused has changed nothing
                        raise
                    _tell(records, pipeline.progress, error)
                    if (told := _in_words(error, loop, device)) is not error:
                        raise told from error
                    raise
                redrawn = [*past, [error.stage, error.step]]
                for record in records:
                    record.rolled_back(pipeline.progress, error.fault, len(redrawn), rollbacks)
            progress = pipeline.progress
            del loop, keeper, guard, agreement, memory, pipeline  # of two networks, one at a time
            try:
                pipeline = again()
            except BaseException as error:
                _tell(records, progress, error)
                raise


def _tell(records: Sequence[Record], progress: Progress, error: BaseException) -> None:
    """Write down that the run ended before its end, and tell its observers."""
    stopped = isinstance(error, Interrupted | KeyboardInterrupt)
    with suppress(RunError):  # the error itself matters more than a status that cannot be written
        for record in records:
            record.stopped("interrupted" if stopped else "failed", progress, error)


def _in_words(error: BaseException, loop: Loop, device: torch.device) -> BaseException:
    """What to raise for an error of the loop: the same, or one that says what to do."""
    progress = loop.pipeline.progress
    words, where = in_one_line(error), f"after {progress.stage} step {progress.step}"
    if isinstance(error, PeerError):
        return PeerError(f"{error}; the last checkpoint is kept; go on with: lnas resume {loop.directory.path}")
    if isinstance(error, NotFiniteError) and (times := len(loop.memory.redrawn)):
        return NumericalError(
            f"{error.fault}; the run went back {times} time{'s' * (times != 1)} before; start again with a lower learning rate or"
            " a higher precision"
        )
    if "does not have a deterministic implementation" in words:
        return RunError(f"{words.partition(',')[0]}, {where}; start again with --deterministic false")
    if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate memory" in words:
        return RunError(f"out of memory on {device} {where}; use a smaller --batch or a smaller --space")
    if "Expected more than 1 value per channel" in words:  # batch norm of one picture that is one pixel by now
        return RunError(f"batch norm has a single value to normalise {where}; use a larger --batch or pictures")
    return error
