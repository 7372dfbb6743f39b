import pytest

from lnas.core.errors import ConfigError
from lnas.sweep.axes import fractions, listed, rows


def labels(**settings: object) -> list[str]:
    return [planned.row.label for planned in rows(settings)]


def test_every_combination_is_a_row_and_the_baseline_one_row_for_all_sparsities() -> None:
    found = rows({"recipe": ["baseline", "variant1", "variant2"], "sparsity": ["0.25", 0.5]})
    assert [planned.row.label for planned in found] == [
        "baseline",
        "variant1 p=0.25",
        "variant1 p=0.5",
        "variant2 p=0.25",
        "variant2 p=0.5",
    ]
    assert [planned.row.sparsity for planned in found] == [None, 0.25, 0.5, 0.25, 0.5]
    assert "sparsity" not in found[0].settings
    assert found[4].settings == {"recipe": "variant2", "sparsity": 0.5}


def test_other_lists_are_named_in_the_label_and_single_values_are_not() -> None:
    found = rows({"recipe": "variant1", "space": ["cells", "cells,channels=4"], "batch": 32, "train": [{"lr": 0.1}, {"lr": 0.2}]})
    assert [planned.row.label for planned in found] == [
        "variant1 space=cells train=lr=0.1",
        "variant1 space=cells train=lr=0.2",
        "variant1 space=cells,channels=4 train=lr=0.1",
        "variant1 space=cells,channels=4 train=lr=0.2",
    ]
    assert found[3].row.varied == {"space": "cells,channels=4", "train": "lr=0.2"}


def test_a_list_of_prune_lines_is_one_value_and_a_list_of_lists_several() -> None:
    assert labels(prune=["alpha:iterative", "theta:one-shot"]) == ["pruned"]
    assert labels(prune=[["alpha:iterative"], ["theta:one-shot", "alpha:iterative"]]) == [
        "pruned prune=alpha:iterative",
        "pruned prune=theta:one-shot;alpha:iterative",
    ]


def test_sparsities_have_as_many_digits_as_tell_them_apart() -> None:
    assert labels(recipe="variant1", sparsity=["0.1234567", 0.1234568, "0.5"]) == [
        "variant1 p=0.1234567",
        "variant1 p=0.1234568",
        "variant1 p=0.5",
    ]


def test_two_rows_of_one_label_are_refused_unless_they_are_the_same() -> None:
    with pytest.raises(ConfigError, match="two rows would be called 'baseline data=a batch=1 batch=2'"):
        rows({"data": ["a", "a batch=1"], "batch": ["2", "1 batch=2"]})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sparsity": [0.25, 1.5], "recipe": "variant1"}, r"sparsity must be a number in \[0, 1\), not 1.5"),
        ({"sparsity": [0.25, "x"], "recipe": "variant1"}, "sparsity must be a number"),
        ({"sparsity": [0.25, "0.250"], "recipe": "variant1"}, "sparsity 0.25 is given 2 times"),
        ({"sparsity": [0.25]}, "sparsity 0.25 has nothing to prune"),
        ({"recipe": ["baseline", "baseline"]}, "recipe baseline is given 2 times"),
        ({"recipe": []}, "recipe has an empty list"),
        ({"seed": 3}, "seed is set by the sweep for each trial; seeds are given by their number"),
        ({"name": "x"}, "name is set by the sweep for each trial; it is called after its row and its seed"),
        ({"spce": "cells"}, "did you mean 'space'"),
        ({"batch": list(range(1, 40)), "validation": [n / 100 for n in range(1, 40)]}, "make 1,521 rows; at most 1,000"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rows(settings)


def test_a_list_that_was_typed() -> None:
    assert listed("--recipe", "a, b") == ["a", "b"]
    with pytest.raises(ConfigError, match="--recipe 'a,,b' has an empty value"):
        listed("--recipe", "a,,b")
    assert fractions("--levels", ["0.5"]) == (0.5,)
    with pytest.raises(ConfigError, match="--levels must be a number"):
        fractions("--levels", ["1"])
