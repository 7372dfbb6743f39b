"""Recipes by name are a short way to write prune lines; this goes both ways."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lnas.core.errors import ConfigError
from lnas.host.spec import Spec, shown

RECIPES: Mapping[str, tuple[Spec, ...]] = {
    "baseline": (),
    "variant1": (Spec("theta", "one-shot"),),
    "variant2": (Spec("alpha", "iterative"),),
    "generalized": (Spec("alpha", "iterative"), Spec("theta", "iterative")),
}
"""The recipes of the paper, and the lines that each stands for."""


def short(name: str) -> str:
    """A name without the prefix of the built-in parts: `lnas/alpha` is `alpha`."""
    return name.removeprefix("lnas/")


def recipe_of(prune: Sequence[Spec]) -> str:
    """The paper's name for what is pruned: alpha alone is Variant 2, anything but alpha is Variant 1, both are generalized."""
    pruned = [short(line.name) for line in prune if short(line.schedule or "") != "never"]
    alpha, others = "alpha" in pruned, any(name != "alpha" for name in pruned)
    return {(False, False): "baseline", (False, True): "variant1", (True, False): "variant2", (True, True): "generalized"}[
        alpha, others
    ]


def expand_recipe(recipe: str | None, sparsity: str | float | None, prune: Sequence[Spec]) -> tuple[Spec, ...]:
    """The prune lines that a recipe, a sparsity and the user's own lines come to.

    Args:
        recipe: one of `RECIPES`, or a plugin's, whose lines are the user's; None where only lines were given.
        sparsity: the `sparsity` option of every line.
        prune: the user's own lines.

    Raises:
        ConfigError: where they contradict each other, or there is a sparsity and nothing to prune.
    """
    lines = tuple(prune)
    if recipe is not None and short(recipe) in RECIPES:
        if not lines:
            lines = RECIPES[short(recipe)]
        elif recipe_of(lines) != short(recipe):
            raise ConfigError(
                f"recipe {recipe} contradicts the prune lines {' and '.join(map(str, lines))}, which are {recipe_of(lines)};"
                " leave out one of the two"
            )
    names = [short(line.name) for line in lines]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{name} has {names.count(name)} prune lines; a target has one")
    return lines if sparsity is None else _with_sparsity(lines, sparsity)


def _with_sparsity(lines: tuple[Spec, ...], sparsity: str | float) -> tuple[Spec, ...]:
    text = str(sparsity).strip()
    _fraction(sparsity)
    if not lines:
        raise ConfigError(f"sparsity {text} has nothing to prune; add a prune line, e.g. theta:one-shot, or --recipe variant1")
    for line in lines:
        if _fraction(line.options.get("sparsity", text)) != _fraction(text):
            raise ConfigError(f"sparsity {text} contradicts the prune line {line}; leave out one of the two")
    return tuple(replace(line, options={**line.options, "sparsity": text}) for line in lines)


def _fraction(sparsity: str | float) -> float:
    try:
        value = float("nan") if isinstance(sparsity, bool) else float(sparsity)
    except ValueError:
        value = float("nan")
    if not 0 <= value < 1:  # nan is refused too
        raise ConfigError(f"sparsity must be a number in [0, 1), not {shown(sparsity)}")
    return value
