"""The engine with workers that only say what became of their work, and once with real runs."""

import json
import os
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lnas.core.errors import ConfigError, RunInUseError
from lnas.core.executor import Executor, Outcome, Work
from lnas.host import durable
from lnas.sweep.directory import SweepDirectory
from lnas.sweep.engine import MOST_LOSSES, Counts, SweepInterrupted
from lnas.sweep.planned import SweepPlan, Trial
from lnas.sweep.results import Row

from .conftest import run

DONE = Outcome("done", figures={"nni_compat": 1})


@dataclass
class Said(Executor):
    """Says of each work what the test told it to, DONE when it has no more to say; a trial that is done leaves a finished run."""

    answers: Mapping[str, list[Outcome | Callable[[], Outcome]]] = field(default_factory=dict)
    workers: int = 1
    trials: Path = Path()
    asked: list[Work] = field(default_factory=list)

    def submit(self, work: Work) -> "Future[Outcome]":
        self.asked.append(work)
        left = self.answers.get(work.name, [])
        answer = left.pop(0) if left else DONE
        outcome = answer() if callable(answer) else answer
        if outcome is DONE and not work.name.startswith("search-"):
            place = self.trials / work.name
            place.mkdir(parents=True)
            durable.write_json(place / "status.json", {"state": "finished"})
            durable.write_json(place / "summary.json", {})
        elif outcome.state == "done" and work.name.startswith("search-"):
            (Path(str(work.arguments["directory"])) / "checkpoints").mkdir(parents=True)
        future: Future[Outcome] = Future()
        future.set_result(outcome)
        return future

    def close(self) -> None:
        pass

    @property
    def names(self) -> list[str]:
        return [work.name for work in self.asked]


def plan_of(*names: str, shared: bool = False, epochs: int = 1, stopping: str | None = None) -> SweepPlan:
    trials = tuple(Trial(name, name, 0, "", "k" if shared else None, 0.0, epochs) for name in names)
    return SweepPlan(tuple(Row(name, "baseline") for name in names), trials, {"k": ""} if shared else {}, stopping=stopping)


@pytest.fixture
def directory(tmp_path: Path) -> Callable[[SweepPlan], SweepDirectory]:
    return lambda plan: SweepDirectory.create(tmp_path / "sweep", plan, config="")


def said(directory: SweepDirectory, **answers: list[Outcome | Callable[[], Outcome]]) -> Said:
    return Said(answers, trials=directory.trials)


def test_a_shared_search_is_done_once_and_first(directory: Callable[[SweepPlan], SweepDirectory]) -> None:
    plan = plan_of("a", "b", shared=True)
    place = directory(plan)
    executor = said(place)
    counts, heard = run(place, plan, executor)
    assert executor.names == ["search-k", "a", "b"]
    assert counts == Counts(2, 0, 0, 0)
    assert [(told.kind, told.name, told.what) for told in heard if told.what != "began"] == [
        ("search", "k", "done"),
        ("trial", "a", "done"),
        ("trial", "b", "done"),
    ]
    assert executor.asked[1].arguments["search"] == str(place.search_of("k").path.absolute())


def test_what_is_finished_is_not_run_again_and_what_failed_is(directory: Callable[[SweepPlan], SweepDirectory]) -> None:
    plan = plan_of("a", "b", "c")
    place = directory(plan)
    counts, _ = run(place, plan, said(place, b=[Outcome("failed", "out of memory")]))
    assert counts == Counts(2, 1, 0, 0)
    again = said(place)
    counts, _ = run(place, plan, again)
    assert again.names == ["b"]
    assert counts == Counts(3, 0, 0, 0)


def test_a_failed_search_fails_its_trials_with_its_reason(directory: Callable[[SweepPlan], SweepDirectory]) -> None:
    plan = plan_of("a", "b", shared=True)
    place = directory(plan)
    counts, _ = run(place, plan, said(place, **{"search-k": [Outcome("failed", "alpha is not finite")]}))
    assert counts == Counts(0, 2, 0, 0)
    outcome = place.outcome("a")
    assert outcome is not None
    assert outcome["reason"] == "its search failed: alpha is not finite"


def test_a_worker_that_dies_is_replaced_until_nothing_moves(directory: Callable[[SweepPlan], SweepDirectory]) -> None:
    plan = plan_of("a", "b")
    place = directory(plan)
    lost = Outcome("lost", "the worker died: signal 9")
    executor = said(place, a=[lost] * (MOST_LOSSES - 1), b=[lost] * MOST_LOSSES)
    counts, heard = run(place, plan, executor)
    assert counts == Counts(1, 1, 0, 0)
    assert executor.names == ["a"] * MOST_LOSSES + ["b"] * MOST_LOSSES
    assert heard[-1].reason == f"the worker died: signal 9; its worker died {MOST_LOSSES} times without getting further"


def test_a_loss_after_a_new_checkpoint_counts_anew(directory: Callable[[SweepPlan], SweepDirectory]) -> None:
    plan = plan_of("a")
    place = directory(plan)
    steps = iter(range(100))

    def further() -> Outcome:
        (place.trials / "a" / "checkpoints" / f"step-{next(steps):08d}").mkdir(parents=True)
        return Outcome("lost", "killed")

    def finished() -> Outcome:
        durable.write_json(place.trials / "a" / "status.json", {"state": "finished"})
        durable.write_json(place.trials / "a" / "summary.json", {})
        return Outcome("done")

    counts, _ = run(place, plan, said(place, a=[*[further] * (3 * MOST_LOSSES), finished]))
    assert counts == Counts(1, 0, 0, 0)


def test_no_more_trials_are_begun_than_asked(directory: Callable[[SweepPlan], SweepDirectory]) -> None:
    plan = plan_of("a", "b", "c", shared=True)
    place = directory(plan)
    first, second = said(place), said(place)
    assert run(place, plan, first, most=2)[0] == Counts(2, 0, 0, 1)
    assert first.names == ["search-k", "a", "b"]
    assert run(place, plan, second, most=2)[0] == Counts(3, 0, 0, 0)
    assert second.names == ["c"]


def test_a_signal_stops_the_sweep_and_the_same_call_goes_on(directory: Callable[[SweepPlan], SweepDirectory]) -> None:
    plan = plan_of("a", "b")
    place = directory(plan)

    def signalled() -> Outcome:
        os.kill(os.getpid(), signal.SIGTERM)
        return Outcome("stopped", "asked to stop")

    with pytest.raises(SweepInterrupted, match="stopped by signal 15; .*; to go on: lnas sweep") as error:
        run(place, plan, said(place, a=[signalled]))
    assert error.value.exit_code == 143
    again = said(place)
    assert run(place, plan, again)[0] == Counts(2, 0, 0, 0)
    assert again.names == ["a", "b"]


def test_a_run_that_noted_the_signal_in_this_process_passes_it_on(directory: Callable[[SweepPlan], SweepDirectory]) -> None:
    plan = plan_of("a", "b")
    place = directory(plan)
    here = Outcome("stopped", "SIGINT", {"signal": 2, "process": os.getpid()})
    elsewhere = Outcome("stopped", "SIGTERM", {"signal": 15, "process": os.getpid() + 1})
    with pytest.raises(SweepInterrupted) as error:
        run(place, plan, said(place, a=[elsewhere, here]))
    assert error.value.exit_code == 130


def test_trials_are_compared_at_rungs_and_the_poor_ones_given_up(directory: Callable[[SweepPlan], SweepDirectory]) -> None:
    plan = plan_of("a", "b", "c", epochs=4, stopping="halving,eta=3")
    place = directory(plan)
    accuracies = {"a": 0.1, "b": 0.9, "c": 0.5}

    def pauses(name: str) -> Callable[[], Outcome]:
        def pause() -> Outcome:
            run = place.run_of(name)
            run.path.mkdir(parents=True, exist_ok=True)
            row = {"event": "epoch", "stage": "train", "validation_accuracy": accuracies[name]}
            run.metrics.write_text(json.dumps(row) + "\n")
            return Outcome("done", figures={"paused": True})

        return pause

    def finished() -> Outcome:
        durable.write_json(place.trials / "b" / "status.json", {"state": "finished"})
        durable.write_json(place.trials / "b" / "summary.json", {})
        return Outcome("done")

    answers = {name: [pauses(name)] for name in "abc"}
    answers["b"] = [pauses("b"), pauses("b"), finished]
    executor = said(place, **answers)
    counts, _ = run(place, plan, executor)
    assert [(work.name, work.arguments["until"]) for work in executor.asked] == [
        ("a", 1),
        ("b", 1),
        ("c", 1),
        ("b", 3),
        ("b", None),
    ]
    assert counts == Counts(1, 0, 2, 0)
    outcome = place.outcome("c")
    assert outcome is not None
    assert outcome["reason"] == "given up by halving,eta=3 after epoch 1 of 4"


def test_one_call_at_a_time_and_one_plan_a_directory(directory: Callable[[SweepPlan], SweepDirectory], tmp_path: Path) -> None:
    plan = plan_of("a")
    place = directory(plan)
    with place.locked(), pytest.raises(RunInUseError), place.locked():
        pass
    for other, message in (
        (plan_of("a", "b"), "it has no row 'b'"),
        (replace(plan, threads=7), "threads 1, not 7"),
        (replace(plan, seeds=(0, 1)), r"seeds \[0\], not \[0, 1\]"),
        (replace(plan, trials=(replace(plan.trials[0], config="seed = 1\n"),)), "trial a was planned without 'seed = 1'"),
    ):
        with pytest.raises(ConfigError, match=message):
            SweepDirectory.create(tmp_path / "sweep", other, config="")
