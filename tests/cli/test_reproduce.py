"""`lnas reproduce table1` as a user types it: its plan, since the table itself takes long."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from lnas.cli.reproduce import OF_THE_SCALE
from lnas.sweep.table1 import SCALES

Lnas = Callable[..., Result]

SMALL = ("--space", "cells,channels=1,network_channels=2", "--levels", "0.5", "--seeds", "1", "--dry-run")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No step is taken, and no page is drawn."""
    monkeypatch.setattr("lnas.cli.sweep_plan._steps", lambda job: (0.0, 0.0))
    monkeypatch.setattr("lnas.report.sweep_files.write", lambda path: path / "report.html")


def test_the_plan_of_some_levels_with_other_sizes(lnas: Lnas) -> None:
    found = lnas("reproduce", "table1", *SMALL, "--epochs", "10it:4it", "--json")
    assert (found.exit_code, found.stderr) == (0, "")
    plan = json.loads(found.stdout)
    assert (plan["kind"], plan["scale"], plan["steps"]) == ("table1", "tiny", {"search": 20, "train": 16})
    assert [(row["label"], row["shared"]) for row in plan["rows"]] == [
        ("baseline", False),
        ("variant1 p=0.5", True),
        ("variant2 p=0.5", False),
        ("generalized p=0.5", True),
    ]


def test_what_the_table_sets_is_left_out_of_the_environment_with_a_line_each(lnas: Lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = json.loads(lnas("reproduce", "table1", *SMALL, "--epochs", "10it:4it", "--json").stdout)["directory"]
    for key, value in {"STRATEGY": "random", "RECIPE": "variant2", "PRUNE": "theta:one-shot", "SEED": "3"}.items():
        monkeypatch.setenv(f"LNAS_{key}", value)
    monkeypatch.setenv("LNAS_EPOCHS", "10it:4it")
    found = lnas("reproduce", "table1", *SMALL, "--json")
    assert found.exit_code == 0
    assert json.loads(found.stdout)["directory"] == straight  # which is named after the plan
    assert found.stderr.splitlines() == [
        f"lnas: warning: LNAS_{key.upper()} is not read by lnas reproduce table1, which sets {key} itself"
        for key in ("strategy", "recipe", "prune", "seed")
    ]


def test_its_sweep_toml_makes_it_again_whatever_the_environment_was(lnas: Lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNAS_EPOCHS", "10it:4it")
    made = lnas("reproduce", "table1", *SMALL[:-1], "--scale", "tiny", "--out", "mine", "--max-time", "0.001s")
    assert made.exit_code == 0, made.stderr
    monkeypatch.delenv("LNAS_EPOCHS")
    again = lnas("reproduce", "table1", "--config", "mine/sweep.toml", "--out", "mine", "--dry-run", "--json")
    assert (again.exit_code, json.loads(again.stdout)["left"]) == (0, 4)  # else it would be another sweep
    other = json.loads(
        lnas("reproduce", "table1", "--config", "mine/sweep.toml", "--levels", "0.25", "--dry-run", "--json").stdout
    )
    assert [row["label"] for row in other["rows"]][1] == "variant1 p=0.25"
    refused = lnas("sweep", "--config", "mine/sweep.toml")
    assert (refused.exit_code, refused.stderr) == (
        2,
        "lnas: error: mine/sweep.toml is of lnas reproduce; to make it again: lnas reproduce table1 --config mine/sweep.toml\n",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('reproduce = "table2"', "reproduce must be 'table1', not 'table2'"),
        ("scale = 3", "scale must be text, not 3"),
        ('scale = ""', "unknown scale ''"),
        ('scale = "huge"', "unknown scale 'huge'"),
        ("levels = 0.5", "levels must be a list of fractions, not 0.5"),
        ("seed = 3", "seed cannot be 3: table1 sets it itself"),
        ('strategy = "random"', "strategy cannot be 'random': table1 sets it itself"),
        ('cost = "x"', "cost cannot be 'x': table1 sets it itself"),
        ("levels = [2.0]", "levels must be a number in [0, 1), not 2.0"),
        ("epoch = 3", "unknown key 'epoch'; did you mean 'epochs'?"),
        ('epochs = ["5:10", "6:12"]', "epochs"),
    ],
)
def test_a_file_that_is_none_of_a_table(lnas: Lnas, text: str, words: str) -> None:
    Path("mine.toml").write_text(text + "\n")
    refused = lnas("reproduce", "table1", "--config", "mine.toml", "--dry-run")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("lnas: error: mine.toml: ") and words in refused.stderr


def test_a_scale_without_a_name_is_none(lnas: Lnas) -> None:
    refused = lnas("reproduce", "table1", "--scale", "", "--dry-run")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("lnas: error: unknown scale ''")


def test_half_of_the_training_is_at_the_end_of_an_epoch(lnas: Lnas) -> None:
    refused = lnas("reproduce", "table1", *SMALL, "--epochs", "10:21")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == (
        "lnas: error: table1 prunes theta after half of the training, so its epochs must be an even number, not 21 as in 10:21;"
        " use one more, or steps as in 500it\n"
    )


def test_the_strategy_is_the_papers_whatever_a_data_set_suggests(lnas: Lnas) -> None:
    Path("other.py").write_text(
        """
import lnas
from lnas.builtin.datasets import digits

@lnas.hookimpl
def lnas_datasets(register):
    register("other", "other:other", summary="the digits, and another strategy")

def other():
    made = digits()
    made.suggested = {"strategy": {"name": "random"}}
    return made
"""
    )
    words = ("--plugin", "other.py", "reproduce", "table1", *SMALL[:-1], "--epochs", "10it:4it", "--data", "other")
    made = lnas(*words, "--out", "mine", "--max-time", "0.001s")
    assert made.exit_code == 0, made.stderr
    trials = json.loads(Path("mine/plan.json").read_text())["trials"]
    assert {tomllib.loads(trial["config"])["strategy"] for trial in trials} == {"darts"}


@pytest.mark.parametrize("key", ["epochs", "train"])
def test_the_help_says_what_each_scale_has(key: str) -> None:
    assert OF_THE_SCALE[key] == ", ".join(f"{scale.settings[key]} for {name}" for name, scale in SCALES.items())


def test_the_help_says_which_batch_and_how_many_held_out_pictures_each_scale_has() -> None:
    assert {name: scale.settings["batch"] for name, scale in SCALES.items()} == {"tiny": "64", "small": "128", "paper": "64"}
    assert OF_THE_SCALE["batch"] == "64 for tiny and paper, 128 for small"
    assert {name: scale.settings.get("validation") for name, scale in SCALES.items()} == {
        "tiny": "0.3",
        "small": None,
        "paper": None,
    }
    assert OF_THE_SCALE["validation"] == "0.3 for tiny, else 0.1"
