import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnas.core.errors import ConfigError
from lnas.host.prune_lines import RECIPES, expand_recipe, recipe_of
from lnas.host.spec import Spec


def lines(*texts: str) -> tuple[Spec, ...]:
    return tuple(map(Spec.parse, texts))


@pytest.mark.parametrize(
    ("recipe", "sparsity", "prune", "expected"),
    [
        ("baseline", None, [], []),
        ("variant1", None, [], ["theta:one-shot"]),
        ("variant1", "0.5", [], ["theta:one-shot,sparsity=0.5"]),
        ("variant2", 0.5, [], ["alpha:iterative,sparsity=0.5"]),
        ("generalized", "0.9", [], ["alpha:iterative,sparsity=0.9", "theta:iterative,sparsity=0.9"]),
        ("lnas/variant1", None, [], ["theta:one-shot"]),
        (None, None, ["alpha:iterative"], ["alpha:iterative"]),
        (None, "0.5", ["alpha:iterative,rounds=2"], ["alpha:iterative,rounds=2,sparsity=0.5"]),
        (None, "0.5", ["alpha:iterative,sparsity=0.50"], ["alpha:iterative,sparsity=0.5"]),
        ("variant1", None, ["theta:iterative,rounds=3"], ["theta:iterative,rounds=3"]),
        ("variant1", "0.5", ["channels:one-shot"], ["channels:one-shot,sparsity=0.5"]),
        ("mine", None, ["alpha:iterative"], ["alpha:iterative"]),
        ("mine", None, [], []),
    ],
)
def test_a_recipe_expands(recipe: str | None, sparsity: object, prune: list[str], expected: list[str]) -> None:
    assert expand_recipe(recipe, sparsity, lines(*prune)) == lines(*expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("recipe", "sparsity", "prune", "message"),
    [
        (
            "variant1",
            None,
            ["alpha:iterative"],
            "recipe variant1 contradicts the prune lines alpha:iterative, which are variant2; leave out one of the two",
        ),
        (
            "baseline",
            None,
            ["theta:one-shot"],
            "recipe baseline contradicts the prune lines theta:one-shot, which are variant1; ",
        ),
        ("generalized", None, ["theta:one-shot"], "recipe generalized contradicts "),
        (None, "0.5", [], "sparsity 0.5 has nothing to prune; add a prune line, e.g. theta:one-shot, or --recipe variant1"),
        ("baseline", "0.5", [], "sparsity 0.5 has nothing to prune"),
        ("mine", "0.5", [], "sparsity 0.5 has nothing to prune"),
        (None, "0.5", ["theta:one-shot,sparsity=0.6"], "sparsity 0.5 contradicts the prune line theta:one-shot,sparsity=0.6; "),
        (None, None, ["theta:one-shot", "lnas/theta:iterative"], "theta has 2 prune lines; a target has one"),
        ("variant1", "half", [], "sparsity must be a number in [0, 1), not 'half'"),
        ("variant1", "1", [], "sparsity must be a number in [0, 1), not '1'"),
        ("variant1", "-0.1", [], "sparsity must be a number in [0, 1), not '-0.1'"),
        ("variant1", "nan", [], "sparsity must be a number in [0, 1), not 'nan'"),
        ("variant1", 1.5, [], "sparsity must be a number in [0, 1), not 1.5"),
        ("variant1", True, [], "sparsity must be a number in [0, 1), not True"),
    ],
)
def test_a_contradiction_is_refused(recipe: str | None, sparsity: object, prune: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        expand_recipe(recipe, sparsity, lines(*prune))  # type: ignore[arg-type]
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("prune", "recipe"),
    [
        ([], "baseline"),
        (["alpha:never"], "baseline"),
        (["theta:one-shot"], "variant1"),
        (["channels:one-shot"], "variant1"),
        (["alpha:never", "theta:one-shot"], "variant1"),
        (["alpha:one-shot"], "variant2"),
        (["lnas/alpha:one-shot"], "variant2"),
        (["theta:iterative", "alpha:iterative"], "generalized"),
        (["alpha:iterative", "channels:one-shot"], "generalized"),
    ],
)
def test_the_recipe_is_known_by_its_lines(prune: list[str], recipe: str) -> None:
    assert recipe_of(lines(*prune)) == recipe


def test_every_recipe_is_the_recipe_of_its_own_lines() -> None:
    assert {recipe: recipe_of(own) for recipe, own in RECIPES.items()} == {recipe: recipe for recipe in RECIPES}


LINES = st.builds(Spec, st.sampled_from(["alpha", "theta", "lnas/alpha", "other"]), st.none() | st.sampled_from(["never", "x/y"]))


@given(
    st.none() | st.sampled_from([*RECIPES, "extras/own", "lnas/variant1"]),
    st.none() | st.text(max_size=6) | st.floats() | st.sampled_from(["0.5", "1e-3", "nan", "1"]),
    st.lists(LINES, max_size=3),
)
def test_anything_expands_or_is_refused_and_what_is_expanded_stays(
    recipe: str | None, sparsity: object, prune: list[Spec]
) -> None:
    try:
        expanded = expand_recipe(recipe, sparsity, prune)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert expand_recipe(None, None, expanded) == expanded
        assert expand_recipe(recipe_of(expanded), None, expanded) == expanded
