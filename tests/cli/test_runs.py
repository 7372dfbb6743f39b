"""`lnas runs`: the list, and the question before something is removed.  What is removed: tests/host/test_runs.py."""

import json
import os
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from lnas.cli import main, output
from lnas.core.pipeline import Progress
from lnas.host.rundir import RunDirectory


def make(out: Path, name: str) -> RunDirectory:
    run = RunDirectory.create(out, name=name, recipe="a", data="b", seed=0, config='recipe = "variant2"\n')
    run.write_status("interrupted", Progress("search", "pairs", 1300, 2000, 0, 0))
    return run


@pytest.fixture
def three(tmp_path: Path) -> list[RunDirectory]:
    made = [make(tmp_path / "runs", name) for name in ("one", "two", "three")]
    for age, run in enumerate(made):
        os.utime(run.status, (age, age))
    return made


@pytest.mark.usefixtures("three")
def test_a_list_is_a_table_with_the_newest_last(lnas) -> None:
    result = lnas("runs", "list")
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [line.split() for line in result.stdout.splitlines()[2:] if line.strip()]
    assert [row[:7] for row in rows] == [
        [name, "interrupted", "search", "1,300", "of", "2,000", "variant2"] for name in ("one", "two", "three")
    ]


@pytest.mark.usefixtures("three")
def test_a_list_is_one_line_of_json(lnas) -> None:
    document = json.loads(lnas("runs", "list", "--json").stdout)
    assert (document["schema"], document["out"], document["leftovers"]) == (1, "runs", [])
    assert [run["name"] for run in document["runs"]] == ["one", "two", "three"]
    one = document["runs"][0]
    assert (one["path"], one["state"], one["step"], one["steps"]) == ("runs/one", "interrupted", 1300, 2000)
    assert one["validation"] is None and one["size"] > 0


def test_the_folder_is_that_of_out_or_of_the_environment(lnas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "deep" / "mine", "a")
    assert lnas("runs", "list").stderr.startswith("lnas: error: cannot read runs: No such file or directory; start a run")
    assert " interrupted " in lnas("runs", "list", "--out", "deep/mine").stdout
    monkeypatch.setenv("LNAS_OUT", "deep/mine")
    assert " interrupted " in lnas("runs", "list").stdout
    assert lnas("runs", "rm", "a", "--yes").stdout.startswith("Removed 1 run (")
    assert lnas("runs", "list").stdout == "there is no run in deep/mine; start one with: lnas run\n"


def test_a_broken_run_is_a_row(lnas, three: list[RunDirectory]) -> None:
    three[0].status.write_text("\x1b[31m")
    result = lnas("runs", "list")
    assert result.exit_code == 0
    assert "broken: status.json: not a JSON document" in result.stdout
    assert "\x1b" not in result.stdout


def test_without_a_terminal_nothing_is_removed_unless_yes_is_said(lnas, three: list[RunDirectory]) -> None:
    result = lnas("runs", "rm", "one")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "lnas: error: nothing is removed: there is no terminal to ask at; to remove without being asked, add --yes\n"
    )
    assert three[0].path.exists()
    document = json.loads(lnas("runs", "rm", "one", "runs/two", "three", "--yes", "--json").stdout)
    assert document["removed"] == ["runs/one", "runs/two", "runs/three"]
    assert os.listdir("runs") == []


def test_a_run_in_use_is_exit_code_4(lnas, three: list[RunDirectory]) -> None:
    with three[1].locked():
        result = lnas("runs", "rm", "one", "two", "--yes")
    assert (result.exit_code, result.stdout) == (4, "")
    assert f"runs/two is in use by process {os.getpid()}; nothing is removed" in result.stderr
    assert sorted(os.listdir("runs")) == ["one", "three", "two"]


@pytest.mark.parametrize("name", ["nothing", "latest", "..", ".", "/", "runs", "runs/../runs/one", "", "\0", "[/x]"])
def test_a_bad_name_is_one_line_and_nothing_is_removed(lnas, three: list[RunDirectory], name: str) -> None:
    result = lnas("runs", "rm", "one", name, "--yes")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.output
    assert three[0].path.exists()


def test_what_a_killed_removal_left_is_named_and_goes_with_the_next(lnas, three: list[RunDirectory]) -> None:
    three[0].path.rename(three[0].path.with_name(".one.77.removed"))
    result = lnas("runs", "list")
    assert "runs/.one.77.removed is left by a process that was killed" in result.stderr
    assert json.loads(lnas("runs", "list", "--json").stdout)["leftovers"] == ["runs/.one.77.removed"]
    lnas("runs", "rm", "two", "--yes")
    assert os.listdir("runs") == ["three"]


@pytest.mark.parametrize("answer", ["y", "n", ""])
def test_at_a_terminal_it_is_asked(
    lnas, tmp_path: Path, three: list[RunDirectory], monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """On standard error: standard output is for results."""
    monkeypatch.setattr("lnas.cli.runs._at_a_terminal", lambda: True)
    size = sum(path.stat().st_size for run in three[:2] for path in run.path.iterdir())
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        result = CliRunner().invoke(main, ["runs", "rm", "one", "two"], input=f"{answer}\n", prog_name="lnas")
    what = f"2 runs ({size} B): runs/one, runs/two"
    assert result.exit_code == 0
    assert result.stderr.startswith(f"Remove {what}? [y/N]: ")
    assert result.stdout == (f"Removed {what}\n" if answer == "y" else "Removed nothing\n")
    assert sorted(os.listdir("runs")) == (["three"] if answer == "y" else ["one", "three", "two"])


def test_latest_is_not_removed(lnas, three: list[RunDirectory]) -> None:
    result = lnas("runs", "rm", "latest", "--yes")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "lnas: error: latest is not removed, for it may be another run than you think; name the run: see lnas runs list\n"
    )
    assert all(run.path.exists() for run in three)


def test_a_name_of_two_lines_is_shown_on_one(lnas, three: list[RunDirectory]) -> None:
    three[0].path.rename("runs/b\nc\x1b[31m")
    assert "runs/b c" in lnas("runs", "rm", "runs/b\nc\x1b[31m", "--yes").stdout.splitlines()[0]
    assert sorted(os.listdir("runs")) == ["three", "two"]


def finish(run: RunDirectory, *, exact: bool) -> None:
    run.write_status("finished", Progress("train", "all", 2000, 2000, 0, 0))
    run.summary.write_text(json.dumps({"accuracy": {"validation": 0.98125, "test": 0.9744}, "exact": exact}))


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (80, ["name", "state", "stage", "valid.", "test", "updated"]),
        (91, ["name", "state", "stage", "valid.", "test", "size", "updated"]),
        (100, ["name", "state", "stage", "recipe", "valid.", "test", "size", "updated"]),
        (1000, ["name", "state", "stage", "recipe", "valid.", "test", "size", "updated"]),
    ],
)
def test_no_word_of_a_list_is_broken(
    lnas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, columns: list[str]
) -> None:
    finish(make(tmp_path / "runs", "generalized-digits-0"), exact=False)
    make(tmp_path / "runs", "variant2-digits-0-12")
    make(tmp_path / "runs", "broken").status.unlink()
    monkeypatch.setattr(output, "width", lambda: width)
    lines = lnas("runs", "list").stdout.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].split() == columns
    words = {word for line in lines[2:] for word in line.split()}
    updated = datetime.fromisoformat(json.loads(Path("runs/variant2-digits-0-12/status.json").read_text())["updated"])
    expected = (
        "generalized-digits-0 variant2-digits-0-12 broken finished, not exact interrupted search 1,300 of 2,000 98.12 97.44 %"
    )
    expected += f" broken: status.json: missing {updated.astimezone():%Y-%m-%d %H:%M}"
    assert words >= set(expected.split())
    sizes = {"kB", "B", "variant2", *(word for word in words if word.replace(".", "").isdigit())}
    assert words - set(expected.split()) <= sizes


def test_a_run_that_was_not_exact_says_so_in_json(lnas, tmp_path: Path) -> None:
    for name in ("a", "b"):
        finish(make(tmp_path / "runs", name), exact=name == "a")
    make(tmp_path / "runs", "c")
    entries = json.loads(lnas("runs", "list", "--json").stdout)["runs"]
    assert {entry["name"]: entry["exact"] for entry in entries} == {"a": True, "b": False, "c": None}
    assert lnas("runs", "list").stdout.count("finished, not exact") == 1


def test_a_time_that_is_none_is_shown_as_it_is(lnas, three: list[RunDirectory]) -> None:
    status = json.loads(three[0].status.read_text())
    three[0].status.write_text(json.dumps({**status, "updated": "noon"}))
    assert " noon" in lnas("runs", "list").stdout


def test_show_says_stopped_where_the_list_does(lnas, three: list[RunDirectory]) -> None:
    three[0].write_status("running", Progress("search", "pairs", 1300, 2000, 0, 0))
    shown = lnas("show", "one").stdout
    assert "stopped" in shown and "running" not in shown and shown.endswith("To go on: lnas resume runs/one\n")
    assert " stopped " in lnas("runs", "list").stdout
    with three[0].locked():
        shown = lnas("show", "one").stdout
        assert "running" in shown and "If it is stopped: lnas resume runs/one" in shown


@pytest.mark.parametrize(
    ("commands", "what"),
    [
        (("verify", "eval"), "the name of a run in LNAS_OUT or runs"),
        (("resume", "show", "report"), "the name of a run in LNAS_OUT or runs or of a sweep in sweeps"),
    ],
)
def test_the_help_says_what_run_may_be(lnas, commands: tuple[str, ...], what: str) -> None:
    for command in commands:
        words = " ".join(lnas(command, "--help").stdout.split())
        assert f"RUN is a directory, {what}, or `latest`: the one there whose status changed last." in words
