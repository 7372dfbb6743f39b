"""The loop around `pipeline.step()`: draw, step, write down, save; and go on from where a run was left.

Killed at any moment, a run that is started again goes on from its last checkpoint and ends with the same bytes.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch

from lnas.core.errors import NumericalError, RunError
from lnas.core.pipeline import Pipeline, Progress
from lnas.core.stages import Ticket
from lnas.core.types import Metrics
from lnas.host import checkpoint, durable, journal
from lnas.host.evaluate import Correct, accuracy
from lnas.host.events import Audience, EpochDone, Finished, Observer, Pruned, Resumed, StageStarted, StepDone
from lnas.host.final import final_tensors
from lnas.host.keeper import Keeper
from lnas.host.means import Means
from lnas.host.memory import Memory
from lnas.host.rundir import RunDirectory
from lnas.host.runtime import seed_globally
from lnas.host.signals import Interrupted, StopRequest, listening
from lnas.host.stream import Stream

TELLINGS = 1000
"""`StepDone` is sent about so often in a run."""


@dataclass(frozen=True)
class Result:
    """What a finished run leaves beside its files.

    Attributes:
        ticket: what the pipeline found.
        validation: accuracy of the final network on the validation split.
        test: accuracy on the test set, which was read once, now.
        best: the highest validation accuracy at the end of an epoch of the last stage.
        baseline: {"validation", "what"} of the network one step before it was first pruned, or None.
        seconds: spent in each stage, over all the times that the run was resumed.
        digest: of the tensors in model.safetensors; without a network, of the supernet and alpha.
        exact: whether the run was never resumed on another torch, device or number of threads.
    """

    ticket: Ticket
    validation: float
    test: float
    best: float
    baseline: Mapping[str, Any] | None
    seconds: Mapping[str, float]
    digest: str
    exact: bool


def run(
    pipeline: Pipeline,
    stream: Stream,
    directory: RunDirectory,
    *,
    correct: Correct,
    seed: int,
    device: torch.device,
    observers: Sequence[Observer] = (),
    checkpoint_seconds: float = 60.0,
    require_exact: bool = False,
) -> Result:
    """Drive a fresh pipeline to its end, from the last checkpoint in `directory` where there is one.

    Args:
        pipeline: as built from the run's configuration, not yet stepped.
        stream: its batches.
        directory: holds config.toml; the run takes its lock.
        correct: counts what the network gets right.
        seed: the root seed.
        device: where the pipeline computes.
        observers: told what happens.
        checkpoint_seconds: the longest time between two checkpoints, given that a step is shorter; 0 saves at every step.
        require_exact: refuse to go on where the result may not be that of an uninterrupted run.

    Raises:
        RunInUseError: where another process runs it.
        RunError: where its files cannot be read or written or do not fit the pipeline, or memory runs out.
        Interrupted: after SIGINT, or `Terminated` after SIGTERM; a checkpoint is saved.
        NumericalError: where a loss is not finite.
    """
    with directory.locked(), listening() as request:
        keeper = Keeper(pipeline, directory, device, longest=checkpoint_seconds)
        loop = _Loop(pipeline, stream, directory, correct, Audience(observers), keeper, request)
        loop.start(seed, require_exact)
        try:
            loop.complete()
            return loop.result()
        except BaseException as error:
            with suppress(RunError):  # the error itself matters more than a status that cannot be written
                stopped = isinstance(error, Interrupted | KeyboardInterrupt)
                directory.write_status("interrupted" if stopped else "failed", pipeline.progress)
            where = f"after {pipeline.progress.stage} step {pipeline.progress.step}"
            if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
                raise RunError(f"out of memory on {device} {where}; use a smaller --batch or a smaller --space") from error
            if "Expected more than 1 value per channel" in str(error):  # batch norm of one picture that is one pixel by now
                raise RunError(f"batch norm has a single value to normalise {where}; use a larger --batch or pictures") from error
            raise


@dataclass
class _Loop:
    pipeline: Pipeline
    stream: Stream
    directory: RunDirectory
    correct: Correct
    audience: Audience
    keeper: Keeper
    request: StopRequest
    memory: Memory = field(default_factory=Memory)

    def start(self, seed: int, require_exact: bool) -> None:
        """Go to the last checkpoint, or to the beginning.  Nothing is written before it is clear that the run can go on."""
        restored = self.keeper.restore(require_exact=require_exact)
        if restored is None:
            self.keeper.check()
            self.directory.cut_metrics(0)
            seed_globally(seed)
            self._begin_stage()
        else:
            self.memory, differences = restored
            self.directory.write_status("running", self.pipeline.progress)
            self.audience.tell(Resumed(self.pipeline.progress, differences))
            self.audience.tell(StageStarted(self.pipeline.progress, self._epochs(self.pipeline.progress.steps)))

    def complete(self) -> None:
        """All steps that are left."""
        total = sum(stage.steps for stage in self.pipeline.stages)
        stride = max(1, total // TELLINGS)
        while self._open_next():
            self._measure_baseline()
            before = self.pipeline.progress
            metrics = self._step(before)
            after = self.pipeline.progress
            self.memory.means.add(metrics, after.step)
            if after.round > before.round:
                self._end_round()
            stage_over = self.pipeline.rounds.done
            epoch_over = stage_over or after.step % self.stream.steps_per_epoch(after.draws) == 0
            if epoch_over:
                self._end_epoch()
            if stage_over or after.step % stride == 0:
                self.audience.tell(StepDone(after, self.memory.closed + after.step, total))
            if self.pipeline.done or self.request.signal or self.keeper.due(epoch_over=epoch_over):
                self.keeper.save(self.memory)
            self.request.raise_if_made(after, self.directory.path)

    def result(self) -> Result:
        """Read the test set and write the weights."""
        memory = self.memory
        assert memory.validation is not None and memory.best is not None, "a stage has steps, and its last one ends an epoch"
        test = accuracy(self.pipeline, self.stream.test_batches(), self.correct)
        ticket = self.pipeline.ticket  # after the test: a target may make the network smaller in place
        tensors = final_tensors(self.pipeline, ticket)
        if ticket.network is not None:
            checkpoint.save_tensors(self.directory.weights, tensors)
        self._write_genotype(ticket)
        self.directory.write_status("finished", self.pipeline.progress)
        self.audience.tell(Finished(self.directory.path, memory.validation, test))
        return Result(
            ticket=ticket,
            validation=memory.validation,
            test=test,
            best=memory.best,
            baseline=memory.baseline,
            seconds=dict(memory.seconds),
            digest=checkpoint.digest(tensors),
            exact=memory.exact,
        )

    def _open_next(self) -> bool:
        """Close a finished stage and open the next, before a batch is drawn for it.  False where all are finished."""
        if self.pipeline.rounds.done and not self.pipeline.done:
            progress = self.pipeline.progress
            self.memory.close(progress.stage, progress.step)
            self.pipeline.advance()
            self._write_genotype(self.pipeline.ticket)
            self._begin_stage()
        return not self.pipeline.done

    def _step(self, before: Progress) -> Metrics:
        try:
            return self.pipeline.step(*self.stream.draw(before.draws, before.step))
        except NumericalError as error:
            self.memory.means.read(before.stage)  # a loss that was not finite came first, and says more
            raise NumericalError(f"{error} ({before.stage} step {before.step + 1})") from error

    def _begin_stage(self) -> None:
        progress = self.pipeline.progress
        epochs = self._epochs(progress.steps)
        self.directory.append(journal.start_row(self.pipeline, epochs=epochs))
        self.directory.write_status("running", progress)
        self.audience.tell(StageStarted(progress, epochs))

    def _measure_baseline(self) -> None:
        """Pruning happens at the end of a step, so the network is measured just before the step that prunes it first."""
        rounds = self.pipeline.rounds
        first = rounds.pruning.schedule.rounds > 0 and rounds.round == 0 and rounds.t == rounds.k - 1
        if first and self.pipeline.progress.stage == "train" and self.memory.baseline is None:
            what = f"the same network before pruning, after {rounds.t} steps"
            self.memory.baseline = {"validation": self._validate(), "what": what}

    def _end_round(self) -> None:
        row = journal.prune_row(self.pipeline)
        self.directory.append(row)
        told = {key: row[key] for key in ("target", "asked", "attained", "layers", "rewind")}
        self.audience.tell(Pruned(self.pipeline.progress, **told))

    def _end_epoch(self) -> None:
        progress, memory = self.pipeline.progress, self.memory
        metrics = memory.means.read(progress.stage)
        memory.means = Means()
        memory.validation = self._validate()
        memory.best = max(memory.validation, memory.best or 0.0)
        row = journal.epoch_row(
            self.pipeline,
            epoch=self._epochs(progress.step),
            metrics=metrics,
            validation_accuracy=memory.validation,
            seconds=memory.spent(progress.stage),
        )
        self.directory.append(row)
        self.directory.write_status("running", progress)
        event = EpochDone(
            progress=progress,
            epoch=row["epoch"],
            epochs=self._epochs(progress.steps),
            metrics=metrics,
            validation_accuracy=memory.validation,
            sparsity=row["sparsity"],
            live_paths=row.get("live_paths"),
            seconds=row["seconds"],
        )
        self.audience.tell(event)

    def _validate(self) -> float:
        return accuracy(self.pipeline, self.stream.validation_batches(), self.correct)

    def _epochs(self, steps: int) -> int:
        """That many steps of the open stage, in epochs that are whole or begun."""
        return -(-steps // self.stream.steps_per_epoch(self.pipeline.progress.draws))

    def _write_genotype(self, ticket: Ticket) -> None:
        if ticket.genotype is not None:
            durable.write_json(self.directory.genotype, ticket.genotype.to_json())
