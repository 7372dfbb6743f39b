"""The command line on the digits, from the first option to the last file.  Sizes are as small as they go."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lnas.cli import main
from lnas.host.rundir import RunDirectory

ROOT = Path(__file__).parents[2]
TINY = ["--epochs", "1:1", "--space", "cells,channels=2,layers=3,nodes=2,network_channels=2,network_layers=3", "--batch", "64"]
BOTH = ["--prune", "alpha:iterative,rounds=2", "--prune", "theta:iterative,rounds=1,sparsity=0.5"]
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("LNAS_")},
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",  # the bits of a convolution depend on it
}


def program(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lnas", *arguments]


def call(*arguments: str) -> Any:
    """Run in this process; the line of JSON."""
    result = CliRunner().invoke(main, [*arguments, "--json"], prog_name="lnas")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder that all tests of this file work in."""
    place, before = tmp_path_factory.mktemp("runs"), Path.cwd()
    os.chdir(place)
    yield place
    os.chdir(before)


@pytest.fixture(scope="module")
def done(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Generalized LNAS in a process of its own."""
    line = program("run", *TINY, *BOTH, "--seed", "3", "--name", "first", "--json")
    finished = subprocess.run(line, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    return finished


@pytest.fixture(scope="module")
def summary(done: "subprocess.CompletedProcess[str]") -> Any:
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def test_a_run_ends_with_one_line_of_json(summary: Any, folder: Path) -> None:
    assert summary["schema"] == 1
    assert (summary["run"], summary["recipe"]) == ("runs/first", "generalized")
    assert 0 <= summary["accuracy"]["validation"] <= 1 and 0 <= summary["accuracy"]["test"] <= 1
    assert set(summary["baseline"]) == {"validation", "what"}
    assert summary["sparsity"]["alpha"] == {"target": 0.75, "attained": 0.75}
    assert summary["sparsity"]["theta"]["target"] == 0.5
    assert summary["sparsity"]["theta"]["attained"] == pytest.approx(0.5, abs=0.01)  # each layer is rounded by itself
    assert 0 < summary["parameters"]["nonzero"] < summary["parameters"]["total"]
    assert summary["macs"]["nonzero"] <= summary["macs"]["structural"] <= summary["macs"]["dense"]
    assert set(summary["seconds"]) == {"search", "train"}
    assert set(summary["collapse"]) == {"normal", "reduce"} and summary["collapse"]["normal"]["since"] is None
    assert summary["digest"].startswith("sha256:") and len(summary["digest"]) == len("sha256:") + 64
    assert json.loads((folder / "runs" / "first" / "summary.json").read_text()) == summary


def test_everything_else_is_a_line_for_each_epoch_and_round_on_standard_error(
    done: "subprocess.CompletedProcess[str]",
) -> None:
    lines = done.stderr.splitlines()
    beginnings = [
        *(
            "search: 1 epoch, 10 steps, 2 prune rounds",
            "search round 1/2: alpha",
            "search round 2/2: alpha",
            "search epoch 1/1: loss",
        ),
        *("train: 1 epoch, 20 steps, 1 prune round", "train round 1/1: theta sparsity", "train epoch 1/1: loss"),
        *("Report: runs/first/report.html", "To see this again: lnas show runs/first"),
    ]
    assert [line.startswith(beginning) for line, beginning in zip(lines, beginnings, strict=True)] == [True] * len(beginnings), (
        lines
    )


@pytest.mark.usefixtures("summary")
def test_the_run_directory_is_complete(folder: Path) -> None:
    place = folder / "runs" / "first"
    described = ("config.toml", "environment.json", "genotype.json", "summary.json", "status.json", "model.json")
    for name in (*described, "metrics.jsonl", "model.safetensors", "report.html"):
        assert (place / name).stat().st_size > 0, name
    assert list(place.glob("checkpoints/step-*/MANIFEST.json"))
    assert json.loads((place / "status.json").read_text())["state"] == "finished"
    command = json.loads((place / "environment.json").read_text())["command"]
    assert command.startswith("lnas run --epochs 1:1 --space cells,channels=2") and command.endswith("--name first --json")


@pytest.mark.usefixtures("summary")
def test_the_report_is_a_page_of_its_own(folder: Path) -> None:
    class Page(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.tags: set[str] = set()
            self.asked: list[str] = []

        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            self.tags.add(tag)
            self.asked += [
                value or "" for name, value in attributes if name in ("src", "href") and not (value or "").startswith("#")
            ]

    page = Page()
    page.feed((folder / "runs" / "first" / "report.html").read_text())
    assert {"table", "svg"} <= page.tags and "script" not in page.tags
    assert page.asked == []


def test_the_same_seed_gives_the_same_digest_and_another_seed_another(summary: Any) -> None:
    again = call("run", *TINY, *BOTH, "--seed", "3")
    assert again["run"] == "runs/generalized-digits-3"
    assert again["digest"] == summary["digest"]
    assert again["accuracy"] == summary["accuracy"]
    assert call("run", *TINY, *BOTH, "--seed", "4")["digest"] != summary["digest"]


@pytest.mark.usefixtures("folder")
def test_a_recipe_with_a_sparsity_is_its_prune_line() -> None:
    short = call("run", *TINY, "--recipe", "variant1", "--sparsity", "0.5")
    spelled = call("run", *TINY, "--prune", "theta:one-shot,sparsity=0.5")
    assert short["recipe"] == spelled["recipe"] == "variant1"
    assert short["sparsity"] == spelled["sparsity"]
    assert short["digest"] == spelled["digest"]
    assert Path(short["run"], "config.toml").read_text() == Path(spelled["run"], "config.toml").read_text()


def test_an_interrupted_run_goes_on_and_ends_as_if_it_had_not_been(summary: Any, folder: Path) -> None:
    line = program("run", *TINY, *BOTH, "--seed", "3", "--name", "interrupted", "--json")
    with subprocess.Popen(
        line, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None and process.stdout is not None
        for words in process.stderr:
            if words.startswith("search round 1/2"):
                process.send_signal(signal.SIGINT)
                break
        rest, printed = process.stderr.read().splitlines(), process.stdout.read()
    assert (process.returncode, printed) == (130, "")
    assert rest[-1].startswith("lnas: SIGINT after ") and rest[-1].endswith("go on with: lnas resume runs/interrupted")
    shown = CliRunner().invoke(main, ["show", "runs/interrupted"], prog_name="lnas")
    assert shown.exit_code == 0
    assert "interrupted" in shown.stdout and shown.stdout.endswith("To go on: lnas resume runs/interrupted\n")
    assert call("show", "runs/interrupted")["state"] == "interrupted"
    unfinished = CliRunner().invoke(main, ["eval", "runs/interrupted"], prog_name="lnas")
    assert (unfinished.exit_code, unfinished.stdout) == (2, "")
    assert "is not finished; go on with: lnas resume" in unfinished.stderr
    resumed = call("resume", "latest")
    assert (resumed["run"], resumed["digest"]) == ("runs/interrupted", summary["digest"])
    assert resumed["accuracy"] == summary["accuracy"]
    assert (folder / "runs" / "interrupted" / "report.html").exists()


def test_show_eval_report_and_cost_read_a_run_back(summary: Any, folder: Path) -> None:
    run = "runs/first"
    shown = CliRunner().invoke(main, ["show", run], prog_name="lnas")
    assert shown.exit_code == 0 and "Accuracy, test" in shown.stdout and shown.stdout.endswith("Report: runs/first/report.html\n")
    assert call("show", run) == summary
    evaluated = call("eval", run)
    assert evaluated == {"schema": 1, "run": run, "data": "digits", "accuracy": summary["accuracy"]["test"], "examples": 355}
    assert call("eval", run, "--data", "digits,normalise=true")["accuracy"] == evaluated["accuracy"]
    text = CliRunner().invoke(main, ["eval", run], prog_name="lnas").stdout
    assert f"{100 * evaluated['accuracy']:.2f} % (" in text and "of 355)" in text
    (folder / "runs" / "first" / "report.html").unlink()
    written = CliRunner().invoke(main, ["report", run], prog_name="lnas")
    assert (written.exit_code, written.stdout) == (0, "runs/first/report.html\n")
    assert (folder / "runs" / "first" / "report.html").exists()
    cost = call("cost", run)
    assert (cost["parameters"], cost["macs"]) == (summary["parameters"]["total"], summary["macs"])
    genotype = call("cost", f"{run}/genotype.json", "--data", "digits", "--channels", "2", "--layers", "3")
    assert (genotype["parameters"], genotype["macs"]["dense"]) == (cost["parameters"], cost["macs"]["dense"])


@pytest.mark.usefixtures("summary")
def test_a_run_that_is_there_is_not_overwritten(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    result = CliRunner().invoke(main, ["run", *TINY, "--name", "first"], prog_name="lnas")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("lnas: error: runs/first is there already")
    sizes = CliRunner().invoke(main, ["cost", "runs/first", "--channels", "4"], prog_name="lnas")
    assert sizes.exit_code == 2 and "has its own sizes" in sizes.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.usefixtures("folder")
def test_a_table_is_printed_where_no_json_is_asked_for() -> None:
    result = CliRunner().invoke(main, ["run", *TINY, "--name", "table"], prog_name="lnas")
    assert result.exit_code == 0, result.output
    assert "Accuracy, test" in result.stdout and "Multiply-adds, structural" in result.stdout
    assert result.stdout.endswith("Report: runs/table/report.html\nTo see this again: lnas show runs/table\n")


def test_a_dry_run_plans_and_writes_nothing(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    arguments = ["run", *TINY, *BOTH, "--name", "dry", "--dry-run"]
    plan = call(*arguments)
    assert (plan["schema"], plan["recipe"], plan["run"], plan["paths"]) == (1, "generalized", "runs/dry", 80)
    assert plan["prune"] == ["alpha:iterative,rounds=2", "theta:iterative,rounds=1,sparsity=0.5"]
    search, train = plan["stages"]
    assert (search["name"], search["steps"], search["rounds"], search["k"]) == ("search", 10, 2, 5)
    assert search["sparsities"] == pytest.approx([0.5, 0.75])
    assert (train["name"], train["steps"], train["rounds"], train["sparsities"]) == ("train", 20, 1, [0.5])
    text = CliRunner().invoke(main, arguments, prog_name="lnas").stdout
    for words in ("digits (1,297 train", "alpha:iterative,rounds=2 and theta", "runs/dry", f"{plan['multiply_adds']:,}"):
        assert words in text
    assert sorted(folder.rglob("*")) == before


@pytest.mark.usefixtures("summary")
def test_a_run_that_is_in_use_is_exit_code_4() -> None:
    shutil.copytree("runs/first", "runs/held")
    directory = RunDirectory.open(Path("runs/held"))
    directory.write_status("interrupted", None)
    with directory.locked():
        result = CliRunner().invoke(main, ["resume", "runs/held"], prog_name="lnas")
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr == f"lnas: error: runs/held is in use by process {os.getpid()}; wait until it ends, or stop it\n"


@pytest.mark.usefixtures("folder")
def test_a_number_that_is_not_finite_is_exit_code_3() -> None:
    result = CliRunner().invoke(main, ["run", *TINY, "--strategy", "darts,lr=1e30", "--name", "infinite"], prog_name="lnas")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.splitlines()[-1].startswith("lnas: error: ") and "finite" in result.stderr
    assert json.loads(Path("runs/infinite/status.json").read_text())["state"] == "failed"


@pytest.mark.usefixtures("folder")
def test_the_latest_run_is_looked_for_where_runs_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNAS_OUT", "else where")
    result = CliRunner().invoke(main, ["run", *TINY, "--name", "one"], prog_name="lnas")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("To see this again: lnas show 'else where/one'\n")
    assert call("show", "latest")["run"] == "else where/one"
    other = CliRunner().invoke(main, ["eval", "latest", "--data", "folder,root=nowhere"], prog_name="lnas")
    assert (other.exit_code, other.stdout) == (2, "") and "'nowhere' does not exist" in other.stderr


@pytest.mark.usefixtures("folder")
def test_a_finished_run_is_not_run_again() -> None:
    before = {path.name: path.read_bytes() for path in Path("runs/first").iterdir() if path.is_file()}
    result = CliRunner().invoke(main, ["resume", "runs/first", "--json"], prog_name="lnas")
    assert result.exit_code == 0
    assert result.stderr == "runs/first is finished; nothing is left to do\n"
    assert json.loads(result.stdout) == json.loads(before["summary.json"])
    assert {path.name: path.read_bytes() for path in Path("runs/first").iterdir() if path.is_file()} == before


@pytest.mark.usefixtures("folder")
def test_a_finished_run_without_a_report_gets_one() -> None:
    report = Path("runs/first/report.html")
    before = report.read_bytes()
    report.unlink()  # as after a kill between the last step and the report
    result = CliRunner().invoke(main, ["resume", "runs/first"], prog_name="lnas")
    assert result.exit_code == 0
    assert f"Report: {report}\n" in result.stdout
    assert report.read_bytes() == before


@pytest.mark.usefixtures("folder")
def test_a_run_is_found_by_its_name() -> None:
    assert call("show", "first")["run"] == "runs/first"
