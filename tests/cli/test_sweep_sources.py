"""Where the settings of a sweep come from, and that sweep.toml says all of them."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Lnas = Callable[..., Result]

SPACE = "cells,channels=1,layers=3,nodes=1,network_channels=2,network_layers=3"
TINY = f'space = "{SPACE}"\nepochs = "2it:2it"\n'
NONE_NOW = ("--max-time", "0.001s")
"""The sweep is made, and no trial is begun."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans and settings are looked at: no step is measured, and no page is drawn."""
    monkeypatch.setattr("lnas.cli.sweep_plan._steps", lambda job: (0.0, 0.0))
    monkeypatch.setattr("lnas.report.sweep_files.write", lambda path: path / "report.html")


def plan(lnas: Lnas, *words: str) -> dict[str, object]:
    found = lnas("sweep", *words, "--dry-run", "--json")
    assert found.exit_code == 0, found.stderr
    document: dict[str, object] = json.loads(found.stdout)
    return document


def labels(lnas: Lnas, *words: str) -> list[str]:
    rows = plan(lnas, *words)["rows"]
    assert isinstance(rows, list)
    return [row["label"] for row in rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('recipe = "variant1"\nsparsity = [0.25, 0.5]', ["variant1 p=0.25", "variant1 p=0.5"]),
        ('prune = ["theta:one-shot"]\nsparsity = [0.25, 0.5]', ["variant1 p=0.25", "variant1 p=0.5"]),
        ('recipe = "variant1"\nsparsity = 0.5\nbatch = [16, 32]', ["variant1 p=0.5 batch=16", "variant1 p=0.5 batch=32"]),
    ],
)
def test_one_recipe_or_prune_list_of_a_file_is_that_of_all_rows(lnas: Lnas, text: str, expected: list[str]) -> None:
    Path("sweep.toml").write_text(TINY + text)
    assert labels(lnas, "--config", "sweep.toml", "--seeds", "1") == expected


@pytest.mark.parametrize(("variable", "value"), [("LNAS_RECIPE", "variant1"), ("LNAS_PRUNE", "theta:one-shot")])
def test_one_recipe_or_prune_line_of_the_environment_too(
    lnas: Lnas, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    words = ("--space", SPACE, "--epochs", "10it:2it", "--sparsity", "0.25,0.5", "--seeds", "1")
    assert labels(lnas, *words) == ["variant1 p=0.25", "variant1 p=0.5"]
    assert labels(lnas, *words, "--recipe", "baseline,variant2") == ["baseline", "variant2 p=0.25", "variant2 p=0.5"]


@pytest.mark.parametrize("line", ["seed = 7", 'name = "x"'])
def test_what_the_sweep_sets_is_refused_in_a_file(lnas: Lnas, line: str) -> None:
    Path("sweep.toml").write_text(line)
    refused = lnas("sweep", "--config", "sweep.toml")
    assert (refused.exit_code, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert f"sweep.toml: {line.split()[0]} is set by the sweep for each trial" in refused.stderr


def test_what_the_sweep_sets_is_a_warning_in_the_environment(lnas: Lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNAS_SEED", "7")
    result = lnas("sweep", "--space", SPACE, "--epochs", "2it:2it", "--seeds", "1", "--dry-run")
    assert result.exit_code == 0
    assert result.stderr == "lnas: warning: LNAS_SEED is not read by lnas sweep, which sets seed itself\n"


def test_sweep_toml_makes_the_same_plan_again(lnas: Lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine.toml").write_text(
        """
        recipe = "variant1"
        sparsity = [0.25, 0.5]
        space = "cells,channels=1,layers=3,nodes=1"
        train = {lr = 0.1, momentum = 0.5}
        strategy = {name = "darts", weight_decay = 0.01}
        validation = 0.2
        """
    )
    monkeypatch.setenv("LNAS_SPACE", "cells,network_channels=2,nodes=2")
    monkeypatch.setenv("LNAS_TRAIN", "momentum=0.7")
    monkeypatch.setenv("LNAS_VALIDATION", "0.3")
    words = ("--space", "cells,nodes=1,network_layers=3", "--train", "lr=0.3", "--epochs", "2it:2it", "--controls", "reinit")
    made = lnas("sweep", "--config", "mine.toml", *words, "--seeds", "1", "--out", "here", *NONE_NOW)
    assert made.exit_code == 0, made.stderr
    before = json.loads(Path("here/plan.json").read_text())
    for variable in ("LNAS_SPACE", "LNAS_TRAIN", "LNAS_VALIDATION"):
        monkeypatch.delenv(variable)

    text = tomllib.loads(Path("here/sweep.toml").read_text())
    assert text["space"] == "cells,channels=1,layers=3,nodes=1,network_channels=2,network_layers=3"
    assert text["train"] == {"lr": "0.3", "momentum": "0.7"}
    assert (text["validation"], text["controls"]) == (0.3, ["reinit"])

    again = lnas("sweep", "--config", "here/sweep.toml", "--out", "here", *NONE_NOW)
    assert again.exit_code == 0, again.stderr
    elsewhere = lnas("sweep", "--config", "here/sweep.toml", "--out", "there", *NONE_NOW)
    assert elsewhere.exit_code == 0, elsewhere.stderr
    assert json.loads(Path("there/plan.json").read_text()) == before
    assert tomllib.loads(Path("there/sweep.toml").read_text()) == text


def test_of_all_controls_those_that_cannot_be_are_a_warning_and_stay_asked_for(lnas: Lnas) -> None:
    Path("sweep.toml").write_text(f'{TINY}prune = ["theta:one-shot,rewind=1it,sparsity=0.5"]\n')
    words = ("sweep", "--config", "sweep.toml", "--seeds", "1", "--out", "here", *NONE_NOW)
    made = lnas(*words, "--controls", "all")
    assert made.exit_code == 0, made.stderr
    assert [row["control"] for row in json.loads(Path("here/plan.json").read_text())["rows"]] == [None, "random-mask", "dense"]
    assert tomllib.loads(Path("here/sweep.toml").read_text())["controls"] == ["all"]
    assert made.stderr.startswith(
        "lnas: warning: control reinit is left out behind 1 row; row 'variant1 reinit': reinit begins at step 0, and"
    )
    refused = lnas(*words, "--controls", "reinit")
    assert (refused.exit_code, refused.stderr.startswith("lnas: error: row 'variant1 reinit'")) == (2, True)
