"""What part of a run goes into its checkpoints, with the largest state that a run of the paper's search has."""

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measured import Measured
from lnas.host import runner
from lnas.host.assemble import build
from lnas.host.config import Config, to_toml
from lnas.host.keeper import Keeper
from lnas.host.plugins import Host
from lnas.host.rundir import RunDirectory
from lnas.host.switches import Switches

EVERY = 1.0
"""Seconds between two checkpoints where they cost so little: a run has 60, and then saving is a smaller part."""


SMALL = "channels=2,layers=3,nodes=1,network_channels=2,network_layers=2"
"""For a look at the program only: the smaller the steps, the larger the part of the saves at their ends."""


class _Timed(Keeper):
    """Counts and times what it saves."""

    spent = 0.0
    saves = 0

    def save(self, *given: Any, **named: Any) -> Path | None:
        began = time.perf_counter()
        path = super().save(*given, **named)
        _Timed.spent += time.perf_counter() - began
        _Timed.saves += 1
        return path


def measure(*, quick: bool) -> Measured:
    """checkpoints: seconds of saving to seconds of the run."""
    size = SMALL if quick else "channels=16,layers=8,network_channels=16,network_layers=8"
    epochs = "10it:11it" if quick else "150it:150it"
    with tempfile.TemporaryDirectory() as out:
        config = Config(space=f"cells,{size}", epochs=epochs, batch=32, recipe="generalized", out=out)  # type: ignore[arg-type]
        directory = RunDirectory.create(Path(out), name="run", recipe="x", data="digits", seed=0, config=to_toml(config))
        job = build(config, Host(switches=Switches(installed=False)))
        _Timed.spent, _Timed.saves, kept = 0.0, 0, runner.Keeper
        runner.Keeper = _Timed  # type: ignore[misc]
        began = time.perf_counter()
        try:
            runner.run(
                job.pipeline,
                job.stream,
                directory,
                correct=job.correct,
                seed=0,
                device=job.device,
                checkpoint_seconds=EVERY,
            )
        finally:
            runner.Keeper = kept  # type: ignore[misc]
        total = time.perf_counter() - began
        newest = max((directory.checkpoints).iterdir())
        megabytes = sum(file.stat().st_size for file in newest.iterdir()) / 1e6
    figures = {"seconds": {"run": total, "saving": _Timed.spent}, "checkpoints": {"saved": _Timed.saves, "megabytes": megabytes}}
    return Measured(ratios={"checkpoints": _Timed.spent / total}, figures=figures)
