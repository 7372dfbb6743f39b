"""`lnas.Run`: a run directory as a value, for scripts and notebooks."""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnas.host.rundir import RunDirectory
from lnas.host.runs import actual
from lnas.report.documents import Epoch, Summary
from lnas.report.frame import Cell, Columns, Record, frame, kind_of
from lnas.report.notebook import table_html
from lnas.report.read import RunFiles, read
from lnas.report.settings import settings
from lnas.report.table import percent, rows

if TYPE_CHECKING:
    from torch import nn

_OF_THE_RUN: Columns = {"run": str, "recipe": str, "seed": int}
_OF_AN_EPOCH: Columns = {
    "stage": str,
    "epoch": int,
    "step": int,
    "round": int,
    "rounds": int,
    "sparsity": float,
    "live_paths": int,
    "validation_accuracy": float,
    "seconds": float,
}
_LONGEST_SEED = 19
"""Digits."""
_NO_NUMBER = ("event", "alpha", "diagnosis")
"""Of an epoch: what it is, and two tables."""


class Run:
    """A run directory as a value; each file is read when it is first asked for, and once.

    Attributes:
        path: of the directory.

    Raises:
        RunError: where `path` is no run.  A file that cannot be understood is one where it is asked for.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = RunDirectory.open(Path(path)).path

    @classmethod
    def latest(cls, out: str | Path = "runs") -> "Run":
        """The run in the folder `out` whose status changed last.

        Raises:
            RunError: where there is none.
        """
        return cls(RunDirectory.latest(Path(out)).path)

    @functools.cached_property
    def files(self) -> RunFiles:
        """All that its files say."""
        return read(self.path)

    @property
    def name(self) -> str:
        """Of its directory."""
        return self.path.resolve().name

    @property
    def state(self) -> str:
        """As `lnas runs list` shows it: finished, running, stopped, interrupted or failed; unknown where no file says so."""
        status = self.files.status
        return "unknown" if status is None else actual(RunDirectory(self.path), status.state)

    @property
    def summary(self) -> Summary | None:
        """What it came to; None where it has not finished."""
        return self.files.summary

    @functools.cached_property
    def settings(self) -> Mapping[str, str]:
        """Its configuration, flat, as text by key: "recipe", "seed", "prune", "space.channels", "train.lr"."""
        return settings(self.files.config, where=self.path / "config.toml")

    @property
    def seed(self) -> int | None:
        """The root seed; None where config.toml does not say."""
        said = self.settings.get("seed", "")
        return int(said) if said.isdecimal() and len(said) <= _LONGEST_SEED else None

    def to_records(self) -> list[Record]:
        """One record for each epoch of the journal, in order, all with the same keys.

        They are run, recipe, seed, stage, epoch, step, round, rounds, sparsity, live_paths, validation_accuracy and seconds
        (since its stage began), then whatever else the journal has of numbers and words, as loss.  None where it has nothing.
        """
        return self._records()[1]

    def to_dataframe(self) -> Any:
        """`to_records` as a `pandas.DataFrame`, so that frames of several runs can be put below each other.

        Raises:
            ConfigError: where pandas is not installed.
        """
        return frame(*self._records())

    def network(self) -> "nn.Module":
        """The trained network of a finished run, as `lnas.load_model` gives it.

        Raises:
            RunError: where there is none.
        """
        from lnas.host.models import load_model

        return load_model(self.path)

    def _records(self) -> tuple[Columns, list[Record]]:
        said = [dict(_cells(epoch)) for epoch in self.files.epochs]
        more = sorted({key for cells in said for key in cells} - _OF_AN_EPOCH.keys())
        of_epochs = {key: kind_of([cells.get(key) for cells in said], _OF_AN_EPOCH.get(key)) for key in (*_OF_AN_EPOCH, *more)}
        of_the_run: Record = {"run": self.name, "recipe": self.settings.get("recipe"), "seed": self.seed}
        records = [of_the_run | {key: _as(kind, cells.get(key)) for key, kind in of_epochs.items()} for cells in said]
        return {**_OF_THE_RUN, **of_epochs}, records

    def __repr__(self) -> str:
        accuracy = None if self.summary is None else self.summary.accuracy
        test = "" if accuracy is None or accuracy.test is None else f", test {percent(accuracy.test)}"
        return f"Run({str(self.path)!r}, {self.state}{test})"

    def _repr_html_(self) -> str:
        known = (("State", self.state), ("Recipe", self.settings.get("recipe", "")), ("Seed", self.settings.get("seed", "")))
        return table_html(self.name, [*known, *(() if self.summary is None else rows(self.summary))])


def _cells(epoch: Epoch) -> Iterator[tuple[str, Cell]]:
    """What an epoch says in one cell each; columns of the run's own name stay the run's."""
    for key, value in epoch.model_dump().items():
        if key not in _NO_NUMBER and key not in _OF_THE_RUN and isinstance(value, str | int | float):
            yield key, value


def _as(kind: type, cell: Cell) -> Cell:
    """A cell of a column that holds this: words and numbers in one are words."""
    return str(cell) if kind is str and cell is not None else cell
