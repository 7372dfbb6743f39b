"""A sweep as CSV (RFC 4180): a line for each trial, or for each row.  Numbers are as they are, not rounded."""

import csv
import io
from collections.abc import Iterable, Sequence

from lnas.report.frame import Cell
from lnas.report.spread import MEASURES, measured
from lnas.report.text import line
from lnas.report.trials import trial_records
from lnas.sweep.results import Results

_FORMULAS = ("=", "+", "-", "@")


def trials_csv(results: Results) -> str:
    """A line for each trial, with the columns of `lnas.Sweep.to_records`; an empty cell where it did not come that far.

    A text that a spreadsheet would run as a formula, for it begins with = + - or @, has a ' in front of it.
    """
    columns, records = trial_records(results)
    return _csv(list(columns), ([record[name] for name in columns] for record in records))


def rows_csv(results: Results) -> str:
    """A line for each row: its mean over the finished trials, and below and above it the 95 % t interval.

    For each measure the columns are e.g. test, test.n, test.low and test.high.  Without an interval (n = 1, values that are all
    equal, trials that were stopped early) the last two are empty; without a value the mean is too.  Texts are as in `trials_csv`.
    """
    options = sorted({option for row in results.rows for option in row.varied})
    head = ["row", "recipe", "sparsity", "control", "of", *(f"varied.{option}" for option in options), "planned", "finished"]
    head += [f"{measure}{part}" for measure in MEASURES for part in ("", ".n", ".low", ".high")]
    lines = []
    for row in results.rows:
        cells: list[Cell] = [row.label, row.recipe, row.sparsity, row.control, row.of]
        cells += [row.varied.get(option) for option in options]
        cells += [sum(trial.row == row.label for trial in results.trials), len(results.of(row.label))]
        for measure in MEASURES:
            mean = measured(results, row.label, measure)
            cells += [mean.mean, mean.n, *(mean.interval or (None, None))]
        lines.append(cells)
    return _csv(head, lines)


def _csv(head: Sequence[str], lines: Iterable[Sequence[Cell]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(map(_cell, head))
    writer.writerows([_cell(cell) for cell in cells] for cells in lines)
    return text.getvalue()


def _cell(cell: Cell) -> Cell:
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, str):
        words = line(cell)
        return f"'{words}" if words.startswith(_FORMULAS) else words
    return cell
