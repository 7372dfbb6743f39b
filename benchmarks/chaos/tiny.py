"""The run that is killed: generalized LNAS on the embedded digits, 4 steps of search and 6 of training, in its own process."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.chaos.child import PRELOADED
from lnas.testing.forkserver import ForkServer

STEPS = 10
"""Of both stages; alpha is pruned after 2 and 4, theta after 6 and 8, then set back to its first step."""

NAME = "run"
CLOCK = ("seconds", "latency")
"""Entries that are time, which no resumption gives back."""

_SPARSITY = "iterative,sparsity=0.5,rounds=2"
_SPACE = "cells,channels=2,layers=2,nodes=2,network_channels=2,network_layers=2,operations=none+skip_connect+sep_conv_3x3"
RUN = (
    *("run", "--prune", f"alpha:{_SPARSITY}", "--prune", f"theta:{_SPARSITY}", "--space", _SPACE, "--epochs", "4it:6it"),
    *("--batch", "32", "--device", "cpu", "--name", NAME),
)
"""What is typed to start it, in an empty folder: runs/run is made."""
RESUME = ("resume", f"runs/{NAME}")


def directory(folder: Path) -> Path:
    """Of the run that was started in `folder`."""
    return folder / "runs" / NAME


class Program:
    """`lnas`, started in a folder, each time in a process of its own.

    Args:
        server: forks the processes.
        folder: where it is called, and where errors.txt collects what it says.
    """

    def __init__(self, server: ForkServer, folder: Path) -> None:
        self._server = server
        self.folder = folder
        self.errors = folder / "errors.txt"
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, arguments: Sequence[str], *, longest: float = 0.0, kill: Sequence[Any] | None = None, at: float = 0.0) -> int:
        """The process id of `lnas ARGUMENTS`, from a time on: see `child.command`."""
        return self._server.start(
            "benchmarks.chaos.child:command",
            list(arguments),
            longest,
            kill,
            folder=self.folder,
            errors=self.errors,
            at=at,
        )

    def wait(self, process: int) -> int:
        """Its exit status, negative where a signal ended it."""
        return self._server.wait(process)

    def call(self, arguments: Sequence[str], *, longest: float = 0.0, kill: Sequence[Any] | None = None) -> int:
        """Start it and wait."""
        return self.wait(self.start(arguments, longest=longest, kill=kill))

    def go_on(self) -> tuple[str, ...]:
        """What to type now: to resume the run, or to start it where there is none yet."""
        return RESUME if self.resumable() else RUN

    def resumable(self) -> bool:
        """Whether there is a run; one that has lost files is still one."""
        return os.path.lexists(directory(self.folder))

    def last_words(self) -> str:
        """The last line on standard error."""
        return (self.errors.read_text().strip().splitlines() or ["nothing was said"])[-1]


def server() -> ForkServer:
    """One for the program, without settings of the user."""
    return ForkServer(PRELOADED, {name: "" for name in os.environ if name.startswith("LNAS_")})


def traces(run: Path) -> dict[str, object]:
    """All that a finished run left, but for the time that it took: by the names of files, their bytes or what they say."""
    plain = ("config.toml", "genotype.json", "model.json", "model.safetensors", "masks.safetensors")
    left: dict[str, object] = {name: (run / name).read_bytes() for name in plain}
    left["metrics.jsonl"] = [_without_time(json.loads(line)) for line in (run / "metrics.jsonl").read_text().splitlines()]
    left["summary.json"] = _without_time(json.loads((run / "summary.json").read_text()))
    status = json.loads((run / "status.json").read_text())
    left["status.json"] = {key: status[key] for key in ("state", "stage", "step", "steps")}
    last = max((run / "checkpoints").glob("step-????????"))
    left["the last checkpoint"] = (last.name, (last / "tensors.safetensors").read_bytes())
    left["its files"] = sorted(path.name for path in run.iterdir())
    return left


def finished(run: Path) -> bool:
    """Whether the run says that it has come to its end."""
    status = run / "status.json"
    return status.exists() and json.loads(status.read_text())["state"] == "finished"


def differing(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """The names under which two traces differ."""
    return [name for name in one if one[name] != other[name]]


def newest_step(run: Path) -> int:
    """The step of the newest checkpoint under its own name, 0 where there is none."""
    return max((int(path.name.removeprefix("step-")) for path in (run / "checkpoints").glob("step-????????")), default=0)


def _without_time(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entries.items() if key not in CLOCK}
