"""Each control beside the row that it is held against: what the row loses without what the control takes away."""

from dataclasses import dataclass

from lnas.report.sweep_numbers import Quantity
from lnas.report.sweep_table import UNKNOWN, Cell, accuracy_cell
from lnas.report.sweep_words import difference, span
from lnas.sweep.hypotheses import CONTROLS
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
    accuracy: Cell
    of: str
    of_accuracy: Cell
    difference: Cell


def held(results: Results, accuracy: Quantity) -> tuple[Held, ...]:
    """All controls, in the order of the table."""
    by_label = {row.label: row for row in results.rows}
    return tuple(_held(results, accuracy, row, by_label.get(row.of or "")) for row in results.rows if row.control is not None)


def kinds(results: Results) -> tuple[tuple[str, str], ...]:
    """The kinds of control that the sweep has, each with what is claimed against it."""
    found = dict.fromkeys(row.control for row in results.rows if row.control is not None)
    return tuple((kind, CONTROLS.get(kind, "a control of a plugin")) for kind in found)


def _held(results: Results, accuracy: Quantity, control: Row, of: Row | None) -> Held:
    mine = accuracy_cell(results, control, accuracy)
    if of is None:
        return Held(control, mine, control.of or UNKNOWN, Cell(UNKNOWN), Cell(UNKNOWN))
    pairs = paired(accuracy.of(results, of), accuracy.of(results, control))
    if pairs.interval is not None:
        note = f"{span(pairs.interval)}, n = {pairs.n}"
    elif pairs.n == 1:
        note = "n = 1, no interval"
    else:
        note = f"n = {pairs.n}" + (", all equal" if pairs.degenerate else "")
    return Held(control, mine, of.label, accuracy_cell(results, of, accuracy), Cell(difference(pairs.mean, "points"), note))
