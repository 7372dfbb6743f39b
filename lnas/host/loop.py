"""The loop itself: draw, step, prune, measure, write down, save, until the pipeline is done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lnas.core.errors import LnasError, NumericalError
from lnas.core.learner import SearchStrategy
from lnas.core.pipeline import Pipeline, Progress
from lnas.core.stages import Ticket
from lnas.core.types import Metrics
from lnas.host import checkpoint
from lnas.host.agreement import Agreement
from lnas.host.consistency import settle
from lnas.host.diagnosis import diagnosed
from lnas.host.evaluate import Correct, accuracy
from lnas.host.final import final_tensors
from lnas.host.guard import Guard, NotFiniteError
from lnas.host.keeper import Keeper
from lnas.host.means import Means
from lnas.host.memory import Memory
from lnas.host.plan import stage_plans
from lnas.host.processes import Processes
from lnas.host.record import Record
from lnas.host.rundir import RunDirectory
from lnas.host.runtime import seed_globally, settled
from lnas.host.signals import REACHED, Interrupted
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
        exact: whether the run was never resumed on another torch, device or number of threads or processes.
        collapse: of each group with several edges that was searched, how the search left it: `Course.summary`.
    """

    ticket: Ticket
    validation: float
    test: float
    best: float
    baseline: Mapping[str, Any] | None
    seconds: Mapping[str, float]
    digest: str
    exact: bool
    collapse: Mapping[str, Any]


@dataclass
class Loop:
    """Of one run, in one of its processes: all do the same steps, and those with a record write down what happens."""

    pipeline: Pipeline
    stream: Stream
    directory: RunDirectory
    correct: Correct
    keeper: Keeper
    agreement: Agreement
    records: tuple[Record, ...]
    """One in the first process, none in the others."""
    processes: Processes
    guard: Guard
    recipe: str = ""
    """Its name, for those who watch."""
    memory: Memory = field(default_factory=Memory)
    until: tuple[str, int | None] | None = None
    """The stage, and its epoch, after which the run stops: `Limits.until`."""
    differences: tuple[str, ...] | None = None
    """Of a run that goes on: in what this machine differs from the one that saved it."""

    def start(self, seed: int, require_exact: bool) -> None:
        """Go to the last checkpoint, or to the beginning.  Nothing is written before it is clear that the run can go on."""
        redrawn = self.memory.redrawn
        restored = self.keeper.restore(require_exact=require_exact)
        settle(self.pipeline, self.processes)
        if restored is None:
            try:
                self.keeper.start_over()
            except LnasError as error:
                for record in self.records:
                    record.stopped("failed", self.pipeline.progress, error)
                raise
            seed_globally(seed)
        else:
            self.memory, self.differences = restored
        self.memory.redrawn = redrawn or self.memory.redrawn  # a run that went back knows of one more than its checkpoint

    def complete(self) -> None:
        """All steps that are left.

        Raises:
            Interrupted: where it stops before, with a checkpoint.
        """
        self._open()
        if self._reached():
            raise Interrupted(REACHED, self.pipeline.progress, self.directory.path)
        total = sum(stage.steps for stage in self.pipeline.stages)
        stride = max(1, total // TELLINGS)
        while self._open_next():
            self._measure_baseline()
            before = self.pipeline.progress
            metrics = self._step(before)
            after = self.pipeline.progress
            self.memory.means.add(metrics, after.step)
            if after.round > before.round:
                self.guard.look()
                self._end_round()
            stage_over = self.pipeline.rounds.done
            epoch_over = stage_over or after.step % self.stream.steps_per_epoch(after.draws) == 0
            if epoch_over:
                self._end_epoch()
            if stage_over or after.step % stride == 0:
                for record in self.records:
                    record.stepped(after, self.memory.closed + after.step, total)
            decision = self.agreement.after_step(epoch_over=epoch_over)
            stop = REACHED if epoch_over and self._reached() else decision.stop
            if self.pipeline.done or decision.save or stop is not None:
                self._save(after, epoch_over=epoch_over)
            if stop is not None:
                self.processes.exchange(None)  # wait: a launcher ends all that are left when the first one leaves
                raise Interrupted(stop, after, self.directory.path)

    def result(self) -> Result:
        """Read the test set and write the weights."""
        memory = self.memory
        self._require_finite()
        if memory.validation is None or memory.best is None:  # with more processes than before, a stage has fewer steps
            memory.validation = memory.best = self._validate()
        test = accuracy(self.pipeline, self.stream.test_batches(), self.correct, self.processes)
        ticket = self.pipeline.ticket  # after the test: a target may make the network smaller in place
        tensors = final_tensors(self.pipeline, ticket)
        self._write_genotype(ticket)
        digest = checkpoint.digest(tensors)
        for record in self.records:
            record.finished(
                self.pipeline.progress,
                tensors if ticket.network is not None else None,
                validation_accuracy=memory.validation,
                test_accuracy=test,
                digest=digest,
            )
        return Result(
            ticket=ticket,
            validation=memory.validation,
            test=test,
            best=memory.best,
            baseline=memory.baseline,
            seconds=dict(memory.seconds),
            digest=digest,
            exact=memory.exact,
            collapse=memory.course.summary(),
        )

    def _open(self) -> None:
        """Say that the run begins or goes on, and with which stage."""
        progress = self.pipeline.progress
        for record in self.records:
            record.started(self.recipe, stage_plans(self.pipeline, self.stream), self.memory.closed + progress.step)
            if self.differences is not None:
                record.resumed(self.pipeline, self._epochs(progress.steps), self.differences)
        if self.differences is None:
            self._begin_stage()

    def _open_next(self) -> bool:
        """Close a finished stage and open the next, before a batch is drawn for it.  False where all are finished."""
        if self.pipeline.rounds.done and not self.pipeline.done:
            progress = self.pipeline.progress
            self.memory.close(progress.stage, progress.step)
            self.pipeline.advance()
            settle(self.pipeline, self.processes)
            self._write_genotype(self.pipeline.ticket)
            self._begin_stage()
        return not self.pipeline.done

    def _step(self, before: Progress) -> Metrics:
        attempt = self.memory.attempt(before.stage, before.step)
        if attempt:
            for record in self.records:
                record.redrew(before.stage, before.step + 1, attempt)
        self.guard.before(self.pipeline.rounds.learner, before.stage, before.step)
        try:
            batches = self.stream.draw(before.draws, before.step, attempt)
            with settled():
                metrics = self.pipeline.step(*batches)
            self.guard.after()
            return metrics
        except NotFiniteError:
            raise
        except NumericalError as error:
            self.guard.look(together=False)  # an update that was not finite came first, and says more
            self.memory.means.read(before.stage)
            raise NumericalError(f"{error} ({before.stage} step {before.step + 1})") from error

    def _require_finite(self) -> None:
        """What is kept is finite, also where a learner updates it by hand, and after the last update, which no other follows."""
        self.guard.look()
        found = {name: value for name, value in self.pipeline.module.state_dict().items() if isinstance(value, Tensor)}
        if isinstance(learner := self.pipeline.rounds.learner, SearchStrategy):
            found |= {f"alpha of {group}": alpha for group, alpha in learner.alphas().items()}
        found = {name: value for name, value in found.items() if value.is_floating_point()}
        if found and not torch.stack([value.isfinite().all() for value in found.values()]).all():
            name = next(name for name, value in found.items() if not value.isfinite().all())
            progress = self.pipeline.progress
            raise NumericalError(
                f"{name} is not finite after {progress.stage} step {progress.step}; nothing of it is kept; start again with a"
                " lower learning rate or a higher precision"
            )

    def _reached(self) -> bool:
        """Whether the run is as far as it shall go; a run that is done is never stopped."""
        if self.until is None or self.pipeline.done:
            return False
        progress, (stage, epoch) = self.pipeline.progress, self.until
        names = [part.name for part in self.pipeline.stages]
        if progress.stage != stage:
            return names.index(progress.stage) > names.index(stage) if stage in names else False
        if self.pipeline.rounds.done or epoch is None:
            return self.pipeline.rounds.done
        return progress.step >= epoch * self.stream.steps_per_epoch(progress.draws)

    def _save(self, progress: Progress, *, epoch_over: bool) -> None:
        self._require_finite()
        path = self.keeper.save(self.memory, epoch_over=epoch_over)
        if path is not None:
            for record in self.records:
                record.saved(progress, path)

    def _begin_stage(self) -> None:
        for record in self.records:
            record.began(self.pipeline, self._epochs(self.pipeline.progress.steps))

    def _measure_baseline(self) -> None:
        """Pruning happens at the end of a step, so the network is measured just before the step that prunes it first."""
        rounds = self.pipeline.rounds
        first = rounds.pruning.schedule.rounds > 0 and rounds.round == 0 and rounds.t == rounds.k - 1
        if first and self.pipeline.progress.stage == "train" and self.memory.baseline is None:
            what = f"the same network before pruning, after {rounds.t} step{'s' * (rounds.t != 1)}"
            self.memory.baseline = {"validation": self._validate(), "what": what}

    def _end_round(self) -> None:
        settle(self.pipeline, self.processes)
        for record in self.records:
            record.pruned(self.pipeline)

    def _end_epoch(self) -> None:
        progress, memory = self.pipeline.progress, self.memory
        self.guard.look()
        memory.means.merge(self.processes)
        metrics = memory.means.read(progress.stage)
        memory.means = Means()
        memory.validation = self._validate()
        memory.best = max(memory.validation, memory.best or 0.0)
        epoch, epochs = self._epochs(progress.step), self._epochs(progress.steps)
        diagnoses, collapsed = diagnosed(self.pipeline, memory.course, epoch=epoch)
        for record in self.records:
            record.ended_epoch(
                self.pipeline,
                epoch=epoch,
                epochs=epochs,
                metrics=metrics,
                validation_accuracy=memory.validation,
                seconds=memory.spent(progress.stage),
                diagnoses=diagnoses,
                collapsed=collapsed,
            )

    def _validate(self) -> float:
        settle(self.pipeline, self.processes)
        return accuracy(self.pipeline, self.stream.validation_batches(), self.correct, self.processes)

    def _epochs(self, steps: int) -> int:
        """That many steps of the open stage, in epochs that are whole or begun."""
        return -(-steps // self.stream.steps_per_epoch(self.pipeline.progress.draws))

    def _write_genotype(self, ticket: Ticket) -> None:
        if ticket.genotype is not None:
            for record in self.records:
                record.chose(ticket.genotype)
