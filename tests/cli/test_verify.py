"""`lnas verify`: the table, the line of JSON and the exit code.  What it finds: tests/host/verify."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from lnas.core.pipeline import Progress
from lnas.host.config import Config, to_toml
from lnas.host.rundir import RunDirectory
from lnas.host.verify import Finding

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
    assert result.stdout.splitlines()[-2:] == [
        "runs/a is not whole: see status.json",
        "put back what was written from a copy, or run it anew: lnas run --config runs/a/config.toml --name NAME",
    ]
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


def test_a_name_of_two_lines_is_shown_on_one(lnas, run: RunDirectory) -> None:
    name = "runs/b\nlnas: error: \x1b[31mno"
    shutil.copytree(run.path, name)
    lines = lnas("verify", name).stdout.splitlines()
    assert lines[0].rstrip() == "runs/b lnas: error: no"
    assert lines[-1] == "runs/b lnas: error: no is whole"
    Path(name, "status.json").unlink()
    lines = lnas("verify", name).stdout.splitlines()
    assert lines[-2] == "runs/b lnas: error: no is not whole: see status.json"
    assert "\x1b" not in "".join(lines)


def test_a_marker_that_is_missing_is_noted(lnas, run: RunDirectory) -> None:
    run.marker.unlink()
    document = json.loads(lnas("verify", "a", "--json").stdout)
    assert document["whole"] is True
    noted = {"file": ".lnas-run", "verdict": "noted", "words": "missing; lnas runs rm will not remove this run"}
    assert [row for row in document["files"] if row["verdict"] == "noted"] == [noted]
    assert "holds no .lnas-run" in lnas("runs", "rm", "a", "--yes").stderr


NEWEST, OLDER, COPY = "checkpoints/step-00000004", "checkpoints/step-00000002", "put back what was written from a copy"
ANEW = f"{COPY}, or run it anew: lnas run --config runs/a/config.toml --name NAME"
HELP: dict[str, tuple[bool, Sequence[tuple[str, str]], str]] = {
    "page": (True, [("report.html", "wrong")], "lnas report runs/a writes the page again"),
    "page and more": (True, [("report.html", "wrong"), ("model.json", "wrong")], ANEW),
    "checkpoint": (False, [(NEWEST, "wrong"), (OLDER, "ok")], "lnas resume runs/a goes on from the newest whole checkpoint"),
    "every checkpoint": (False, [(NEWEST, "wrong"), (OLDER, "wrong")], ANEW),
    "checkpoint and more": (False, [(NEWEST, "wrong"), (OLDER, "ok"), ("metrics.jsonl", "wrong")], ANEW),
    "checkpoint of a result": (True, [(NEWEST, "wrong")], "the result is whole, and needs no checkpoint any more"),
    "config": (True, [("config.toml", "wrong")], COPY),
    "whole": (True, [(NEWEST, "ok")], "runs/a is whole"),
    "no page": (
        True,
        [("report.html", "absent"), ("masks.safetensors", "absent")],
        "runs/a is whole; report.html is absent: lnas report runs/a writes it",
    ),
    "no checkpoint": (
        True,
        [("checkpoints", "absent")],
        "runs/a is whole; checkpoints are absent: the result was compared with none",
    ),
    "begun": (False, [("report.html", "absent"), ("checkpoints", "absent")], "runs/a is whole"),
}


@pytest.mark.parametrize(("finished", "files", "words"), HELP.values(), ids=HELP)
def test_the_last_line_says_what_to_do(
    lnas,
    run: RunDirectory,
    monkeypatch: pytest.MonkeyPatch,
    finished: bool,
    files: Sequence[tuple[str, str]],
    words: str,
) -> None:
    if finished:
        run.write_status("finished", Progress("train", "all", 6, 6, 0, 0))
        run.summary.write_text("{}")
    found = tuple(Finding(file, verdict) for file, verdict in files)  # type: ignore[arg-type]
    monkeypatch.setattr("lnas.host.verify.verify", lambda path, host: found)
    result = lnas("verify", "a")
    assert result.stdout.splitlines()[-1] == words
    assert result.exit_code == (3 if "wrong" in dict(files).values() else 0)
