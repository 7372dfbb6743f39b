"""A run that is built and checked: what it plans, and what it does and writes."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lnas import cost
from lnas.core.data import Dataset
from lnas.core.pipeline import Pipeline
from lnas.core.random import seeded
from lnas.core.space import SearchSpace
from lnas.core.stages import Ticket
from lnas.host import documents, durable, models, runner, runtime, sums
from lnas.host.blame import attributing
from lnas.host.chosen import chosen, of_plugins
from lnas.host.config import Config
from lnas.host.costs import all_measured
from lnas.host.evaluate import Correct
from lnas.host.events import Observer
from lnas.host.plan import Plan, plan
from lnas.host.plugins import Host
from lnas.host.processes import ALONE, Processes
from lnas.host.registry import Component
from lnas.host.rundir import RunDirectory
from lnas.host.signals import UNLIMITED, Limits
from lnas.host.spec import Spec
from lnas.host.stream import Stream

WATCHING = ("observer", "cost")
"""Kinds of part that look on: with another version of one, a run gives the same bytes."""

SMALL_FILES = 1 << 20
"""Bytes for journal, report and what else a run writes."""

REPEATS = 20
"""Forward passes of which the latency is the median."""


@dataclass
class Job:
    """A run that can begin; nothing is written yet.  One that goes back has a new space and a new pipeline."""

    config: Config
    recipe: str
    """Its name."""
    host: Host
    device: torch.device
    dataset: Dataset
    stream: Stream
    space: SearchSpace
    pipeline: Pipeline
    again: Callable[[], tuple[SearchSpace, Pipeline]]
    """Makes both as they were at first."""
    correct: Correct
    network_pruning: Spec | None
    """The prune line of the training stage."""
    observers: tuple[Observer, ...] = ()
    """Those that the configuration names."""
    processes: Processes = ALONE
    """Each of them has built the same job, but for its share of `stream`."""

    def plan(self) -> Plan:
        """What it is going to do."""
        return plan(self.recipe, self.pipeline, self.stream, self.space, self.dataset.task)

    def run(
        self,
        directory: RunDirectory,
        *,
        observers: Sequence[Observer] = (),
        command: Sequence[str] = (),
        require_exact: bool = False,
        limits: Limits = UNLIMITED,
    ) -> dict[str, Any]:
        """Run to the end, from the last checkpoint in `directory` if there is one, and write all its files but the report.

        Args:
            directory: of this run; of several processes, the first reads and writes there.
            observers: told what happens, beside those that the configuration names.
            command: the program and its arguments, for the record.
            require_exact: refuse to go on where the result may not be that of an uninterrupted run.
            limits: what stops the run, beside SIGINT and SIGTERM.

        Returns:
            What summary.json holds; in a process that is not the first, {}.

        Raises:
            PluginFailedError: where a part of a plugin raises or breaks its contract; the last checkpoint is kept.
            LnasError: as `runner.run`.
        """

        def where() -> str:
            progress = self.pipeline.progress
            return f"after {progress.stage} step {progress.step}; go on with: lnas resume {shlex.quote(str(directory.path))}"

        with attributing(lambda: self.parts, where, ours=True):
            return self._run(directory, observers, command, require_exact, limits)

    def _again(self) -> Pipeline:
        self.space, self.pipeline = self.again()
        return self.pipeline

    def require_room(self, folder: Path) -> None:
        """Refuse a disk that is too full for the checkpoints of this run, before anything is written.

        Of a state there are the weights, their moments, and both once more where the run rewinds; one is written while the old
        ones are still there, and what lies in `folder` already is not needed again.  The network of the training is not known
        yet: any of the space stands for it.

        Raises:
            RunError: naming the free space and about how much is needed.
        """
        space = self.space
        anything = space.discretize({group: torch.zeros(alive.shape) for group, alive in space.alive.items()})
        with seeded(self.config.seed, "rehearsal"):
            network = space.derive(anything)
        state = max(_bytes(self.pipeline.module), _bytes(network))
        there = sum(file.stat().st_size for file in folder.glob("checkpoints/step-*/*")) if folder.is_dir() else 0
        durable.require_room(folder, 4 * state * (self.config.keep + 2) + SMALL_FILES - there)

    @property
    def parts(self) -> tuple[Component, ...]:
        """Those that the configuration names: who takes part."""
        return chosen(self.config, self.host.registry)

    def _run(
        self,
        directory: RunDirectory,
        observers: Sequence[Observer],
        command: Sequence[str],
        require_exact: bool,
        limits: Limits,
    ) -> dict[str, Any]:
        first = self.processes.first
        with directory.locked() if first else nullcontext():
            if self.processes.told(directory.finished):  # by another process, just now: the test set is read once
                return dict(documents.read(directory.summary)) if first else {}
            if first:
                directory.clear()
            if first and not directory.environment.exists():
                durable.write_json(directory.environment, self._environment(command))
            result = runner.run(
                self.pipeline,
                self.stream,
                directory,
                correct=self.correct,
                seed=self.config.seed,
                device=self.device,
                recipe=self.recipe,
                observers=(*self.observers, *observers),
                require_exact=require_exact,
                keep=self.config.keep,
                limits=limits,
                again=self._again,
                rollbacks=self.config.on_nan.rollbacks,
                processes=self.processes,
                plugins=of_plugins(part for part in self.parts if part.kind not in WATCHING),
            )
            if not first:
                return {}
            models.save_recipe(
                directory,
                space=self.config.space,
                task=self.dataset.task,
                precision=self.config.precision,
                ticket=result.ticket,
                pruned=self.network_pruning,
            )
            summary = self._summary(directory, result)
            written = durable.indented(summary)
            sums.write(directory.path, written)  # first: a run with a summary is finished, and has both
            durable.write_bytes(directory.summary, written)
        return summary

    def _environment(self, command: Sequence[str]) -> Mapping[str, Any]:
        plugins = [{"name": name, "version": version} for name, version in of_plugins(self.parts).items()]
        several = {"processes": self.processes.size} if self.processes.size > 1 else {}
        return {**runtime.environment(self.device, command=command, plugins=plugins), **several}

    def _summary(self, directory: RunDirectory, result: runner.Result) -> dict[str, Any]:
        network = _network(result.ticket)
        shape = self.dataset.task.shape
        parameters, macs = cost.parameters(network), cost.multiply_adds(network, shape)
        return {
            "schema": 1,
            "run": str(directory.path),
            "recipe": self.recipe,
            "strategy": str(self.config.strategy),
            "space": str(self.config.space),
            "accuracy": {"validation": result.validation, "best_validation": result.best, "test": result.test},
            "baseline": result.baseline,
            "sparsity": {name: asdict(sparsity) for name, sparsity in result.ticket.sparsity.items()},
            "parameters": asdict(parameters),
            "macs": asdict(macs),
            "costs": dict(all_measured(self.host.registry, self.config.cost, network, self.dataset.task)),
            "latency": asdict(cost.latency(network, shape, device=self.device, repeats=REPEATS)),
            "collapse": result.collapse,
            "seconds": {name: round(seconds, 3) for name, seconds in result.seconds.items()},
            "exact": result.exact,
            "digest": result.digest,
        }


def _bytes(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in module.state_dict().values() if isinstance(tensor, Tensor))


def _network(ticket: Ticket) -> nn.Module:
    assert ticket.network is not None, "a recipe ends with the training of a network"
    return ticket.network
