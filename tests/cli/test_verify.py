"""`lnas verify`: the table, the line of JSON and the exit code.  What it finds: tests/host/verify."""

import json
from pathlib import Path

import pytest

from lnas.host.config import Config, to_toml
from lnas.host.rundir import RunDirectory

SPACE = "cells,channels=1,layers=1,nodes=1,network_channels=1,network_layers=1"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """That was killed before its first step."""
    config = to_toml(Config(space=SPACE))  # type: ignore[arg-type]
    return RunDirectory.create(tmp_path / "runs", name="a", recipe="baseline", data="digits", seed=0, config=config)


@pytest.mark.parametrize("name", ["latest", "a", "runs/a"])
def test_a_run_that_is_whole_is_exit_code_0(lnas, run: RunDirectory, name: str) -> None:
    result = lnas("verify", name)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split() for line in result.stdout.splitlines() if line.strip()]
    assert ["config.toml", "ok", "baseline", "on", "digits"] in lines
    assert ["checkpoints", "absent", "resumed,", "the", "run", "begins", "anew"] in lines
    assert result.stdout.splitlines()[-1] == "runs/a is whole"


def test_what_is_wrong_is_exit_code_3(lnas, run: RunDirectory) -> None:
    run.status.write_text('{"state": "[/x] \x1b[31m"}')
    result = lnas("verify", "a")
    assert (result.exit_code, result.stderr) == (3, "")
    assert result.stdout.splitlines()[-1] == "runs/a is not whole: see status.json"
    assert "\x1b" not in result.stdout


def test_json_is_one_line_with_the_same(lnas, run: RunDirectory) -> None:
    result = lnas("verify", "a", "--json")
    assert (result.exit_code, result.stdout.count("\n")) == (0, 1)
    document = json.loads(result.stdout)
    assert (document["schema"], document["run"], document["whole"]) == (1, "runs/a", True)
    assert document["files"][0] == {"file": "config.toml", "verdict": "ok", "words": "baseline on digits"}
    run.config.write_text("seed = [")
    result = lnas("verify", "a", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["whole"]) == (3, False)
    assert [row["file"] for row in document["files"] if row["verdict"] == "wrong"] == ["config.toml"]


def test_a_run_without_its_status_is_looked_at_for_its_marker(lnas, run: RunDirectory) -> None:
    run.status.unlink()
    assert lnas("verify", "a").exit_code == 3
    run.marker.unlink()
    result = lnas("verify", "a")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("lnas: error: runs/a is no run: ")


@pytest.mark.parametrize("name", ["nothing", "latest", "", "\0"])
def test_what_is_no_run_is_one_line(lnas, name: str) -> None:
    result = lnas("verify", name)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith("lnas: error: ")
