"""What a sweep shows while it runs, by files and tellings made by hand."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from lnas.cli import sweep_progress
from lnas.cli.sweep_progress import Watch
from lnas.core.executor import Outcome
from lnas.host import durable
from lnas.sweep.directory import SweepDirectory
from lnas.sweep.planned import SweepPlan, Trial
from lnas.sweep.results import Row
from lnas.sweep.told import Told

NAMES = ("a", "b", "c", "d")
PLAN = SweepPlan(
    tuple(Row(name, "baseline") for name in NAMES),
    tuple(Trial(name, name, 0, "", "k" if name in "ab" else None) for name in NAMES),
    {"k": ""},
)


@pytest.fixture
def directory(tmp_path: Path) -> SweepDirectory:
    return SweepDirectory.create(tmp_path / "sweep", PLAN, config="")


def at(directory: SweepDirectory, name: str, *accuracies: float, state: str = "running") -> None:
    """A run that stands after so many epochs of 5 steps."""
    run = directory.run_of(name)
    run.path.mkdir(exist_ok=True)
    rows = [
        {"event": "epoch", "stage": "train", "step": 5 * number, "validation_accuracy": accuracy}
        for number, accuracy in enumerate(accuracies, start=1)
    ]
    run.metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    durable.write_json(run.status, {"state": state, "stage": "train", "step": 5 * len(accuracies), "steps": 20})


def finish(directory: SweepDirectory, name: str) -> None:
    at(directory, name, 0.5, state="finished")
    durable.write_json(directory.run_of(name).summary, {})
    directory.write_outcome(name, Outcome("done"))


def rows_of(watch: Watch, width: int) -> list[str]:
    paper = Console(file=io.StringIO(), width=width)
    paper.print(watch.drawn())
    return [
        " ".join(row.replace("━", " ").replace("╸", " ").replace("╺", " ").split()) for row in paper.file.getvalue().splitlines()
    ]


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time is what the test says."""
    now = [100.0]
    monkeypatch.setattr(sweep_progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_the_display_has_a_row_for_all_and_one_for_each_that_runs(directory: SweepDirectory, still: list[float]) -> None:
    finish(directory, "c")
    watch = Watch(directory, PLAN, 2)
    watch.hear(Told("search", "k", "began"))
    watch.hear(Told("trial", "d", "began"))
    at(directory, "d", 0.5, 0.625)
    assert rows_of(watch, 100) == ["trials 1/4", "search k begins", "d train 10/20 validation 62.50 %"]
    still[0] += 30
    watch.hear(Told("search", "k", "done"))
    finish(directory, "d")
    watch.hear(Told("trial", "d", "done"))
    assert rows_of(watch, 100) == ["trials 2/4, about 1 min 0 s left"]
    watch.hear(Told("trial", "a", "failed", "out of memory"))
    assert rows_of(watch, 100) == ["trials 3/4 1 failed, about 15.0 s left"]


@pytest.mark.parametrize("width", [40, 80])
def test_the_display_keeps_to_the_width(directory: SweepDirectory, width: int) -> None:
    watch = Watch(directory, PLAN, 2)
    for name in ("a", "a" * 99):
        watch.hear(Told("trial", name, "began"))
    paper = Console(file=io.StringIO(), width=width)
    paper.print(watch.drawn())
    assert max(map(len, paper.file.getvalue().splitlines())) <= width


def test_a_trial_that_waits_for_others_is_neither_running_nor_at_its_end(directory: SweepDirectory) -> None:
    watch = Watch(directory, PLAN, 2)
    watch.hear(Told("trial", "a", "began"))
    watch.hear(Told("trial", "a", "paused"))
    assert (watch.running, watch.words(Told("trial", "a", "paused"))) == ({}, None)
    assert rows_of(watch, 100) == ["trials 0/4"]


def test_what_was_given_up_before_has_ended_and_what_failed_is_tried_again(directory: SweepDirectory) -> None:
    directory.write_outcome("a", Outcome("stopped", "given up"))
    directory.write_outcome("b", Outcome("failed", "out of memory"))
    finish(directory, "c")
    assert rows_of(Watch(directory, PLAN, 1), 100) == ["trials 2/4"]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (Told("search", "k", "began"), "search k begins, shared by 2 trials"),
        (Told("trial", "a", "began"), None),
        (Told("search", "k", "done"), "search k is done"),
        (Told("search", "k", "failed", "not finite"), "search k failed: not finite"),
        (Told("trial", "a", "done"), "0/4 a: validation 50.00 %"),
        (Told("trial", "a", "failed", "not finite"), "0/4 a failed: not finite"),
        (Told("trial", "a", "stopped", "given up by median"), "0/4 a given up by median"),
        (Told("trial", "a", "lost", "signal 9"), "a: signal 9; it goes on with another worker"),
        (Told("trial", "a", "paused"), None),
    ],
)
def test_what_is_told_in_words(directory: SweepDirectory, told: Told, words: str | None) -> None:
    at(directory, "a", 0.25, 0.5)
    assert Watch(directory, PLAN, 1).words(told) == words


def test_a_journal_is_read_once_it_has_grown(directory: SweepDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    course = sweep_progress.course
    monkeypatch.setattr(sweep_progress, "course", lambda run: read.append(run.path.name) or course(run))
    watch = Watch(directory, PLAN, 1)
    watch.hear(Told("trial", "a", "began"))
    rows_of(watch, 100)
    assert read == []
    for accuracies in ((0.25,), (0.25, 0.5)):
        at(directory, "a", *accuracies)
        for _ in range(3):
            assert f"validation {accuracies[-1]:.2%}".replace("%", " %") in rows_of(watch, 100)[1]
    assert read == ["a", "a"]
