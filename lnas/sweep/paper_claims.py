"""What the paper claims, of the rows of its Table 1."""

from collections.abc import Mapping, Sequence

from lnas.sweep.figures import count
from lnas.sweep.hypothesis import RECIPES, Contrast, Hypothesis, at_most_below, recipe_of
from lnas.sweep.results import Row


def of_the_paper(rows: Sequence[Row], margin: float) -> list[Hypothesis]:
    """Those that can be asked of these rows, none of which is a control."""
    levels = {recipe: _levels(rows, recipe) for recipe in RECIPES}
    baseline = next((row.label for row in rows if recipe_of(row) == "baseline"), None)
    found: list[Hypothesis] = []
    if baseline is not None:
        for recipe in ("variant2", "variant1", "generalized"):
            found += _tickets(recipe, levels[recipe], baseline, margin)
    found += _sensitivity(levels["variant1"], levels["variant2"])
    found += _generalized(levels)
    if baseline is not None:
        found += _slower(levels["variant2"], baseline)
    found += _highest_is_best(levels["variant2"])
    return found


def _levels(rows: Sequence[Row], recipe: str) -> dict[float, str]:
    """Label by sparsity, from the lowest."""
    found = {row.sparsity: row.label for row in rows if recipe_of(row) == recipe and row.sparsity is not None}
    return dict(sorted(found.items()))


def _tickets(recipe: str, levels: Mapping[float, str], baseline: str, margin: float) -> list[Hypothesis]:
    """Not below the baseline, and, asked by itself, above it."""
    if not levels:
        return []
    name = RECIPES[recipe]
    each = tuple(Contrast(f"p={level:g}", (label,), (baseline,)) for level, label in levels.items())
    near = at_most_below("the baseline's", margin)
    return [
        Hypothesis(
            f"{recipe} tickets",
            f"{name} finds winning tickets (accuracy at some sparsity is {near})",
            each,
            rule="some",
            bound=-margin,
        ),
        Hypothesis(f"{recipe} above", f"{name} beats the baseline at some sparsity", each, rule="some"),
    ]


def _sensitivity(variant1: Mapping[float, str], variant2: Mapping[float, str]) -> list[Hypothesis]:
    if len(variant1) < 2:
        return []
    low, high = min(variant1), max(variant1)
    found = [
        Hypothesis(
            "variant1 sensitive",
            f"Variant 1 is sensitive to sparsity (worse at p={high:g} than at p={low:g})",
            (Contrast(f"p={low:g} against p={high:g}", (variant1[low],), (variant1[high],)),),
        )
    ]
    if low in variant2 and high in variant2:
        found.append(
            Hypothesis(
                "variant1 more sensitive",
                f"Variant 1 is more sensitive to sparsity than Variant 2 (it loses more from p={low:g} to p={high:g})",
                (
                    Contrast(
                        "loss of Variant 1 against loss of Variant 2",
                        (variant1[low], variant2[high]),
                        (variant1[high], variant2[low]),
                        of="sum",
                        words=f"what Variant 1 loses from p={low:g} to p={high:g} minus what Variant 2 does",
                    ),
                ),
            )
        )
    return found


def _generalized(levels: Mapping[str, Mapping[float, str]]) -> list[Hypothesis]:
    common = [level for level in levels["generalized"] if level in levels["variant1"] and level in levels["variant2"]]
    if not common:
        return []
    ours = tuple(levels["generalized"][level] for level in common)
    return [
        Hypothesis(
            "generalized beats both",
            "Generalized LNAS performs better than Variants 1 and 2 individually"
            f" (mean over {count(len(common), 'sparsity level')})",
            tuple(
                Contrast(
                    f"against {RECIPES[other]}",
                    ours,
                    tuple(levels[other][level] for level in common),
                    words=f"{RECIPES['generalized']} minus {RECIPES[other]} (mean over {count(len(common), 'level')})",
                )
                for other in ("variant1", "variant2")
            ),
            rule="every",
        )
    ]


def _slower(variant2: Mapping[float, str], baseline: str) -> list[Hypothesis]:
    if not variant2:
        return []
    return [
        Hypothesis(
            "variant2 search slower",
            "A search that prunes as it goes (Variant 2) takes longer than one that does not (5.2 h against 2 h in the paper)",
            (
                Contrast(
                    "mean over the levels",
                    tuple(variant2.values()),
                    (baseline,),
                    words=f"search time of Variant 2 (mean over {count(len(variant2), 'level')}) minus that of {baseline}",
                ),
            ),
            measure="search_seconds",
            details=tuple(Contrast(f"p={level:g}", (label,), (baseline,)) for level, label in variant2.items()),
            note="times are wall-clock, and rough where trials shared a machine or ran on several",
        )
    ]


def _highest_is_best(variant2: Mapping[float, str]) -> list[Hypothesis]:
    if len(variant2) < 2:
        return []
    high = max(variant2)
    return [
        Hypothesis(
            "variant2 highest best",
            f"Variant 2 is best at the highest sparsity (p={high:g} beats every other level)",
            tuple(
                Contrast(f"against p={level:g}", (variant2[high],), (label,)) for level, label in variant2.items() if level < high
            ),
            rule="every",
        )
    ]
