"""A claim about a sweep, and the comparisons of rows that decide it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from lnas.host.prune_lines import short
from lnas.sweep.results import Row

Rule: TypeAlias = Literal["one", "every", "some"]
Measure: TypeAlias = Literal["test", "search_seconds"]

MARGIN = 0.01
"""A winning ticket is not below the baseline by more than this: one percentage point."""

RECIPES: Mapping[str, str] = {"variant1": "Variant 1", "variant2": "Variant 2", "generalized": "Generalized LNAS"}
"""The paper's names."""


@dataclass(frozen=True)
class Comparison:
    """One set of rows against another, seed by seed.  Only seeds that finished in all of them count.

    Attributes:
        label: what differs: "p=0.25".
        first: labels of rows.
        second: labels of rows.
        of: what of the rows of each side is subtracted.
    """

    label: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    of: Literal["mean", "sum"] = "mean"


@dataclass(frozen=True)
class Hypothesis:
    """A claim: first minus second lies above `bound`.

    Attributes:
        key: in a few plain characters.
        claim: in words.
        comparisons: those that are tested.
        rule: "one": there is one comparison.  "every": the claim needs all of them (an intersection-union test: its p is the
            largest), and fails where one is significantly below.  "some": each is tested by itself; the claim needs one of
            them, and fails where all are significantly below.
        measure: what is compared: accuracy, or time as a fraction of the second side.
        bound: 0, or minus the margin.
        details: comparisons that are shown beside it and are not tested.
        note: what a reader has to know, or "".
    """

    key: str
    claim: str
    comparisons: tuple[Comparison, ...]
    rule: Rule = "one"
    measure: Measure = "test"
    bound: float = 0.0
    details: tuple[Comparison, ...] = ()
    note: str = ""

    @property
    def tests(self) -> int:
        """How many p-values it brings into the family that Holm's method corrects."""
        return len(self.comparisons) if self.rule == "some" else 1


def recipe_of(row: Row) -> str:
    """The recipe of a row without its plugin's name; of prune lines without a recipe, the word that the label begins with."""
    return short(row.recipe) or row.label.split()[0]


def count(number: int, what: str) -> str:
    """So many of a thing: "1 level", "8 levels"."""
    return f"{number} {what}{'s' * (number != 1)}"


def points(fraction: float) -> str:
    """Percentage points of accuracy: "1 percentage point", "0.5 percentage points"."""
    number = f"{100 * fraction:g}"
    return f"{number} percentage point{'s' * (number != '1')}"
