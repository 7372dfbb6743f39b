"""The tables of a sweep: a line for each row, what its seeds measured, and the printed Table 1 beside a sweep that repeats it."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from lnas.report.spread import NOTHING, around, mean_of
from lnas.report.sweep_numbers import TEST, VALIDATION, Quantity, Reading, an_accuracy, compact, seconds
from lnas.report.text import line
from lnas.sweep.figures import percent
from lnas.sweep.hypothesis import recipe_of
from lnas.sweep.printed import PrintedRow, printed
from lnas.sweep.results import COSTS, Results, Row, TrialResult

HALF = an_accuracy("best up to half-time", lambda trial: trial.half)
END = an_accuracy("best up to the end", lambda trial: trial.end)
TICKET = an_accuracy("best after the last prune", lambda trial: trial.ticket)
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
class Entry:
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
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Table:
    """A line for each row of the sweep, and in it an entry for each column."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]


def accuracy_table(results: Results) -> Table:
    """Accuracies in percent: the mean, its 95 % interval and n."""
    beside = results.kind == "table1"
    columns = [Column("n", "seeds")]
    for title, note, epoch in (
        ("validation, best up to half-time", "%", "epoch 10"),
        ("validation, best up to the end", "%", "epoch 20"),
    ):
        columns += [Column(title, note), *([Column("printed", epoch, printed=True)] if beside else [])]
    columns += [Column("validation, best after the last prune", "%"), Column("validation, last weights", "%")]
    columns += [Column("test, last weights", "%")]
    lines = []
    for row in results.rows:
        half, end, *last = (accuracy_entry(results, row, quantity) for quantity in (HALF, END, TICKET, VALIDATION, TEST))
        before = _printed(row, lambda paper: percent(paper.half), beside)
        after = _printed(row, lambda paper: percent(paper.end), beside)
        lines.append(Line(row, (_n(results, row), half, *before, end, *after, *last)))
    return Table(tuple(columns), tuple(lines))


def cost_table(results: Results) -> Table:
    """Costs, sparsities and times: the mean, and the range where the seeds differ."""
    beside = results.kind == "table1"
    columns = [Column("n", "seeds"), *(Column(cost.name) for cost in COST_QUANTITIES), Column("nni_compat", "not an honest cost")]
    columns += [Column("printed", "FLOPS", printed=True)] if beside else []
    columns += [Column("sparsity attained"), Column("search time")]
    columns += [Column("printed", "search, on a K80", printed=True)] if beside else []
    columns += [Column("training time")]
    lines = []
    for row in results.rows:
        costs = [range_entry(results, row, quantity) for quantity in (*COST_QUANTITIES, NNI)]
        flops = _printed(row, lambda paper: f"{paper.cost / 1e6:.3f}M", beside)
        search, train = (range_entry(results, row, quantity) for quantity in (SEARCH, TRAIN))
        hours = _printed(row, lambda paper: f"around {paper.search_hours:g} h", beside)
        lines.append(Line(row, (_n(results, row), *costs, *flops, _attained(results, row), search, *hours, train)))
    return Table(tuple(columns), tuple(lines))


def accuracy_entry(results: Results, row: Row, quantity: Quantity) -> Entry:
    """The mean, half the width of its interval, and n where it is not that of the row."""
    known = mean_of(results, quantity.of(results, row).values())
    return Entry(around(known), ", ".join([*_fewer(results, row, known.n), *(["all equal"] if known.equal else [])]))


def range_entry(results: Results, row: Row, quantity: Quantity) -> Entry:
    """The mean, from where to where the seeds go, and n where it is not that of the row."""
    values = quantity.of(results, row).values()
    if not values:
        return Entry(NOTHING)
    ends = [quantity.words(end) for end in (min(values), max(values))]
    reach = [] if ends[0] == ends[1] else [" to ".join(ends)]
    return Entry(quantity.words(fmean(values)), ", ".join([*reach, *_fewer(results, row, len(values))]))


def _fewer(results: Results, row: Row, n: int) -> list[str]:
    """The n of a figure that not all finished trials of its row have."""
    return [f"n = {n}"] if 0 < n < len(results.of(row.label)) else []


def _n(results: Results, row: Row) -> Entry:
    n = len(results.of(row.label))
    missing = sum(trial.row == row.label for trial in results.trials) - n
    notes = [*(["no interval"] if n == 1 else []), *([f"{missing} missing"] if missing > 0 else [])]
    return Entry(f"n = {n}", ", ".join(notes))


def _attained(results: Results, row: Row) -> Entry:
    """The mean over the seeds by target."""
    by_target: dict[str, list[float]] = {}
    for trial in results.of(row.label).values():
        for target, sparsity in trial.attained.items():
            by_target.setdefault(target, []).append(sparsity)
    words = [f"{fmean(values):.4g} of {line(target, most=40)}" for target, values in by_target.items()]
    return Entry(", ".join(words) or NOTHING)


def _printed(row: Row, words: Callable[[PrintedRow], str], beside: bool) -> tuple[Entry, ...]:
    """The paper's figure for the row, where there is a column for it; a control is in no printed table."""
    if not beside:
        return ()
    found = printed(recipe_of(row), row.sparsity) if row.control is None else None
    return (Entry(NOTHING if found is None else words(found)),)
