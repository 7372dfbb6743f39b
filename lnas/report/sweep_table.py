"""The tables of a sweep: a line for each row, what its seeds measured, and the printed Table 1 beside a sweep that repeats it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from statistics import fmean

from lnas.report.sweep_numbers import Quantity, Reading, compact, percent, points, seconds
from lnas.report.text import line
from lnas.sweep.hypothesis import recipe_of
from lnas.sweep.printed import PrintedRow, printed
from lnas.sweep.results import COSTS, Results, Row, TrialResult
from lnas.sweep.statistics import Mean, interval

UNKNOWN = "–"
HALF = Quantity("best up to half-time", lambda trial: trial.half, points, percent)
END = Quantity("best up to the end", lambda trial: trial.end, points, percent)
TEST = Quantity("test accuracy", lambda trial: trial.test, points, percent)
SEARCH = Quantity("search time", lambda trial: trial.search_seconds, seconds, seconds)
TRAIN = Quantity("training time", lambda trial: trial.train_seconds, seconds, seconds)
NNI = Quantity("nni_compat", lambda trial: trial.nni_compat, compact, compact)


def _reader(key: str) -> Reading:
    def read(trial: TrialResult) -> float | None:
        value: int | None = getattr(trial, key)
        return value

    return read


COST_QUANTITIES = tuple(Quantity(name, _reader(key), compact, compact) for key, name in COSTS.items())


@dataclass(frozen=True)
class Cell:
    """What stands in a table, and below it in small letters what must be known to read it."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class Column:
    """A head.

    Attributes:
        title: what is in it.
        note: below the title.
        printed: whether its figures are the paper's, and not this sweep's.
    """

    title: str
    note: str = ""
    printed: bool = False


@dataclass(frozen=True)
class Line:
    """One row of a sweep in a table."""

    row: Row
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A line for each row of the sweep, and in it a cell for each column."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]


def accuracy_table(results: Results) -> Table:
    """Accuracies in percent: the mean, its 95 % interval and n."""
    beside = results.kind == "table1"
    columns = [Column("n", "seeds")]
    for title, note, epoch in (
        ("validation, best at half-time", "%", "epoch 10"),
        ("validation, best at the end", "%", "epoch 20"),
    ):
        columns += [Column(title, note), *([Column("printed", epoch, printed=True)] if beside else [])]
    columns += [Column("test, last weights", "%")]
    lines = []
    for row in results.rows:
        half, end, test = (accuracy_cell(results, row, quantity) for quantity in (HALF, END, TEST))
        before = _printed(row, lambda paper: points(paper.half), beside)
        after = _printed(row, lambda paper: points(paper.end), beside)
        lines.append(Line(row, (_count(results, row), half, *before, end, *after, test)))
    return Table(tuple(columns), tuple(lines))


def cost_table(results: Results) -> Table:
    """Costs, sparsities and times: the mean, and the range where the seeds differ."""
    beside = results.kind == "table1"
    columns = [*(Column(cost.name) for cost in COST_QUANTITIES), Column("nni_compat", "not an honest cost")]
    columns += [Column("printed", "FLOPS", printed=True)] if beside else []
    columns += [Column("sparsity attained"), Column("search time")]
    columns += [Column("printed", "search, on a K80", printed=True)] if beside else []
    columns += [Column("training time")]
    lines = []
    for row in results.rows:
        costs = [range_cell(results, row, quantity) for quantity in (*COST_QUANTITIES, NNI)]
        flops = _printed(row, lambda paper: f"{paper.cost / 1e6:.3f} M", beside)
        search, train = (range_cell(results, row, quantity) for quantity in (SEARCH, TRAIN))
        hours = _printed(row, lambda paper: f"{paper.search_hours:g} h", beside)
        lines.append(Line(row, (*costs, *flops, _attained(results, row), search, *hours, train)))
    return Table(tuple(columns), tuple(lines))


def accuracy_cell(results: Results, row: Row, quantity: Quantity) -> Cell:
    """The mean, half the width of its interval, and n where it is not that of the row."""
    values = quantity.of(results, row)
    known = interval(values.values())
    if known.mean is None:
        return Cell(UNKNOWN)
    n = "" if known.n == len(results.of(row.label)) else f"n = {known.n}"
    return Cell(f"{points(known.mean)}{_plus_minus(known)}", n or ("all equal" if _equal(values.values()) else ""))


def range_cell(results: Results, row: Row, quantity: Quantity) -> Cell:
    """The mean, and from where to where the seeds go."""
    values = quantity.of(results, row).values()
    if not values:
        return Cell(UNKNOWN)
    ends = [quantity.words(end) for end in (min(values), max(values))]
    return Cell(quantity.words(fmean(values)), "" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}")


def _plus_minus(known: Mean) -> str:
    return "" if known.interval is None else f" ± {points((known.interval[1] - known.interval[0]) / 2)}"


def _equal(values: Collection[float]) -> bool:
    return len(values) > 1 and len(set(values)) == 1


def _count(results: Results, row: Row) -> Cell:
    n = len(results.of(row.label))
    missing = sum(trial.row == row.label for trial in results.trials) - n
    notes = [*(["no interval"] if n == 1 else []), *([f"{missing} missing"] if missing > 0 else [])]
    return Cell(f"n = {n}", ", ".join(notes))


def _attained(results: Results, row: Row) -> Cell:
    """The mean over the seeds by target."""
    by_target: dict[str, list[float]] = {}
    for trial in results.of(row.label).values():
        for target, sparsity in trial.attained.items():
            by_target.setdefault(target, []).append(sparsity)
    words = [f"{fmean(values):.4g} of {line(target, most=40)}" for target, values in by_target.items()]
    return Cell(", ".join(words) or UNKNOWN)


def _printed(row: Row, words: Callable[[PrintedRow], str], beside: bool) -> tuple[Cell, ...]:
    """The paper's figure for the row, where there is a column for it; a control is in no printed table."""
    if not beside:
        return ()
    found = printed(recipe_of(row), row.sparsity) if row.control is None else None
    return (Cell(UNKNOWN if found is None else words(found)),)
