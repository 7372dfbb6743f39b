"""Each control beside the row that it is held against: what the row loses without what the control takes away."""

from dataclasses import dataclass

from lnas.report.spread import NOTHING
from lnas.report.sweep_numbers import Quantity
from lnas.report.sweep_table import Entry, accuracy_entry
from lnas.report.sweep_words import difference
from lnas.sweep.figures import span
from lnas.sweep.hypotheses import CLAIMED
from lnas.sweep.results import Results, Row
from lnas.sweep.statistics import paired


@dataclass(frozen=True)
class Held:
    """A control and its row.

    Attributes:
        control: the row that is one.
        accuracy: of the control.
        of: label of the row that it is held against.
        of_accuracy: of that row.
        difference: of the pairs, row minus control: above 0 the row is the better one.
    """

    control: Row
    accuracy: Entry
    of: str
    of_accuracy: Entry
    difference: Entry


def held(results: Results, accuracy: Quantity) -> tuple[Held, ...]:
    """All controls, in the order of the table."""
    by_label = {row.label: row for row in results.rows}
    return tuple(_held(results, accuracy, row, by_label.get(row.of or "")) for row in results.rows if row.control is not None)


def kinds(results: Results) -> tuple[tuple[str, str], ...]:
    """The kinds of control that the sweep has, each with what is claimed against it."""
    found = dict.fromkeys(row.control for row in results.rows if row.control is not None)
    return tuple((kind, CLAIMED.get(kind, "a control of a plugin")) for kind in found)


def _held(results: Results, accuracy: Quantity, control: Row, of: Row | None) -> Held:
    mine = accuracy_entry(results, control, accuracy)
    if of is None:
        return Held(control, mine, control.of or NOTHING, Entry(NOTHING), Entry(NOTHING))
    pairs = paired(accuracy.of(results, of), accuracy.of(results, control))
    if pairs.interval is not None and results.stopped_early is None:
        note = f"{span(pairs.interval)}, n = {pairs.n}"
    else:
        note = f"n = {pairs.n}" + (", all equal" if pairs.degenerate else ", no interval" if pairs.n else "")
    return Held(control, mine, of.label, accuracy_entry(results, of, accuracy), Entry(difference(pairs.mean, "points"), note))
