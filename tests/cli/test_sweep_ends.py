"""How a sweep ends before its end: trials that fail, and limits; and what a plan says of one that was begun."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from lnas.core.executor import Outcome
from lnas.sweep.directory import SweepDirectory

Lnas = Callable[..., Result]

SPACE = "cells,channels=1,layers=3,nodes=1,network_channels=2,network_layers=3"
TINY = ("--space", SPACE, "--epochs", "2it:2it", "--batch", "16")
TWO = ("sweep", "--recipe", "baseline,variant1", "--sparsity", "0.5", "--seeds", "1", "--out", "mine", *TINY)

FAILING = """
import pathlib
import lnas

@lnas.hookimpl
def lnas_importances(register):
    register("fragile", "fragile:fragile", summary="magnitudes, unless a file is there")

def fragile(tensors, masks, loss):
    if pathlib.Path("broken").exists():
        raise ValueError("it is broken")
    return {name: tensor.detach().abs() for name, tensor in tensors.items()}
"""


def states(directory: str = "mine") -> dict[str, str]:
    return {path.stem: json.loads(path.read_text())["state"] for path in Path(directory, "outcomes").glob("*-seed*.json")}


def pictures(root: Path) -> None:
    """Two classes of 24 pictures."""
    from PIL import Image

    for shade, name in ((40, "dark"), (200, "light")):
        (root / name).mkdir(parents=True)
        for number in range(24):
            Image.new("RGB", (8, 8), (shade + number, number, 0)).save(root / name / f"{number}.png")


def test_a_trial_that_fails_is_exit_code_3_and_the_next_call_tries_it_again(lnas: Lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lnas.report.sweep_files.write", lambda path: path / "report.html")
    Path("fragile.py").write_text(FAILING)
    Path("broken").touch()
    Path("sweep.toml").write_text('prune = [["theta:one-shot,importance=fragile"], ["theta:one-shot"]]\nsparsity = 0.5\n')
    words = ("--plugin", "fragile.py", "sweep", "--config", "sweep.toml", "--seeds", "1", "--out", "mine", *TINY)
    failed = lnas(*words)
    assert failed.exit_code == 3, failed.stderr
    assert sorted(states().values()) == ["done", "failed"]
    [outcome] = [found for found in map(SweepDirectory.open(Path("mine")).outcome, states()) if found["state"] == "failed"]
    assert "it is broken" in outcome["reason"]
    assert "lnas: error: 1 of 2 trials failed; mine/report.html says why" in failed.stderr

    Path("broken").unlink()
    mended = lnas(*words)
    assert mended.exit_code == 0, mended.stderr
    assert set(states().values()) == {"done"}


def test_a_sweep_begins_no_more_trials_than_asked(lnas: Lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lnas.report.sweep_files.write", lambda path: path / "report.html")
    first = lnas(*TWO, "--max-trials", "1")
    assert first.exit_code == 0, first.stderr
    assert states() == {"baseline-seed0": "done"}
    assert "1 trial left; the same command goes on" in first.stdout

    monkeypatch.setattr("lnas.cli.sweep_plan._steps", lambda job: (1.0, 2.0))
    plan = json.loads(lnas(*TWO, "--dry-run", "--json").stdout)
    assert (plan["trials"], plan["left"]) == (2, 1)
    assert plan["seconds"] == 2 * 2.0  # the training of the other; its search is done
    assert "Left" in lnas(*TWO, "--dry-run").stdout

    second = lnas(*TWO, "--max-trials", "1")
    assert (second.exit_code, "left; the same command" in second.stdout) == (0, False)
    assert set(states().values()) == {"done"}


def test_resume_goes_on_with_a_sweep(lnas: Lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lnas.report.sweep_files.write", lambda path: path / "report.html")
    out = ("--out", "sweeps/mine")  # where those lie that are found by their name
    lnas(*TWO, *out, "--max-trials", "1")
    begun = json.loads(Path("sweeps/mine/status.json").read_text())
    assert (begun["executor"], begun["workers"], begun["state"]) == ("serial", 1, "interrupted")
    os.makedirs("runs/older")
    for name in ("config.toml", "status.json"):
        Path("runs/older", name).write_text("{}")
    os.utime("runs/older/status.json", (1, 1))
    assert "baseline" in lnas("show", "mine").stdout
    assert lnas("show", "latest").stdout == lnas("show", "sweeps/mine").stdout

    refused = lnas("resume", "mine", "--require-exact")
    assert (refused.exit_code, refused.stderr) == (
        2,
        "lnas: error: sweeps/mine is a sweep; --require-exact is of one run, and its runs are in sweeps/mine/trials\n",
    )
    stopped = lnas("resume", "mine", "--max-time", "0.001s")
    assert (stopped.exit_code, stopped.stdout) == (0, "")
    assert stopped.stderr.startswith("2 trials of 2 rows, in sweeps/mine\nReport: ")
    assert states("sweeps/mine") == {"baseline-seed0": "done"}

    document = json.loads(lnas("resume", "latest", "--json").stdout)
    assert [trial["state"] for trial in document["trials"]] == ["finished", "finished"]
    finished = json.loads(Path("sweeps/mine/status.json").read_text())
    assert (finished["state"], finished["command"]) == ("finished", begun["command"])
    again = lnas("resume", "sweeps/mine")
    assert again.exit_code == 0 and "variant1 p=0.5" in again.stdout

    os.utime("runs/older/status.json", (2**32, 2**32))
    assert "runs/older" in lnas("show", "latest").stderr


def test_an_executor_that_cannot_be_reached_is_told_before_the_rows_are_built(
    lnas: Lnas, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lnas.builtin.executors import Serial
    from lnas.core.errors import ConfigError
    from lnas.sweep.planning import Planner

    def refuse(self: Serial, workers: int) -> None:
        raise ConfigError("nobody answers")

    built: list[object] = []
    monkeypatch.setattr(Serial, "__init__", refuse)
    monkeypatch.setattr(Planner, "plan", lambda self, *planned, **how: built.append(planned))
    refused = lnas(*TWO)
    assert (refused.exit_code, refused.stderr) == (2, "lnas: error: executor serial: nobody answers\n")
    assert not built and not Path("mine").exists()


def test_how_it_was_run_is_said_of_calls_that_ran_something(lnas: Lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    from lnas.sweep.collect import collect

    monkeypatch.setattr("lnas.report.sweep_files.write", lambda path: path / "report.html")

    def status() -> dict[str, object]:
        found: dict[str, object] = json.loads(Path("mine/status.json").read_text())
        return {name: found[name] for name in ("executor", "workers", "most_workers")}

    lnas(*TWO, "--max-trials", "1")
    several = {"executor": "process", "workers": 4, "most_workers": 4}  # as if four had run at a time
    Path("mine/status.json").write_text(json.dumps({**json.loads(Path("mine/status.json").read_text()), **several}))
    lnas(*TWO, "--max-time", "0.001s")
    assert status() == several
    lnas(*TWO)
    assert status() == {"executor": "serial", "workers": 1, "most_workers": 4}
    assert collect(Path("mine")).workers == 4


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("workers", "two", "sweeps/mine/status.json: workers must be a whole number from 1 to 10000, not 'two'"),
        (
            "workers",
            2,
            "sweeps/mine/status.json: workers must be 1, not 2: serial runs one trial at a time",
        ),
        ("executor", "many", "sweeps/mine/status.json: unknown executor 'many'"),
        ("executor", 3, "sweeps/mine/status.json: executor must be text, not 3"),
    ],
)
def test_a_sweep_that_says_nonsense_of_its_executor_is_not_gone_on_with(
    lnas: Lnas, monkeypatch: pytest.MonkeyPatch, key: str, value: object, words: str
) -> None:
    monkeypatch.setattr("lnas.report.sweep_files.write", lambda path: path / "report.html")
    lnas(*TWO, "--out", "sweeps/mine", "--max-time", "0.001s")
    status = Path("sweeps/mine/status.json")
    status.write_text(text := json.dumps({**json.loads(status.read_text()), key: value}))
    refused = lnas("resume", "latest")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"lnas: error: {words}")
    assert status.read_text() == text


def test_a_sweep_goes_on_in_the_folder_where_it_was_begun(lnas: Lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lnas.report.sweep_files.write", lambda path: path / "report.html")
    pictures(Path("here/pictures"))
    monkeypatch.chdir("here")
    begun = lnas(*TWO, "--data", "folder,root=pictures,size=8", "--max-time", "0.001s")
    assert begun.exit_code == 0, begun.stderr
    monkeypatch.chdir("..")
    stopped = lnas("resume", "here/mine", "--max-time", "0.001s")
    assert stopped.stderr.endswith("to go on: lnas resume here/mine --max-time 0.001s\n")  # not what made it
    finished = lnas("resume", "here/mine")
    assert finished.exit_code == 0, finished.stderr
    assert set(states("here/mine").values()) == {"done"}


@pytest.mark.parametrize("command", [["verify"], ["eval"], ["compare", "mine"], ["runs", "rm", "--yes"]])
def test_what_takes_runs_alone_says_so_of_a_sweep(lnas: Lnas, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setattr("lnas.report.sweep_files.write", lambda path: path / "report.html")
    lnas(*TWO, "--max-time", "0.001s")
    refused = lnas(*command, "mine")
    assert refused.exit_code == 2
    assert refused.stderr == "lnas: error: mine is a sweep; name one of its runs, which are in mine/trials\n"


def test_a_sweep_out_of_time_leaves_a_report(lnas: Lnas) -> None:
    stopped = lnas(*TWO, "--max-time", "0.001s")
    assert (stopped.exit_code, stopped.stdout) == (0, "")
    assert stopped.stderr.startswith(
        "2 trials of 2 rows, in mine\nReport: mine/report.html\n"
        "lnas: the time is over; what ran has saved a checkpoint; to go on: "
    )
    assert all(Path("mine", name).is_file() for name in ("report.html", "trials.csv", "rows.csv", "table.tex"))
    assert json.loads(Path("mine/status.json").read_text())["state"] == "interrupted"
    document = lnas(*TWO, "--max-time", "0.001s", "--json")
    assert [trial["state"] for trial in json.loads(document.stdout)["trials"]] == ["waiting", "waiting"]


def test_the_end_of_the_time_hides_no_trial_that_failed(lnas: Lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    from lnas.sweep import engine

    def stopping(reason: int) -> Callable[..., engine.Counts]:
        def run(self: engine.Engine, again: str) -> engine.Counts:
            self._look()
            self._end("trial", "baseline-seed0", Outcome("failed", "out of memory"))
            raise engine.SweepInterrupted(reason, again)

        return run

    monkeypatch.setattr("lnas.report.sweep_files.write", lambda path: path / "report.html")
    for reason, code in ((0, 3), (15, 143)):
        monkeypatch.setattr(engine.Engine, "run", stopping(reason))
        stopped = lnas(*TWO)
        assert stopped.exit_code == code
        assert ("lnas: error: 1 of 2 trials failed; mine/report.html says why" in stopped.stderr) == (code == 3)


def test_a_plan_is_measured_with_the_threads_of_its_trials(lnas: Lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from lnas.cli import sweep_plan

    seen: list[int] = []
    monkeypatch.setattr(sweep_plan, "_steps", lambda job: seen.append(torch.get_num_threads()) or (1.0, 2.0))
    before = torch.get_num_threads()
    plan = json.loads(lnas(*TWO, "--threads", "2", "--dry-run", "--json").stdout)
    assert (seen, plan["threads"], torch.get_num_threads()) == ([2, 2], 2, before)
    assert plan["rows"] == [
        {"label": "baseline", "trials": 1, "search": 2, "shared": False, "train": 2, "seconds": 4.0},
        {"label": "variant1 p=0.5", "trials": 1, "search": 2, "shared": True, "train": 2, "seconds": 4.0},
    ]
    assert plan["seconds"] == 2 * 1.0 + 2 * (2 * 2.0)

    monkeypatch.setattr("lnas.report.sweep_files.write", lambda path: path / "report.html")
    lnas(*TWO, "--threads", "2", "--max-time", "0.001s")
    seen.clear()
    assert json.loads(lnas(*TWO, "--dry-run", "--json").stdout)["threads"] == 2  # it goes on with those it began with
    assert set(seen) == {2}


@pytest.mark.parametrize(
    ("executor", "workers", "threads"), [("serial", 1, 7), ("lnas/process", 2, 3), ("ray", 2, 1), ("slurm", 1, 1)]
)
def test_the_cores_of_this_machine_are_shared_by_trials_that_run_here(
    monkeypatch: pytest.MonkeyPatch, executor: str, workers: int, threads: int
) -> None:
    from lnas.cli import sweeping
    from lnas.host.spec import Spec

    monkeypatch.setattr(sweeping.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert sweeping._threads(workers, Spec(executor)) == threads
