"""Runs a pipeline in its directory: under its lock, from where it was left, until it is done or told to stop.

Killed at any moment, a run that is started again goes on from its last checkpoint and ends with the same bytes.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from types import MappingProxyType

import torch

from lnas.core.errors import RunError
from lnas.core.pipeline import Pipeline
from lnas.host.agreement import PAUSE, Agreement
from lnas.host.distributed import PeerError
from lnas.host.evaluate import Correct
from lnas.host.events import Observer
from lnas.host.foreign import in_one_line
from lnas.host.keeper import Keeper
from lnas.host.loop import Loop, Result
from lnas.host.processes import ALONE, Processes
from lnas.host.record import Record
from lnas.host.rundir import RunDirectory
from lnas.host.signals import Interrupted, listening
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
        checkpoint_seconds: the longest time between two checkpoints, given that a step is shorter; 0 saves at every step.
        require_exact: refuse to go on where the result may not be that of an uninterrupted run.
        processes: those that run the pipeline together, each on its own share of `stream`.
        plugins: the versions of those that take part, by name: with another, a resumed run is not exact.

    Raises:
        RunInUseError: where another process runs it.
        RunError: where its files cannot be read or written or do not fit the pipeline, or memory runs out.
        Interrupted: after SIGINT, or `Terminated` after SIGTERM; a checkpoint is saved.
        NumericalError: where a loss is not finite.
        PeerError: where another process has ended.
        PluginError: where the processes do not hold the same.
    """
    with directory.locked() if processes.first else nullcontext(), listening() as request:
        processes.use(device)
        if processes.size > 1:
            pipeline.average = processes.average
        keeper = Keeper(pipeline, directory, device, longest=checkpoint_seconds, processes=processes, plugins=plugins)
        agreement = Agreement(processes, keeper, request, pause=min(PAUSE, checkpoint_seconds))
        records = (Record(directory, observers),) if processes.first else ()
        loop = Loop(pipeline, stream, directory, correct, keeper, agreement, records, processes, recipe)
        loop.start(seed, require_exact)
        try:
            loop.complete()
            return loop.result()
        except BaseException as error:
            with suppress(RunError):  # the error itself matters more than a status that cannot be written
                stopped = isinstance(error, Interrupted | KeyboardInterrupt)
                for record in records:
                    record.stopped("interrupted" if stopped else "failed", pipeline.progress, error)
            if isinstance(error, PeerError):
                raise PeerError(f"{error}; the last checkpoint is kept; go on with: lnas resume {directory.path}") from error
            words = in_one_line(error)
            where = f"after {pipeline.progress.stage} step {pipeline.progress.step}"
            if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate memory" in words:
                raise RunError(f"out of memory on {device} {where}; use a smaller --batch or a smaller --space") from error
            if "Expected more than 1 value per channel" in words:  # batch norm of one picture that is one pixel by now
                raise RunError(f"batch norm has a single value to normalise {where}; use a larger --batch or pictures") from error
            raise
