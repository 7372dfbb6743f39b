"""`lnas sweep` and `lnas reproduce` as a user types them."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Lnas = Callable[..., Result]

SPACE = "cells,channels=1,layers=3,nodes=1,network_channels=2,network_layers=3"
TINY = ("--space", SPACE, "--epochs", "10it:4it", "--batch", "16")


def test_a_sweep_from_its_plan_to_its_report_and_again(lnas: Lnas, tmp_path: Path) -> None:
    words = ("sweep", "--recipe", "baseline,variant1", "--sparsity", "0.5", "--seeds", "1", "--out", "mine", *TINY)
    dry = lnas(*words, "--dry-run", "--json")
    plan = json.loads(dry.stdout)
    assert (plan["trials"], plan["searches"], plan["sharing"]) == (2, 1, 2)
    assert plan["steps"] == {"search": 10, "train": 8}
    assert not (tmp_path / "mine").exists()

    done = lnas(*words)
    assert done.exit_code == 0, done.stderr
    assert "1/2 baseline-seed0: validation" in done.stderr
    assert "variant1 p=0.5" in done.stdout
    assert "n = 1, no interval" in done.stdout
    assert "<html" in (tmp_path / "mine" / "report.html").read_text()
    with open(tmp_path / "mine" / "trials.csv", newline="") as file:
        assert [row["row"] for row in csv.DictReader(file)] == ["baseline", "variant1 p=0.5"]
    assert r"\begin{tabular}" in (tmp_path / "mine" / "table.tex").read_text()

    again = lnas(*words)
    assert (again.exit_code, "baseline-seed0" in again.stderr) == (0, False)

    by_file = lnas("sweep", "--config", "mine/sweep.toml", "--out", "mine", "--json")
    assert by_file.exit_code == 0, by_file.stderr
    assert [trial["state"] for trial in json.loads(by_file.stdout)["trials"]] == ["finished", "finished"]

    assert lnas("report", "mine").stdout == "mine/report.html\n"
    assert "variant1 p=0.5" in lnas("show", "mine").stdout

    other = lnas(*words, "--batch", "32")
    assert (other.exit_code, other.stdout) == (2, "")
    assert "mine holds another sweep: trial baseline-seed0 was planned without 'batch = 32'" in other.stderr


def test_any_option_of_a_file_may_be_a_list(lnas: Lnas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sweep.toml").write_text(
        f"""
        recipe = ["baseline", "variant1"]
        sparsity = [0.25, 0.5]
        batch = [16, 32]
        epochs = "10it:4it"
        space = "{SPACE}"
        seeds = 2
        """
    )
    monkeypatch.setattr("lnas.cli.sweep_plan._steps", lambda job: (0.0, 0.0))
    found = lnas("sweep", "--config", "sweep.toml", "--dry-run", "--json")
    assert found.exit_code == 0, found.stderr
    assert [row["label"] for row in json.loads(found.stdout)["rows"]] == [
        "baseline batch=16",
        "baseline batch=32",
        "variant1 p=0.25 batch=16",
        "variant1 p=0.25 batch=32",
        "variant1 p=0.5 batch=16",
        "variant1 p=0.5 batch=32",
    ]
    assert (json.loads(found.stdout)["trials"], json.loads(found.stdout)["searches"]) == (12, 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--sparsity", "0.5,1.5", "--recipe", "variant1"), "sparsity must be a number in [0, 1), not '1.5'"),
        (("--sparsity", "0.5,", "--recipe", "variant1"), "--sparsity '0.5,' has an empty value"),
        (("--sparsity", "0.5"), "sparsity 0.5 has nothing to prune"),
        (("--recipe", "baseline,variant9"), "row 'variant9': unknown recipe 'variant9'; did you mean 'variant2'?"),
        (("--recipe", "baseline,baseline"), "recipe baseline is given 2 times"),
        (("--seeds", "0"), "seeds must be a whole number from 1 to 1000, not 0"),
        (("--workers", "0"), "workers must be a whole number from 1"),
        (("--workers", "2", "--executor", "serial"), "workers must be 1, not 2: serial runs one trial at a time"),
        (("--dry-run", "--executor", "serial,foo=1", "--workers", "3"), "executor serial: option 'foo' does not exist"),
        (("--executor", "seral", *TINY), "unknown executor 'seral'; did you mean 'serial'?"),
        (("--executor", "ray", *TINY), "pip install 'lnas[ray]'"),
        (("--controls", "reinitt"), "unknown control 'reinitt'; did you mean 'reinit'?"),
        (("--stopping", "halvng"), "unknown stopping rule 'halvng'; did you mean 'halving'?"),
        (("--config", "missing.toml"), "missing.toml: there is no such file"),
        (("--out", "taken", *TINY), "taken is there already, and is no sweep"),
        (("--max-time", "soon"), "--max-time must be a duration"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(lnas: Lnas, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    result = lnas("sweep", *words)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine.txt", "taken"]


def test_two_trials_of_one_name_are_refused(lnas: Lnas, tmp_path: Path) -> None:
    (tmp_path / "sweep.toml").write_text('data = ["folder,root=a b", "folder,root=a-b"]\n')
    result = lnas("sweep", "--config", "sweep.toml")
    assert result.exit_code == 2
    assert result.stderr == (
        "lnas: error: trials of 'baseline data=folder,root=a b' and of 'baseline data=folder,root=a-b' would both be called"
        " baseline-datafolder-roota-b-seed0; give their values different words\n"
    )
