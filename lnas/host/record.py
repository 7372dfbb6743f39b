"""What the loop of a run writes down and tells its observers."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor

from lnas.core.genotype import Genotype
from lnas.core.pipeline import Pipeline, Progress
from lnas.host import checkpoint, durable, journal
from lnas.host.diagnosis import Diagnosis
from lnas.host.events import (
    Audience,
    EpochDone,
    Finished,
    Observer,
    Pruned,
    Resumed,
    RolledBack,
    RunStarted,
    Saved,
    StageStarted,
    StepDone,
    Stopped,
)
from lnas.host.foreign import in_one_line
from lnas.host.plan import StagePlan
from lnas.host.rundir import RunDirectory


class Record:
    """Written in the directory of a run, whose lock is held, and told to its observers.

    Args:
        directory: of the run.
        observers: those who watch.
    """

    def __init__(self, directory: RunDirectory, observers: Sequence[Observer]) -> None:
        self._directory = directory
        self._audience = Audience(observers)

    def started(self, recipe: str, stages: Sequence[StagePlan], done: int) -> None:
        """The run begins, or goes on after `done` steps; nothing is written."""
        config = dict(flat(tomllib.loads(self._directory.read_config())))
        self._audience.tell(RunStarted(self._directory.path, recipe, config, tuple(stages), done))

    def began(self, pipeline: Pipeline, epochs: int) -> None:
        """A stage of so many epochs begins."""
        self._directory.append(journal.start_row(pipeline, epochs=epochs))
        self._directory.write_status("running", pipeline.progress)
        self._audience.tell(StageStarted(pipeline.progress, epochs))

    def resumed(self, pipeline: Pipeline, epochs: int, differences: Sequence[str]) -> None:
        """A stage goes on; no line of the journal, which is that of a run that was never interrupted."""
        self._directory.write_status("running", pipeline.progress)
        self._audience.tell(Resumed(pipeline.progress, tuple(differences)))
        self._audience.tell(StageStarted(pipeline.progress, epochs))

    def rolled_back(self, progress: Progress, fault: str, times: int, most: int) -> None:
        """An update was not finite, and the run goes back; no line of the journal, which is cut to the checkpoint."""
        self._audience.tell(RolledBack(progress, fault, times, most))

    def redrew(self, stage: str, step: int, attempt: int) -> None:
        """A step is done on another batch, the `attempt`-th; `step` counts from 1, as in the other lines."""
        self._directory.append({"event": "redraw", "stage": stage, "step": step, "attempt": attempt})

    def stepped(self, progress: Progress, done: int, total: int) -> None:
        """Some steps are done; `done` and `total` count those of all stages."""
        self._audience.tell(StepDone(progress, done, total))

    def pruned(self, pipeline: Pipeline) -> None:
        """A prune round was just done."""
        row = journal.prune_row(pipeline)
        self._directory.append(row)
        told = {key: row[key] for key in ("target", "asked", "attained", "layers", "rewind")}
        self._audience.tell(Pruned(pipeline.progress, **told))

    def ended_epoch(
        self,
        pipeline: Pipeline,
        *,
        epoch: int,
        epochs: int,
        metrics: Mapping[str, float | None],
        validation_accuracy: float,
        seconds: float,
        diagnoses: Mapping[str, Diagnosis],
        collapsed: Sequence[str],
    ) -> None:
        """An epoch is over; `seconds` count from the start of the stage, and `collapsed` are the groups to warn of."""
        row = journal.epoch_row(
            pipeline,
            epoch=epoch,
            metrics=metrics,
            validation_accuracy=validation_accuracy,
            seconds=seconds,
            diagnoses=diagnoses,
        )
        self._directory.append(row)
        self._directory.write_status("running", pipeline.progress)
        event = EpochDone(
            progress=pipeline.progress,
            epoch=epoch,
            epochs=epochs,
            metrics=metrics,
            validation_accuracy=validation_accuracy,
            sparsity=row["sparsity"],
            live_paths=row.get("live_paths"),
            seconds=row["seconds"],
            diagnosis={f"{group}/{name}": value for group, found in diagnoses.items() for name, value in found.figures().items()},
            collapsed=tuple(collapsed),
        )
        self._audience.tell(event)

    def saved(self, progress: Progress, path: Path) -> None:
        """A checkpoint was written."""
        self._audience.tell(Saved(progress, path))

    def chose(self, genotype: Genotype) -> None:
        """The search has found its architecture."""
        durable.write_json(self._directory.genotype, genotype.to_json())

    def finished(
        self,
        progress: Progress,
        tensors: Mapping[str, Tensor] | None,
        *,
        validation_accuracy: float,
        test_accuracy: float,
        digest: str,
    ) -> None:
        """The run is over; `tensors` are those of its network, None where it has none."""
        if tensors is not None:
            checkpoint.save_tensors(self._directory.weights, tensors)
        self._directory.keep_metrics()  # all of it is still there
        self._directory.write_status("finished", progress)
        self._audience.tell(Finished(self._directory.path, validation_accuracy, test_accuracy, digest))

    def stopped(self, reason: Literal["interrupted", "failed"], progress: Progress, error: BaseException) -> None:
        """The run ended before it was over; that is told even where the status cannot be written."""
        try:
            self._directory.write_status(reason, progress)
        finally:
            self._audience.tell(Stopped(progress, reason, in_one_line(error)))


def flat(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The values of a TOML table as text, a list as its items with "; " between them, by "key" or "table.key"."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", "; ".join(map(str, value))
        else:
            yield f"{prefix}{key}", str(value).lower() if isinstance(value, bool) else str(value)
