"""Table 1 of the paper as it is printed, to stand beside what a sweep measures.  Nothing is computed from it.

It contradicts itself (`lnas.sweep.checks` says where): "highest validation accuracy up until the epoch" falls from epoch 10
to 20 for Variant 1 at 0.95, and the costs rise from 0.875 to 0.95.  Each figure is of one run, without an interval.  The
costs are those of `lnas.cost.nni_compat`, but for those at 0.95, and for the baseline's last two digits.
"""

from collections.abc import Mapping
from dataclasses import dataclass

SOURCE = "Charles, Chi and Kornberg, LNAS: Lottery Ticket Neural Architecture Search, Table 1 and section 5.3 (a Tesla K80)"


@dataclass(frozen=True)
class PrintedRow:
    """A row of the printed table.

    Attributes:
        recipe: "baseline", "variant1" or "variant2".
        sparsity: None for the baseline.
        half: highest validation accuracy up to epoch 10, as a fraction of 1.
        end: up to epoch 20.
        cost: the column "FLOPS", in multiply-adds.
        search_hours: "around" so many.
    """

    recipe: str
    sparsity: float | None
    half: float
    end: float
    cost: int
    search_hours: float


_SEARCH_HOURS = {"baseline": 2.0, "variant1": 2.0, "variant2": 5.2}  # Variant 1 has the baseline's search

# recipe, sparsity, % at epoch 10, % at epoch 20, millions
_TABLE: tuple[tuple[str, float | None, float, float, float], ...] = (
    ("baseline", None, 74.04, 78.90, 752.355),
    ("variant1", 0.125, 68.03, 70.05, 549.204),
    ("variant1", 0.25, 67.50, 72.13, 473.034),
    ("variant1", 0.375, 67.43, 74.02, 391.527),
    ("variant1", 0.5, 68.32, 76.52, 315.356),
    ("variant1", 0.625, 69.03, 76.74, 233.849),
    ("variant1", 0.75, 70.54, 76.15, 157.678),
    ("variant1", 0.875, 66.32, 67.23, 76.171),
    ("variant1", 0.95, 66.58, 46.43, 84.050),
    ("variant2", 0.125, 72.45, 78.77, 549.204),
    ("variant2", 0.25, 72.28, 78.04, 473.034),
    ("variant2", 0.375, 74.13, 77.47, 391.527),
    ("variant2", 0.5, 69.11, 74.12, 315.356),
    ("variant2", 0.625, 67.12, 73.60, 233.849),
    ("variant2", 0.75, 71.80, 79.86, 157.678),
    ("variant2", 0.875, 79.86, 81.15, 76.171),
    ("variant2", 0.95, 80.14, 85.59, 84.050),
)

PRINTED: Mapping[tuple[str, float | None], PrintedRow] = {
    (recipe, sparsity): PrintedRow(
        recipe, sparsity, round(half / 100, 4), round(end / 100, 4), round(millions * 1e6), _SEARCH_HOURS[recipe]
    )
    for recipe, sparsity, half, end, millions in _TABLE
}
"""By recipe and sparsity.  The paper has no row of the generalized algorithm, and no control."""


def printed(recipe: str, sparsity: float | None) -> PrintedRow | None:
    """The printed row of a recipe at a sparsity; None where the paper has none."""
    return PRINTED.get((recipe, sparsity))
