"""A small real run, and a way to leave it after any step: generalized LNAS by the default strategy, on `dots`."""

import shutil
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.chaos import dots
from lnas import Event, Host, Observer, StepDone, Switches
from lnas.host.assemble import build, resolve
from lnas.host.config import to_toml
from lnas.host.job import Job
from lnas.host.rundir import RunDirectory
from lnas.host.signals import Interrupted

WIDE = "cells,channels=2,layers=3,nodes=2,network_channels=2,network_layers=3"
SETTINGS: dict[str, Any] = {
    "data": "dots",
    "space": f"{WIDE},operations=none+skip_connect+sep_conv_3x3",
    "prune": ["alpha:iterative,rounds=2,sparsity=0.5", "theta:iterative,rounds=2,sparsity=0.5,rewind=1it"],
    "strategy": "darts,lr=0.2",
    "train": "lr=0.1",
    "epochs": "6it:12it",
    "batch": 8,
    "validation": 0.3,
    "device": "cpu",
    "seed": 3,
}
"""18 steps.  Paths are pruned after steps 3 and 6 of the search, weights after steps 4 and 8 of the training."""

STEPS = 18
PLUGIN = Path(dots.__file__)
SWITCHES = ("--no-plugins", "--plugin", str(PLUGIN))


def arguments() -> tuple[str, ...]:
    """The same as `lnas` has it typed; its name is "run"."""
    options = [(name, value) for name, given in SETTINGS.items() for value in (given if isinstance(given, list) else [given])]
    return "run", *SWITCHES, "--name", "run", *(word for name, value in options for word in (f"--{name}", str(value)))


def job(**settings: object) -> Job:
    """The run, built and not begun; `settings` instead of its own."""
    host = Host(switches=Switches(installed=False, files=(PLUGIN,)))
    merged, dataset = resolve(host, command_line={**SETTINGS, **settings})
    return build(merged.config, host, dataset)


def directory(out: Path, made: Job) -> RunDirectory:
    """A new run directory for it."""
    return RunDirectory.create(
        out, name="run", recipe=made.recipe, data="dots", seed=made.config.seed, config=to_toml(made.config)
    )


class Leave(Observer):
    """Asks the run to stop after so many steps."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def notify(self, event: Event) -> None:
        if isinstance(event, StepDone) and event.done == self._steps:
            signal.raise_signal(signal.SIGTERM)  # in the background, ^C is ignored


def left_after(steps: int, out: Path, **settings: object) -> RunDirectory:
    """The directory of a run that was left after `steps` of its steps; the newest checkpoint is of that moment."""
    made = job(**settings)
    place = directory(out, made)
    with saving_often():
        try:
            made.run(place, observers=[Leave(steps)])
        except Interrupted:
            return place
    raise AssertionError(f"the run has no step {steps} to be left after")


def copy(place: RunDirectory, to: Path) -> RunDirectory:
    """The run somewhere else, from its present state."""
    shutil.copytree(place.path, to)
    return RunDirectory(to)


@contextmanager
def saving_often() -> Iterator[None]:
    """Let a save cost what it likes: there is a checkpoint at the end of every epoch, as in runs that take longer."""
    with patch("lnas.host.keeper.COST", 0):
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings that damage is announced by."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
