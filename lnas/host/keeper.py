"""Takes a run to its last checkpoint, and saves new ones when they are due: all state goes through here.

The pipeline's progress is the position in the data, for a stream is a function of the step.  Of several processes, only
the first touches the directory; the others are sent what it reads.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from lnas.core.errors import LnasError, RunError
from lnas.core.pipeline import Pipeline
from lnas.core.types import State
from lnas.host import checkpoint, runtime
from lnas.host.memory import Memory
from lnas.host.processes import ALONE, Processes
from lnas.host.rundir import RunDirectory
from lnas.host.runtime import fingerprint, random_state, restore_random_state

COST = 50
"""A checkpoint is due once this many times the duration of the last has passed, at the soonest: saving costs 2 % at most."""


class Keeper:
    """Saves and restores one run.

    Args:
        pipeline: of the run, as built from its configuration.
        directory: of the run; its lock is held.
        device: where the pipeline computes.
        longest: seconds between two checkpoints, where they cost so little and a step is shorter; 0 saves after every step.
        keep: how many of the newest checkpoints stay, beside the best.
        processes: of the run.
        plugins: versions of those that take part, by name.
        data: the fingerprint of the data, the same for the same.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        directory: RunDirectory,
        device: torch.device,
        *,
        longest: float,
        keep: int = 2,
        processes: Processes = ALONE,
        plugins: Mapping[str, str] = MappingProxyType({}),
        data: str = "",
    ) -> None:
        self._pipeline = pipeline
        self._directory = directory
        self._device = device
        self._longest = longest
        self._keep = keep
        self._processes = processes
        self._plugins = " ".join(f"{name}-{version}" for name, version in sorted(plugins.items())) or "none"
        self._data = data
        self._saved = time.monotonic()
        self._took = 0.0

    def start_over(self) -> None:
        """Forget the journal of a run without a checkpoint.

        Raises:
            PluginError: where a part has a state that no checkpoint can hold; nothing is written then.
        """
        if self._processes.first:
            checkpoint.check(self._state(Memory(), 0, ""))
            self._directory.cut_metrics(0)

    def restore(self, *, require_exact: bool) -> tuple[Memory, tuple[str, ...]] | None:
        """Go to the last checkpoint: pipeline, journal and, last of all, random state.  None where there is none.

        Returns:
            What the loop remembers, and in what this machine differs from the one that saved it.

        Raises:
            RunError: where the checkpoint does not fit, or `require_exact` and the machine differs.
        """
        found = self._processes.share(lambda: self._found(require_exact))
        if found is None:
            return None
        path, state, differences = Path(found["path"]), found["state"], tuple(found["differences"])
        memory = self._loaded(path, state)
        memory.exact = memory.exact and not differences
        if self._processes.first:
            self._directory.cut_metrics(state["metrics"], state["journal"])
        with self._fitting(path):
            restore_random_state(state["random"], self._processes.place)
        return memory, differences

    def _found(self, require_exact: bool) -> State | None:
        """The path and the state of the last checkpoint, and in what this machine differs from the one that saved it."""
        path = checkpoint.latest(self._directory.checkpoints)
        if path is None:
            if checkpoint.damaged(self._directory.checkpoints):
                raise RunError(
                    f"no checkpoint of {self._directory.path} is whole; put one back from a copy, or start a new run:"
                    f" those that are damaged are kept in {self._directory.checkpoints}"
                )
            return None
        made = {"processes": 1, "plugins": "none", **checkpoint.describe(path)}
        now = self._meta()
        differences = [f"{key} ({made.get(key)}, now {now[key]})" for key in now if made.get(key) != now[key]]
        if not runtime.repeatable(self._device):
            differences.append("algorithms (chosen anew, by --deterministic false)")
        if differences and require_exact:
            raise RunError(
                f"going on from {path} would not be exact: {'; '.join(differences)}; go back to what it was made with, or leave"
                " out --require-exact"
            )
        state = checkpoint.load(path)
        if state.get("config") != self._directory.read_config():
            raise RunError(f"{self._directory.config} is not the one that {path} was made with; put it back, or start a new run")
        return {"path": str(path), "state": state, "differences": differences}

    def _meta(self) -> dict[str, Any]:
        others = {"processes": self._processes.size, "plugins": self._plugins, "data": self._data}
        return {**fingerprint(self._device), **others}

    def due(self, *, epoch_over: bool) -> bool:
        """Whether a checkpoint is due after this step."""
        if not self._longest:
            return True
        passed = time.monotonic() - self._saved
        return passed >= COST * self._took and (epoch_over or passed >= self._longest)

    def save(self, memory: Memory, *, epoch_over: bool) -> Path | None:
        """Save the run as it stands between two steps; of several processes, all call it and the first writes.

        At the end of an epoch its accuracy is known: of the checkpoints made there, the best of the latest stage stays.

        Returns:
            The checkpoint; None in a process that is not the first.

        Raises:
            NumericalError: where a loss since the last epoch was not finite: such a state is not kept.
            RunError: where it cannot be written.
        """
        progress = self._pipeline.progress
        memory.means.merge(self._processes)
        memory.means.read(progress.stage)
        memory.pause(progress.stage)
        self._processes.follow(self._pipeline.module.buffers())  # as after resuming
        began = time.monotonic()
        path = None
        if self._processes.first:
            state = self._state(memory, *self._directory.keep_metrics())
            step = memory.closed + progress.step
            score = None if not epoch_over or memory.validation is None else (memory.closed, memory.validation)
            path = checkpoint.save(self._directory.checkpoints, state, step=step, meta=self._meta(), keep=self._keep, score=score)
        self._saved = time.monotonic()
        self._took = self._saved - began
        return path

    def _state(self, memory: Memory, metrics: int, journal: str) -> State:
        return {
            "pipeline": self._pipeline.state_dict(),
            "memory": memory.state_dict(),
            "metrics": metrics,
            "journal": journal,
            "config": self._directory.read_config(),
            "random": random_state(),
        }

    def _loaded(self, path: Path, state: State) -> Memory:
        with self._fitting(path):
            self._pipeline.load_state_dict(state["pipeline"])
            return Memory.from_state(state["memory"])

    @contextmanager
    def _fitting(self, path: Path) -> Iterator[None]:
        """What is loaded fits, or it is said that it does not."""
        try:
            yield
        except LnasError:
            raise
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError, AssertionError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise RunError(f"{path} does not fit what {self._directory.config} describes: {reason}") from error
