"""The sources of a sweep, each with the others, and against how a single run merges them."""

from pathlib import Path

import pytest

from lnas.core.errors import ConfigError
from lnas.host.config import merge
from lnas.host.layers import from_table
from lnas.sweep.sources import laid, of_command_line, of_environment, of_file

FILE = {
    "recipe": "variant1",
    "prune": ["theta:one-shot,sparsity=0.5"],
    "space": "cells,channels=1,nodes=1",
    "strategy": {"name": "darts", "unrolled": "exact"},
    "data": "digits",
    "train": {"lr": 0.1, "momentum": 0.5},
    "batch": 16,
    "epochs": "10it:4it",
    "deterministic": False,
    "on_nan": "rollback:2",
}
ENVIRONMENT = [
    {},
    {"LNAS_SPACE": "cells,nodes=2", "LNAS_BATCH": "32", "LNAS_TRAIN": "lr=0.3"},
    {"LNAS_SPACE": "nasbench201", "LNAS_STRATEGY": "lnas/darts,unrolled=no", "LNAS_PRUNE": "alpha:iterative;theta:one-shot"},
    {"LNAS_RECIPE": "variant2"},
    {"LNAS_RECIPE": "mine", "LNAS_ON_NAN": "stop"},
]
TYPED: list[dict[str, object]] = [
    {},
    {"space": "cells,channels=2", "train": "momentum=0.9"},
    {"recipe": "generalized", "data": "digits"},
    {"prune": ("theta:iterative,rounds=2",)},
    {"recipe": "variant1", "epochs": "3"},
]


@pytest.mark.parametrize("typed", TYPED)
@pytest.mark.parametrize("environment", ENVIRONMENT)
@pytest.mark.parametrize("file", [{}, FILE])
def test_settings_without_lists_come_to_what_a_run_makes_of_them(
    file: dict[str, object], environment: dict[str, str], typed: dict[str, object]
) -> None:
    path = Path("x.toml")
    settings = laid(file, of_environment(environment), of_command_line(typed))
    straight = merge(from_table(file, path), environment, typed).config
    assert merge(None, {}, settings).config == straight
    assert merge(from_table(settings, path)).config == straight


def test_a_sparsity_takes_the_place_of_that_of_a_weaker_line() -> None:
    typed = of_command_line({"sparsity": ["0.25", "0.5"]})
    assert laid({"prune": ["theta:one-shot,sparsity=0.75,scope=global"]}, typed) == {
        "prune": ["theta:one-shot,scope=global"],
        "sparsity": ["0.25", "0.5"],
    }
    lists = [["theta:one-shot,sparsity=0.75"], ["alpha:iterative"]]
    assert laid({"prune": lists}, typed)["prune"] == [["theta:one-shot"], ["alpha:iterative"]]


@pytest.mark.parametrize(
    ("lower", "upper", "left"),
    [
        ({"recipe": ["baseline", "variant1"]}, {"prune": ["theta:one-shot"]}, {"prune": ["theta:one-shot"]}),
        ({"recipe": "mine"}, {"prune": ["theta:one-shot"]}, {"recipe": "mine", "prune": ["theta:one-shot"]}),
        ({"prune": ["theta:one-shot"]}, {"recipe": ["variant1", "variant2"]}, {"recipe": ["variant1", "variant2"]}),
        ({"prune": ["theta:one-shot"]}, {"recipe": ["variant1"]}, {"recipe": ["variant1"], "prune": ["theta:one-shot"]}),
        ({"space": ["cells,nodes=1", "cells,nodes=2"]}, {"space": "cells,channels=1"}, {"space": "cells,channels=1"}),
        ({"batch": [16, 32]}, {"batch": 8}, {"batch": 8}),
    ],
)
def test_lists_are_replaced_whole(lower: dict[str, object], upper: dict[str, object], left: dict[str, object]) -> None:
    assert laid(lower, upper) == left


def test_a_file_has_settings_lists_and_how(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(
        'recipe = "variant1"\nprune = ["theta:one-shot"]\nsparsity = 0.5\nbatch = [16, 32]\nseeds = 2\nout = "here"\nkeep = 3\n'
    )
    assert of_file(path) == (
        {"recipe": "variant1", "prune": ["theta:one-shot"], "keep": 3, "sparsity": 0.5, "batch": [16, 32]},
        {"seeds": 2, "out": "here"},
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = 7", "x.toml: seed is set by the sweep for each trial; seeds are given by their number, as seeds = 3"),
        ("seed = [7, 8]", "x.toml: seed is set by the sweep for each trial"),
        ('name = "x"', "x.toml: name is set by the sweep for each trial; it is called after its row and its seed"),
        ("batch = [16, 0]", "x.toml: batch must be at least 1, not 0"),
        ("batch = 0", "x.toml: batch must be at least 1, not 0"),
        ("sedes = 3", "x.toml: unknown key 'sedes'; did you mean 'seeds'?"),
        ("btach = [1, 2]", "x.toml: unknown key 'btach'; did you mean 'batch'?"),
        ('reproduce = "table1"\ncommand = "lnas reproduce table1"', "to make it again: lnas reproduce table1"),
    ],
)
def test_what_a_file_may_not_say(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ConfigError) as error:
        of_file(tmp_path / "x.toml")
    assert message in str(error.value)


def test_the_environment_without_what_a_sweep_sets() -> None:
    assert of_environment({"LNAS_SEED": "7", "LNAS_OUT": "x", "LNAS_BATCH": "8", "LNAS_COST": " "}) == {"batch": 8}
    with pytest.raises(ConfigError, match="LNAS_BATCH must be"):
        of_environment({"LNAS_BATCH": "none"})
