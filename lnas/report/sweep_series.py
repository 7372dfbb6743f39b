"""The rows of a sweep as lines of a figure: a line for each recipe, and for each choice of its other options that differ."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from lnas.report import svg
from lnas.report.text import line
from lnas.sweep.hypothesis import recipe_of
from lnas.sweep.results import Results, Row

_COLOURS = (svg.SEARCH, svg.PRUNED, svg.TRAIN, svg.FREE)
_MARKERS = ("o", "s", "D", "^", "v", "P", "X")
"""As many as have no divisor in common with the number of colours: 28 series look different."""
_LONGEST = 40
"""Characters of a name in a figure."""


@dataclass(frozen=True)
class Series:
    """Rows that differ in sparsity alone; controls are in none.

    Attributes:
        name: "variant1", "variant1 space=cells", in characters that a figure has.
        rows: from the least sparsity to the most; one that asks for none stands first.
        colour: of `svg`; a baseline has the colour of a frame.
        marker: of matplotlib.
    """

    name: str
    rows: tuple[Row, ...]
    colour: str
    marker: str

    @property
    def baseline(self) -> bool:
        """Whether it is what the others are held against."""
        return recipe_of(self.rows[0]) == "baseline"


def series(results: Results) -> tuple[Series, ...]:
    """In the order of the table."""
    groups: dict[tuple[str, tuple[tuple[str, str], ...]], list[Row]] = {}
    for row in results.rows:
        if row.control is None:
            groups.setdefault((recipe_of(row), tuple(row.varied.items())), []).append(row)
    looks = _looks()
    return tuple(
        Series(
            svg.drawable(line(" ".join([recipe, *(f"{key}={value}" for key, value in varied)]), most=_LONGEST)),
            tuple(sorted(rows, key=lambda row: -1.0 if row.sparsity is None else row.sparsity)),
            *((svg.MUTED, "s") if recipe == "baseline" else next(looks)),
        )
        for (recipe, varied), rows in groups.items()
    )


def _looks() -> Iterator[tuple[str, str]]:
    return zip(itertools.cycle(_COLOURS), itertools.cycle(_MARKERS), strict=False)
