"""What a sweep is asked: fixed by its rows, before anything is run."""

from collections.abc import Mapping, Sequence

from lnas.core.errors import ConfigError
from lnas.sweep.figures import count
from lnas.sweep.hypothesis import MARGIN, RECIPES, Contrast, Hypothesis, at_most_below, recipe_of
from lnas.sweep.paper_claims import of_the_paper
from lnas.sweep.results import Row

CLAIMED: Mapping[str, str] = {
    "random-mask": "the ticket's mask beats a random mask of the same counts",
    "reinit": "theta_0 matters (the ticket beats fresh weights under its mask)",
    "random-alpha": "the paths that alpha keeps beat random paths",
    "random-search": "the search beats random search at equal cost",
    "dense": "the ticket beats a dense network with about as many parameters",
}
"""What is claimed against each control."""

_NAMES = {"baseline": "Baseline", **RECIPES}


def hypotheses(rows: Sequence[Row], *, table1: bool, margin: float = MARGIN) -> tuple[Hypothesis, ...]:
    """All that the rows of a sweep can be asked.  Results are not looked at.

    Args:
        rows: of the sweep.
        table1: whether it reproduces the paper's Table 1, and is asked the claims of the paper.
        margin: of a winning ticket, as a fraction.

    Raises:
        ConfigError: where the margin is outside [0, 1).
    """
    if not 0 <= margin < 1:
        raise ConfigError(f"margin {margin!r} is outside [0, 1); one percentage point is 0.01")
    plain = [row for row in rows if row.control is None]
    asked = of_the_paper(plain, margin) if table1 else _against_first(plain, margin)
    return (*asked, *_controls(rows))


def _against_first(rows: Sequence[Row], margin: float) -> list[Hypothesis]:
    """Of a sweep of one's own: every row against its baseline; where there is none, against the first row.

    A ticket is one of the baseline that differs in nothing but what is pruned.
    """
    found: list[Hypothesis] = []
    for row in rows:
        first = _reference(row, rows)
        if row is first:
            continue
        pair = (Contrast(f"against {first.label}", (row.label,), (first.label,)),)
        if recipe_of(first) == "baseline" and recipe_of(row) != "baseline" and _alike(row, first):
            claim = f"{row.label} is a winning ticket ({at_most_below(first.label, margin)})"
            found.append(Hypothesis(f"{row.label} ticket", claim, pair, bound=-margin))
        found.append(Hypothesis(f"{row.label} above", f"{row.label} beats {first.label}", pair))
    return found


def _reference(row: Row, rows: Sequence[Row]) -> Row:
    """The baseline that has the row's other options; else the first baseline, or row, of the same data set."""
    comparable = [other for other in rows if other.varied.get("data") == row.varied.get("data")]
    baselines = [other for other in comparable if recipe_of(other) == "baseline"]
    alike = [other for other in baselines if _alike(other, row) and recipe_of(row) != "baseline"]
    return (*alike, *baselines, *comparable)[0]


def _alike(one: Row, other: Row) -> bool:
    """Whether they differ in nothing but what is pruned."""
    mine, others = ({key: value for key, value in row.varied.items() if key not in ("prune", "sparsity")} for row in (one, other))
    return mine == others


def _controls(rows: Sequence[Row]) -> list[Hypothesis]:
    """One for each kind of control and recipe that it is held against: all levels together, and each by itself as a detail."""
    by_label = {row.label: row for row in rows}
    groups: dict[tuple[str, str], list[tuple[Row, Row]]] = {}
    for row in rows:
        if row.control is not None and row.of in by_label:
            of = by_label[row.of]
            groups.setdefault((recipe_of(of), row.control), []).append((of, row))
    found = []
    for (recipe, control), pairs in groups.items():
        name = _NAMES.get(recipe, recipe)
        each = tuple(Contrast(of.label, (of.label,), (row.label,)) for of, row in pairs)
        pooled = Contrast(
            f"mean over {count(len(each), 'row')}",
            tuple(of.label for of, _ in pairs),
            tuple(row.label for _, row in pairs),
            words=f"{name} minus its control {control} (mean over {count(len(each), 'row')})",
        )
        found.append(
            Hypothesis(
                f"{recipe} {control}",
                f"{name}, {CLAIMED.get(control, f'it beats its control {control}')}",
                (pooled,) if len(each) > 1 else each,
                details=each if len(each) > 1 else (),
                about_as_many=control == "dense",
            )
        )
    return found
