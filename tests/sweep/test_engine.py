"""The engine with workers that only say what became of their work, and once with real runs."""

import json
import os
import platform
import shutil
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lnas.core.errors import ConfigError, RunInUseError
from lnas.core.executor import Executor, Outcome, Work
from lnas.host import checkpoint, durable
from lnas.sweep.deaths import PAUSES
from lnas.sweep.directory import SweepDirectory
from lnas.sweep.planned import SweepPlan, Trial
from lnas.sweep.results import Row
from lnas.sweep.told import Counts, SweepInterrupted

from .conftest import run

MOST = len(PAUSES) + 1
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
            place = Path(str(work.arguments["directory"])) / "checkpoints"
            place.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.save(place, {"step": 0}, step=1, meta={})
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


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No try waits."""
    monkeypatch.setattr("lnas.sweep.deaths.PAUSES", (0.0,) * len(PAUSES))


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


def test_any_number_of_trials_fail_with_their_search(directory: Callable[[SweepPlan], SweepDirectory]) -> None:
    plan = plan_of(*(f"t{number}" for number in range(1500)), shared=True)
    place = directory(plan)
    counts, _ = run(place, plan, said(place, **{"search-k": [Outcome("failed", "alpha is not finite")]}))
    assert counts == Counts(0, 1500, 0, 0)


def test_a_worker_that_dies_is_replaced_until_nothing_moves(directory: Callable[[SweepPlan], SweepDirectory]) -> None:
    plan = plan_of("a", "b")
    place = directory(plan)
    lost = Outcome("lost", "the worker died: signal 9")
    executor = said(place, a=[lost] * (MOST - 1), b=[lost] * MOST)
    counts, heard = run(place, plan, executor)
    assert counts == Counts(1, 1, 0, 0)
    assert executor.names == ["a"] * MOST + ["b"] * MOST
    assert heard[-1].reason == f"the worker died: signal 9; it was lost {MOST} times without getting further"


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

    counts, _ = run(place, plan, said(place, a=[*[further] * (3 * MOST), finished]))
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

    with pytest.raises(SweepInterrupted, match="SIGTERM; .*; to go on: lnas sweep") as error:
        run(place, plan, said(place, a=[signalled]))
    assert error.value.exit_code == 143
    again = said(place)
    assert run(place, plan, again)[0] == Counts(2, 0, 0, 0)
    assert again.names == ["a", "b"]


def test_a_run_that_noted_the_signal_in_this_process_passes_it_on(directory: Callable[[SweepPlan], SweepDirectory]) -> None:
    plan = plan_of("a", "b")
    place = directory(plan)
    here = Outcome("stopped", "SIGINT", {"signal": 2, "process": os.getpid(), "machine": platform.node()})
    other_process = Outcome("stopped", "SIGTERM", {**here.figures, "signal": 15, "process": os.getpid() + 1})
    other_machine = Outcome("stopped", "SIGTERM", {**here.figures, "signal": 15, "machine": "elsewhere"})
    with pytest.raises(SweepInterrupted) as error:
        run(place, plan, said(place, a=[other_process, other_machine, here]))
    assert error.value.exit_code == 130


ACCURACIES = {"a": (0.1,), "b": (0.9, 0.9, 0.9), "c": (0.5, 0.5, 0.5), "d": (0.7, 0.1, 0.1), "e": (0.6, 0.8, 0.8)}
"""By halving with eta=2 after 1 and 2 epochs: b, d and e are left of five, then b and e."""


@dataclass
class Trains(Said):
    """Each trial goes to the epoch that it is told, with the accuracies above."""

    def submit(self, work: Work) -> "Future[Outcome]":
        if work.name not in self.answers:
            until = int(str(work.arguments["until"] or 3))
            place = self.trials / work.name
            place.mkdir(parents=True, exist_ok=True)
            rows = [
                {"event": "epoch", "stage": "train", "step": number, "validation_accuracy": accuracy}
                for number, accuracy in enumerate(ACCURACIES[work.name][:until], start=1)
            ]
            (place / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            if until == 3:
                durable.write_json(place / "status.json", {"state": "finished"})
                durable.write_json(place / "summary.json", {})
            self.asked.append(work)
            future: Future[Outcome] = Future()
            future.set_result(Outcome("done", figures={} if until == 3 else {"paused": True}))
            return future
        return super().submit(work)


def given_up(place: SweepDirectory) -> dict[str, str]:
    outcomes = {name: place.outcome(name) for name in ACCURACIES}
    return {name: found["reason"] for name, found in outcomes.items() if found is not None and found["state"] == "stopped"}


EXPECTED = {
    "a": "given up by halving,eta=2 after epoch 1 of 3",
    "c": "given up by halving,eta=2 after epoch 1 of 3",
    "d": "given up by halving,eta=2 after epoch 2 of 3",
}


def test_trials_are_compared_at_rungs_and_the_poor_ones_given_up(directory: Callable[[SweepPlan], SweepDirectory]) -> None:
    plan = plan_of(*ACCURACIES, epochs=3, stopping="halving,eta=2")
    place = directory(plan)
    executor = Trains(trials=place.trials)
    counts, _ = run(place, plan, executor)
    assert [(work.name, work.arguments["until"]) for work in executor.asked] == [
        *((name, 1) for name in "abcde"),
        *((name, 2) for name in "bde"),
        *((name, None) for name in "be"),
    ]
    assert counts == Counts(2, 0, 3, 0)
    assert given_up(place) == EXPECTED


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_sweep_that_goes_on_gives_up_the_same_trials(directory: Callable[[SweepPlan], SweepDirectory], most: int) -> None:
    plan = plan_of(*ACCURACIES, epochs=3, stopping="halving,eta=2")
    place = directory(plan)
    for _ in range(12):
        counts, _ = run(place, plan, Trains(trials=place.trials), most=most)
        if not counts.left:
            break
    assert counts == Counts(2, 0, 3, 0)
    assert given_up(place) == EXPECTED


def test_one_that_fails_on_the_way_holds_nobody_up(directory: Callable[[SweepPlan], SweepDirectory]) -> None:
    plan = plan_of(*ACCURACIES, epochs=3, stopping="halving,eta=2")
    place = directory(plan)
    counts, _ = run(place, plan, Trains({"a": [Outcome("failed", "out of memory")]}, trials=place.trials))
    assert counts == Counts(1, 1, 3, 0)  # of four, two are left, then one
    assert given_up(place).keys() == {"c", "d", "e"}
    counts, _ = run(place, plan, Trains(trials=place.trials))  # it is tried again, and judged by those that were there
    assert counts == Counts(1, 0, 4, 0)
    assert given_up(place)["a"] == EXPECTED["a"]


def test_a_shared_search_that_fails_leaves_nobody_waiting(directory: Callable[[SweepPlan], SweepDirectory]) -> None:
    whole = plan_of(*ACCURACIES, epochs=3, stopping="halving,eta=2")
    trials = tuple(replace(trial, search="k" if trial.name == "e" else None) for trial in whole.trials)
    plan = replace(whole, trials=trials, searches={"k": ""})
    place = directory(plan)
    executor = Trains({"search-k": [Outcome("failed", "not finite")]}, trials=place.trials)
    counts, _ = run(place, plan, executor)
    assert counts.left == 0
    assert counts.failed == 1


def test_a_search_without_its_checkpoint_is_done_again(directory: Callable[[SweepPlan], SweepDirectory]) -> None:
    plan = plan_of("a", "b", shared=True)
    place = directory(plan)
    run(place, plan, said(place), most=1)
    shutil.rmtree(place.search_of("k").checkpoints)
    again = said(place)
    run(place, plan, again)
    assert again.names == ["search-k", "b"]


def test_a_file_stops_the_sweep_once(directory: Callable[[SweepPlan], SweepDirectory]) -> None:
    plan = plan_of("a", "b")
    place = directory(plan)

    def asked() -> Outcome:
        place.ask_to_stop()
        return Outcome("stopped", "asked to stop")

    executor = said(place, a=[asked])
    with pytest.raises(SweepInterrupted, match="^asked to stop") as error:
        run(place, plan, executor)
    assert (error.value.exit_code, executor.names) == (0, ["a"])
    assert run(place, plan, said(place))[0] == Counts(2, 0, 0, 0)


def test_work_that_never_ends_is_left_after_a_while(
    directory: Callable[[SweepPlan], SweepDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lnas.sweep.engine.GRACE", 0.0)
    plan = plan_of("a")
    place = directory(plan)

    class Queued(Said):
        def submit(self, work: Work) -> "Future[Outcome]":
            os.kill(os.getpid(), signal.SIGTERM)
            return Future()

    with pytest.raises(SweepInterrupted):
        run(place, plan, Queued())


def test_a_trial_is_reserved_when_its_search_begins(directory: Callable[[SweepPlan], SweepDirectory]) -> None:
    whole = plan_of("a", "b", "c")
    trials = tuple(replace(trial, search=trial.name) for trial in whole.trials)
    plan = replace(whole, trials=trials, searches=dict.fromkeys("abc", ""))
    place = directory(plan)
    executor = said(place)
    executor.workers = 3
    assert run(place, plan, executor, most=1)[0] == Counts(1, 0, 0, 2)
    assert executor.names == ["search-a", "a"]


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
