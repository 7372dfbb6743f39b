"""`lnas compare` as a user meets it: the tables, the lines below them, and one line where it cannot."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lnas.cli import output
from lnas.host.rundir import RunDirectory
from tests.cli.conftest import Lnas

Make = Callable[..., RunDirectory]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """`make("a", lr=0.1, test=0.9)` makes a run in runs; without an accuracy it has not finished."""

    def made(name: str, *, lr: float = 0.1, test: float | None = None, seed: int = 0) -> RunDirectory:
        config = f'recipe = "variant2"\ndata = "digits"\nseed = {seed}\nname = "{name}"\n[train]\nlr = {lr}\n'
        run = RunDirectory.create(tmp_path / "runs", name=name, recipe="a", data="b", seed=0, config=config)
        if test is not None:
            run.summary.write_text(json.dumps({"schema": 1, "accuracy": {"validation": 0.5, "test": test}}))
        run.write_status("interrupted" if test is None else "finished", None)
        return run

    return made


def test_two_runs_stand_side_by_side(lnas: Lnas, make: Make) -> None:
    make("a", test=0.9)
    make("b", test=0.95, lr=0.2)
    done = lnas("compare", "a", "runs/b")
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    rows = {line[:22].strip(): line[22:].split() for line in lines if line.startswith(("State", "Recipe", "Data", "Seed", "Acc"))}
    assert lines[0].split() == ["a", "b"]
    assert (rows["State"], rows["Recipe"], rows["Data"]) == (["finished"] * 2, ["variant2"] * 2, ["digits"] * 2)
    assert rows["Accuracy, test"] == ["90.00", "%", "95.00", "%"]
    assert lines[-3:] == [
        "Settings that differ:",
        "train.lr: 0.1 | 0.2",
        "Paired by seed: b minus a, test accuracy: +5.00 points, n = 1, no interval",
    ]


def test_a_document_is_one_line_and_holds_the_warnings(lnas: Lnas, make: Make) -> None:
    make("a", test=0.9)
    make("b")
    done = lnas("compare", "a", "latest", "--json")
    assert (done.exit_code, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    document = json.loads(done.stdout)
    assert [run["path"] for run in document["runs"]] == ["runs/a", "runs/b"]
    assert document["warnings"] == ["b has not finished (interrupted): it has no accuracy to compare"]
    assert (document["settings"], document["pairings"]) == ({}, [])


def test_what_is_not_comparable_is_a_warning(lnas: Lnas, make: Make) -> None:
    make("a", test=0.9)
    make("b")
    done = lnas("compare", "a", "b")
    assert done.exit_code == 0
    assert done.stderr == "lnas: warning: b has not finished (interrupted): it has no accuracy to compare\n"
    assert "Settings" not in done.stdout and "Paired" not in done.stdout


def test_more_runs_than_there_is_room_for_stand_below_each_other(lnas: Lnas, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(5):
        make(f"run{seed}", test=0.9, seed=seed)
    monkeypatch.setattr(output, "width", lambda: 80)
    lines = lnas("compare", *(f"run{seed}" for seed in range(5))).stdout.splitlines()
    assert [line.split() for line in lines if "run" in line] == [["run0", "run1"], ["run2", "run3"], ["run4"]]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a"], "1 run cannot be compared; give two or more"),
        ([], "compare: missing argument 'RUN...'; see lnas compare --help"),
        (["a", "runs/a"], "runs/a is given twice; name each run once"),
        (["a", "latest"], "runs/a is given twice; name each run once"),
        (["a", "b"], "b is no run: a run is a directory that lnas made, with config.toml and status.json"),
    ],
)
def test_what_cannot_be_compared_is_one_line(lnas: Lnas, make: Make, arguments: list[str], words: str) -> None:
    make("a", test=0.9)
    done = lnas("compare", *arguments)
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"lnas: error: {words}\n")


def test_control_characters_of_a_run_do_not_reach_the_terminal(lnas: Lnas, make: Make) -> None:
    make("a", test=0.9)
    make("b", test=0.9).config.write_text('recipe = "\\u001b[31m"\n[train]\nlr = "\\u001b]0;x\\u0007\\n"\n')
    done = lnas("compare", "a", "b")
    assert done.exit_code == 0 and "\x1b" not in done.stdout + done.stderr and "\x07" not in done.stdout + done.stderr


def test_a_configuration_that_is_none_is_one_line(lnas: Lnas, make: Make) -> None:
    make("a", test=0.9)
    make("b", test=0.9).config.write_text("=")
    done = lnas("compare", "a", "b")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("lnas: error: runs/b/config.toml is not TOML: ")
