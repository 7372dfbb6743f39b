"""A claim about a sweep, and the contrasts of rows that decide it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from lnas.host.prune_lines import short
from lnas.sweep.figures import percentage_points
from lnas.sweep.results import Row

Rule: TypeAlias = Literal["one", "every", "some"]
Measure: TypeAlias = Literal["test", "search_seconds"]

MARGIN = 0.01
"""A winning ticket lies at most so far below the baseline: one percentage point."""

RECIPES: Mapping[str, str] = {"variant1": "Variant 1", "variant2": "Variant 2", "generalized": "Generalized LNAS"}
"""The paper's names."""


@dataclass(frozen=True)
class Contrast:
    """One set of rows against another, seed by seed.  Only seeds that finished in all of them count.

    Attributes:
        label: what tells it from the others of its claim: "p=0.25".
        first: labels of rows.
        second: labels of rows.
        of: what of the rows of each side is subtracted.
        words: what is subtracted from what, where the labels of the rows do not say it well.
    """

    label: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    of: Literal["mean", "sum"] = "mean"
    words: str = ""

    @property
    def subtraction(self) -> str:
        """What is subtracted from what: "variant1 p=0.25 minus baseline"."""
        return self.words or f"{' and '.join(self.first)} minus {' and '.join(self.second)}"


@dataclass(frozen=True)
class Hypothesis:
    """A claim: first minus second lies above `bound`.

    Attributes:
        key: in a few plain characters.
        claim: in words.
        contrasts: those that are tested.
        rule: "one": there is one contrast.  "every": the claim needs all of them (an intersection-union test: its p is the
            largest), and fails where one is significantly below.  "some": each is tested by itself; the claim needs one of
            them, and fails where all are significantly below.
        measure: what is compared: accuracy, or time as a fraction of the second side.
        bound: 0, or minus the margin.
        details: contrasts that are shown beside it and are not tested.
        about_as_many: whether both sides must have about as many parameters, or the claim has no verdict.
        note: what a reader has to know, or "".
    """

    key: str
    claim: str
    contrasts: tuple[Contrast, ...]
    rule: Rule = "one"
    measure: Measure = "test"
    bound: float = 0.0
    details: tuple[Contrast, ...] = ()
    about_as_many: bool = False
    note: str = ""

    @property
    def tests(self) -> int:
        """How many p-values it brings into the family that Holm's method corrects."""
        return len(self.contrasts) if self.rule == "some" else 1


def recipe_of(row: Row) -> str:
    """The recipe of a row without its plugin's name; of prune lines without a recipe, the word that the label begins with."""
    return short(row.recipe) or row.label.split()[0]


def at_most_below(what: str, margin: float) -> str:
    """The words for a margin: "at most 1 percentage point below baseline"."""
    return f"at most {percentage_points(margin)} below {what}" if margin else f"not below {what}"
