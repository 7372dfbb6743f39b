"""A tiny run that is killed and resumed, each time in a new process: what the processes do.

It is the real runner, with its checkpoints and its journal, on the spaces and batches of a suite.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lnas.core.pipeline import Pipeline
from lnas.core.types import Batch, Loss, Predict
from lnas.host.events import Event, Observer, Pruned, Saved, StepDone
from lnas.host.foreign import in_one_line
from lnas.host.rundir import RunDirectory
from lnas.host.runner import run
from lnas.host.stream import Stream
from lnas.testing.elsewhere import Words, found
from lnas.testing.forkserver import LIMIT, waited
from lnas.testing.recorded import Recorded

STEPS, PER_ROUND = 6, 2
"""Of the stage; it is pruned after 2 and 4."""
BATCHES = 8
"""Pairs of which the batches are drawn."""

KILLS: tuple[tuple[type, int], ...] = ((StepDone, 1), (Pruned, 2), (Saved, 2), (Saved, 5))
"""One after the other in a single run: what was just told, and the step; all but `Saved` come before the step is saved."""

WORDS = {StepDone: "after step {} ", Pruned: "after the prune round of step {} ", Saved: "after the checkpoint of step {} "}


@dataclass(frozen=True)
class Runnable:
    """What a suite lets run.

    Attributes:
        pipeline: fresh.
        pairs: batches of training and of validation.
        loss: of a batch.
    """

    pipeline: Pipeline
    pairs: Sequence[tuple[Batch, Batch]]
    loss: Loss

    def run(self, place: Path, kill: tuple[type, int] | None) -> dict[str, Any]:
        """Run it in a directory, from its last checkpoint where there is one; what came out."""
        directory = RunDirectory(place / "run")
        if not directory.status.exists():
            directory = RunDirectory.create(place, name="run", recipe="tried", data="batches", seed=0, config="seed = 0\n")
        batches = [batch for pair in self.pairs for batch in pair]
        result = run(
            self.pipeline,
            Stream(Recorded(batches), batch=1, seed=0),
            directory,
            correct=self._right,
            seed=0,
            device=torch.device("cpu"),
            observers=[_Killer(kill)],
            checkpoint_seconds=0.0,
        )
        rows = [{key: value for key, value in row.items() if key != "seconds"} for row in directory.rows()]
        return {"digest": result.digest, "journal": rows}

    def _right(self, network: Predict, batch: Batch) -> tuple[Tensor, int]:
        """A batch counts as right where its loss is below 1."""
        return (self.loss(network, batch) < 1).sum(), 1


class _Killer(Observer):
    def __init__(self, kill: tuple[type, int] | None) -> None:
        self._kill = kill

    def notify(self, event: Event) -> None:
        if self._kill is not None and isinstance(event, self._kill[0]) and event.progress.step == self._kill[1]:  # type: ignore[union-attr]
            os.kill(os.getpid(), signal.SIGKILL)


def judged(words: Words, name: str, folder: str) -> None:
    """Run the subject `name` of a suite straight, then killed and resumed; leave in `folder` what is wrong, in verdict.json.

    Called in a process that has computed nothing, which forks those that compute.
    """
    place, suite = Path(folder), found(words)
    (place / "verdict.json").write_text(json.dumps(_compared(suite, name, place)))


def _compared(suite: Any, name: str, place: Path) -> str:
    straight = _forked(suite, name, place / "straight", None)
    if isinstance(straight, str):
        return f"a run on {name} in a process of its own {straight}"
    for kill in KILLS:
        came = _forked(suite, name, place / "killed", kill)
        if came != -signal.SIGKILL:
            so_far = _told(KILLS[: KILLS.index(kill)])
            return f"a run on {name}{so_far} {came if isinstance(came, str) else 'did not come to the step of its next kill'}"
    resumed = _forked(suite, name, place / "killed", None)
    if isinstance(resumed, str):
        return f"a run on {name}{_told(KILLS)} {resumed}"
    assert isinstance(straight, Mapping) and isinstance(resumed, Mapping)
    if straight == resumed:
        return ""
    return (
        f"a run on {name}{_told(KILLS)} is not the straight run: {_difference(straight, resumed)}; a new process has only what"
        " is in state_dict(): nothing that steers a step may lie elsewhere, in the module, the class or a file"
    )


def _forked(suite: Any, name: str, place: Path, kill: tuple[type, int] | None) -> Mapping[str, Any] | int | str:
    """What a run in a child of this process gave; -9 where it was killed; or how it failed, in words."""
    place.mkdir(exist_ok=True)
    child = os.fork()
    if not child:
        signal.alarm(LIMIT)
        os.fsync = lambda descriptor: None  # type: ignore[assignment]  # processes die here, not the power
        try:
            (place / "came.json").write_text(json.dumps(suite().runnable(name).run(place, kill)))
        except BaseException as error:
            (place / "failed.txt").write_text(in_one_line(error))
            os._exit(1)
        sys.stdout.flush()
        os._exit(0)
    status = waited(child)
    if status == -signal.SIGKILL:
        return status
    if status == -signal.SIGALRM:
        return f"did not end in {LIMIT} s"
    if (place / "failed.txt").exists():
        return f"failed: {(place / 'failed.txt').read_text()}"
    if status:
        return f"ended with status {status}"
    came: dict[str, Any] = json.loads((place / "came.json").read_text())
    return came


def _told(kills: Sequence[tuple[type, int]]) -> str:
    parts = [f"{WORDS[kind].format(step)}".strip() for kind, step in kills]
    return f", killed {', '.join(parts)} and resumed each time in a new process," if parts else ""


def _difference(straight: Mapping[str, Any], resumed: Mapping[str, Any]) -> str:
    for one, other in zip(straight["journal"], resumed["journal"], strict=False):
        if one != other:
            key = next((key for key in one if one.get(key) != other.get(key)), "an entry")
            return f"at {one.get('event')} of step {one.get('step', 0)} its journal differs in {key}"
    return "its journal is the same, its digest is not"
