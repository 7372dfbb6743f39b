"""One tiny sweep of real runs, whose files several tests look at."""

import dataclasses
import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from lnas.builtin.executors import Serial
from lnas.builtin.process_executor import Process
from lnas.builtin.process_worker import Worker, started
from lnas.host.assemble import build
from lnas.host.config import merge
from lnas.host.layers import from_table
from lnas.host.plugins import Host
from lnas.host.rundir import RunDirectory
from lnas.host.toml import parse
from lnas.host.verify import verify
from lnas.sweep.collect import collect
from lnas.sweep.directory import SweepDirectory
from lnas.sweep.results import Results
from lnas.sweep.told import Counts

from .conftest import planned, run


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> SweepDirectory:
    plan = planned(recipe=["baseline", "variant1", "generalized"], sparsity=0.5)
    directory = SweepDirectory.create(tmp_path_factory.mktemp("real") / "sweep", plan, config="seeds = 1\n")
    assert run(directory, plan, Serial(1))[0] == Counts(3, 0, 0, 0)
    return directory


def alone(directory: RunDirectory, tmp_path: Path) -> RunDirectory:
    """The same configuration as a run that does everything itself."""
    text = directory.read_config()
    config = merge(from_table(parse(text.encode(), where="config"), Path("config"))).config
    other = RunDirectory.create(tmp_path, name="alone", recipe="", data="", seed=0, config=text)
    build(config, Host()).run(other)
    return other


def journal(directory: RunDirectory) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in directory.rows()]


def summary(directory: RunDirectory) -> dict[str, Any]:
    document = json.loads(directory.summary.read_text())
    return {key: value for key, value in document.items() if key not in ("run", "seconds", "latency")}


def test_a_trial_with_a_shared_search_is_the_run_that_does_it_itself(sweep: SweepDirectory, tmp_path: Path) -> None:
    plan = sweep.plan()
    assert [trial.search is not None for trial in plan.trials] == [True, True, False]
    assert len(plan.searches) == 1
    trial = sweep.run_of("variant1-p0.5-seed0")
    lone = alone(trial, tmp_path)
    assert summary(trial) == summary(lone)  # the digest of all weights is in it
    assert json.loads(trial.summary.read_text())["exact"] is True
    assert journal(trial) == journal(lone)
    assert trial.genotype.read_bytes() == lone.genotype.read_bytes()


def test_every_trial_is_an_ordinary_run(sweep: SweepDirectory) -> None:
    for name in ("baseline-seed0", "generalized-p0.5-seed0"):
        assert [finding for finding in verify(sweep.run_of(name).path, Host()) if finding.verdict not in ("ok", "absent")] == []


def test_the_results_are_what_the_runs_say(sweep: SweepDirectory) -> None:
    results = collect(sweep.path)
    assert [(row.label, row.recipe, row.sparsity) for row in results.rows] == [
        ("baseline", "baseline", None),
        ("variant1 p=0.5", "variant1", 0.5),
        ("generalized p=0.5", "generalized", 0.5),
    ]
    trial = results.of("variant1 p=0.5")[0]
    said = json.loads((sweep.path / trial.path / "summary.json").read_text())
    epochs = [row for row in sweep.run_of(trial.name).rows() if row["event"] == "epoch" and row["stage"] == "train"]
    assert trial.course == tuple(row["validation_accuracy"] for row in epochs)
    assert trial.before == said["baseline"]["validation"]  # one epoch of 12 steps, pruned after the sixth
    assert (trial.half, trial.end) == (max(trial.before, *trial.course),) * 2
    assert trial.ticket == trial.course[-1]
    assert (trial.test, trial.digest, trial.parameters) == (
        said["accuracy"]["test"],
        said["digest"],
        said["parameters"]["nonzero"],
    )
    assert trial.attained == {"theta": said["sparsity"]["theta"]["attained"]}
    assert trial.config["recipe"] == "variant1"
    assert trial.nni_compat is not None and trial.nni_compat < results.of("baseline")[0].nni_compat  # type: ignore[operator]


def test_another_call_runs_nothing(sweep: SweepDirectory) -> None:
    assert run(sweep, sweep.plan(), Serial(1)) == (Counts(3, 0, 0, 0), [])


def test_processes_that_are_killed_and_a_second_call_change_no_byte(sweep: SweepDirectory, tmp_path: Path) -> None:
    plan = sweep.plan()
    other = SweepDirectory.create(tmp_path / "other", plan, config="seeds = 1\n")
    workers: list[int] = []

    class Killed(Process):
        @staticmethod
        def _start(threads: int) -> Worker:
            worker = started(threads)
            workers.append(worker._process.pid)  # type: ignore[attr-defined]
            return worker

    killed = []
    over = threading.Event()

    def kill() -> None:
        """The first worker, once a run is begun, and the last one, once another is."""
        for wanted, which in ((1, 0), (3, -1)):
            while len(list(other.path.glob("*/*/metrics.jsonl"))) < wanted and not over.wait(0.005):
                pass
            os.kill(workers[which], signal.SIGKILL)
            killed.append(workers[which])

    killer = threading.Thread(target=kill)
    engine = Killed(2)
    killer.start()
    try:
        first, heard = run(other, plan, engine, most=1)
        counts, more = run(other, plan, engine)
    finally:
        engine.close()
        over.set()
        killer.join()
    assert (first, counts) == (Counts(1, 0, 0, 2), Counts(3, 0, 0, 0))
    assert len(set(killed)) == 2
    assert [told.reason for told in [*heard, *more] if told.what == "lost"][:1] == ["the worker died: signal 9"]
    assert table(collect(other.path)) == table(collect(sweep.path))


def table(results: Results) -> list[dict[str, Any]]:
    """All but the times."""
    timed = ("search_seconds", "train_seconds")
    return [{key: value for key, value in dataclasses.asdict(trial).items() if key not in timed} for trial in results.trials]
