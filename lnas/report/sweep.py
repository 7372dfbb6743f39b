"""`lnas.Sweep`: the directory of a sweep as a value, for scripts and notebooks."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnas.report.frame import Record, frame
from lnas.report.notebook import table_html
from lnas.report.run import Run
from lnas.report.spread import measured, share, whole
from lnas.report.trials import trial_records
from lnas.sweep.results import Results, Row

if TYPE_CHECKING:
    from lnas.sweep.verdicts import Verdict

_HEAD = (
    *("Row", "Finished", "Validation, best after the last prune", "Validation, last weights", "Test, last weights"),
    *("Parameters, non-zero", "Multiply-adds, non-zero"),
)


class Sweep:
    """The directory of a sweep as a value; its files are read when they are first asked for, and once.

    Attributes:
        path: of the directory.

    Raises:
        RunError: where `path` is no sweep.  A file that cannot be understood is one where it is asked for.
    """

    def __init__(self, path: str | Path) -> None:
        from lnas.sweep.directory import SweepDirectory

        self.path = SweepDirectory.open(Path(path)).path

    @property
    def name(self) -> str:
        """Of its directory."""
        return self.path.resolve().name

    @functools.cached_property
    def results(self) -> Results:
        """What it came to so far: its rows, and a trial for each of their seeds."""
        from lnas.sweep.collect import collect

        return collect(self.path)

    def runs(self) -> dict[str, Run]:
        """The runs of its trials by name, in the order of the results; a trial that has not begun has none."""
        return {trial.name: Run(self.path / trial.path) for trial in self.results.trials if self._has_begun(trial.path)}

    def verdicts(self) -> "tuple[Verdict, ...]":
        """What may be concluded, claim by claim; "no verdict" wherever the seeds are too few to tell."""
        from lnas.sweep.verdicts import verdicts

        return verdicts(self.results)

    def to_records(self) -> list[Record]:
        """One record for each trial, in the order of the table, all with the same keys; None where it did not come that far.

        They are sweep, row, recipe, sparsity, control, of, name, seed, state, reason, before, half, end, ticket, best, epochs,
        validation, test, parameters, macs_dense, macs_nonzero, macs_structural, nni_compat, search_seconds, train_seconds,
        search, exact, digest and path, as `Sweep.results` explains them; "attained.TARGET" for each target; "varied.OPTION" for
        what else differs among rows.
        """
        return trial_records(self.results)[1]

    def to_dataframe(self) -> Any:
        """`to_records` as a `pandas.DataFrame`, so that frames of several sweeps can be put below each other.

        Raises:
            ConfigError: where pandas is not installed.
        """
        return frame(*trial_records(self.results))

    def _has_begun(self, path: str) -> bool:
        place = self.path / path
        return bool(path) and (place / "config.toml").is_file() and (place / "status.json").is_file()

    def __repr__(self) -> str:
        trials = self.results.trials
        finished = sum(trial.state == "finished" for trial in trials)
        return f"Sweep({str(self.path)!r}, {len(self.results.rows)} rows, {finished} of {len(trials)} trials finished)"

    def _repr_html_(self) -> str:
        from lnas.sweep.verdicts import why_none

        told = [f"{verdict.claim}: {verdict.sentence}" for verdict in self.verdicts()]
        reason = why_none(self.results)
        notes = told if reason is None else [f"{reason}."]
        rows = [_cells(self.results, row) for row in self.results.rows]
        means = "Means over seeds" if reason else "Mean ± half of the 95 % interval over seeds"
        return table_html(self.name, rows, head=_HEAD, notes=[f"{means}.", *notes])


def _cells(results: Results, row: Row) -> list[str]:
    planned = sum(trial.row == row.label for trial in results.trials)
    return [
        row.label,
        f"{len(results.of(row.label))} of {planned}",
        *(share(measured(results, row.label, measure)) for measure in ("ticket", "validation", "test")),
        whole(measured(results, row.label, "parameters")),
        whole(measured(results, row.label, "macs_nonzero")),
    ]
