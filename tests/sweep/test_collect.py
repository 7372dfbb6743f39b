import json
from pathlib import Path

import pytest

from lnas.core.errors import RunError
from lnas.core.executor import Outcome
from lnas.host import durable
from lnas.sweep.collect import collect
from lnas.sweep.directory import SweepDirectory
from lnas.sweep.planned import SweepPlan, Trial
from lnas.sweep.results import Row, TrialResult

PRUNED = {"event": "prune", "stage": "train", "step": 20}


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDirectory:
    plan = SweepPlan((Row("a", "variant1", 0.5),), (Trial("a-seed0", "a", 0, 'recipe = "variant1"\n', None, 0.5, 4),))
    return SweepDirectory.create(tmp_path / "sweep", plan, config="")


def written(sweep: SweepDirectory, *accuracies: float, prunes: bool = True, finished: bool = True) -> TrialResult:
    """The trial with these accuracies after its epochs of 10 steps; its weights are pruned at the end of the second."""
    run = sweep.run_of("a-seed0")
    run.path.mkdir(exist_ok=True)
    rows = [
        {"event": "epoch", "stage": "train", "step": 10 * number, "validation_accuracy": accuracy}
        for number, accuracy in enumerate(accuracies, start=1)
    ]
    search = {"event": "epoch", "stage": "search", "step": 5, "validation_accuracy": 1.0}
    lines = [search, *rows[:1], *([PRUNED] if prunes else []), *rows[1:]]
    run.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    if finished:
        durable.write_json(run.status, {"state": "finished"})
        baseline = {"validation": 0.8, "what": "..."} if prunes else None
        durable.write_json(run.summary, {"accuracy": {"validation": accuracies[-1], "test": 0.5}, "baseline": baseline})
        sweep.write_outcome("a-seed0", Outcome("done", figures={"nni_compat": 7}))
    return collect(sweep.path).trials[0]


def test_what_was_reached_before_and_after_the_weights_were_pruned(sweep: SweepDirectory) -> None:
    trial = written(sweep, 0.7, 0.1, 0.5, 0.6)
    assert trial.course == (0.7, 0.1, 0.5, 0.6)
    assert (trial.before, trial.half, trial.end, trial.ticket) == (0.8, 0.8, 0.8, 0.6)
    assert (trial.validation, trial.test, trial.nni_compat) == (0.6, 0.5, 7)


def test_without_a_prune_the_ticket_is_the_best(sweep: SweepDirectory) -> None:
    trial = written(sweep, 0.7, 0.1, 0.9, 0.6, prunes=False)
    assert (trial.before, trial.half, trial.end, trial.ticket) == (None, 0.7, 0.9, 0.9)


def test_a_trial_on_its_way_has_what_it_has_come_to(sweep: SweepDirectory) -> None:
    assert collect(sweep.path).trials[0].state == "waiting"
    trial = written(sweep, 0.7, finished=False)
    assert (trial.state, trial.course, trial.half, trial.end, trial.test) == ("waiting", (0.7,), None, None, None)
    with sweep.run_of("a-seed0").locked():
        assert collect(sweep.path).trials[0].state == "running"


def test_a_finished_trial_whose_summary_is_gone_has_failed(sweep: SweepDirectory) -> None:
    written(sweep, 0.7, 0.1, 0.5, 0.6)
    sweep.run_of("a-seed0").summary.write_text("{")
    trial = collect(sweep.path).trials[0]
    assert (trial.state, trial.test) == ("failed", None)
    assert trial.reason.startswith("summary.json cannot be read: ")


@pytest.mark.parametrize(
    "journal", ["nothing\nat all\n", '{"event": "epoch", "stage": "train", "step": 10, "validation_accuracy": "nan"}\n']
)
def test_a_journal_that_cannot_be_read_leaves_no_course(sweep: SweepDirectory, journal: str) -> None:
    written(sweep, 0.7, 0.1, 0.5, 0.6)
    sweep.run_of("a-seed0").metrics.write_text(journal)
    trial = collect(sweep.path).trials[0]
    assert (trial.course, trial.half, trial.ticket, trial.end) == ((), None, None, 0.8)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"macs": 3}, "'int' object has no attribute 'get'"),
        ({"accuracy": {"test": "high"}}, "test is 'high', and no number that a run measures"),
        ({"accuracy": {"validation": True}}, "validation is True, and no number that a run measures"),
        ({"accuracy": {"test": 1e308}}, "test is 1e+308, and no number that a run measures"),
        ({"sparsity": {"theta": {}}}, "'attained'"),
        ({"sparsity": {"theta": {"attained": None}}}, "theta is None, and no number that a run measures"),
        ({"digest": 3}, "exact must be true or false, and digest text"),
    ],
)
def test_a_summary_that_no_run_wrote_is_a_failed_trial(sweep: SweepDirectory, document: object, reason: str) -> None:
    written(sweep, 0.7, 0.1, 0.5, 0.6)
    durable.write_json(sweep.run_of("a-seed0").summary, document)
    trial = collect(sweep.path).trials[0]
    assert (trial.state, trial.reason, trial.test) == ("failed", f"summary.json cannot be read: {reason}", None)


def test_other_files_that_nothing_wrote_are_as_if_they_were_not_there(sweep: SweepDirectory) -> None:
    written(sweep, 0.7, 0.1, 0.5, 0.6)
    durable.write_json(sweep.status, {"workers": None, "command": 3})
    for figures in ([1], {"nni_compat": "many"}, {"nni_compat": None}):
        durable.write_json(sweep.outcomes / "a-seed0.json", {"state": "done", "figures": figures})
        results = collect(sweep.path)
        assert (results.trials[0].state, results.trials[0].nni_compat) == ("finished", None)
    assert (results.workers, results.command) == (1, "")


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("trials", 0, "row"), "b", "a trial must be of one of its rows and seeds, and the only one of both"),
        (("trials", 0, "seed"), 1, "a trial must be of one of its rows and seeds, and the only one of both"),
        (("trials", 0, "search"), "k", "trial a-seed0 has a search that is not there"),
        (("rows", 0, "of"), "nothing", "a row has no recipe, a sparsity outside [0, 1), or is held against none"),
        (("rows", 0, "sparsity"), 5.0, "a row has no recipe, a sparsity outside [0, 1), or is held against none"),
        (("trials", 0, "name"), "/somewhere/else", "name must be 1 to 100 of the letters"),
        (("trials", 0, "name"), "../../else", "name must be 1 to 100 of the letters"),
        (("trials", 0, "name"), "", "name must be 1 to 100 of the letters"),
        (("trials", 0, "name"), 5, "trials.0.name: Input should be a valid string"),
        (("trials", 0, "seed"), "x", "trials.0.seed: Input should be a valid integer"),
        (("trials", 0, "epochs"), 0, "trial a-seed0 has no epochs, or a sparsity outside"),
        (("trials", 0, "more"), 0, "TypeError: "),
        (("searches",), {"../k": ""}, "name must be 1 to 100 of the letters"),
        (("rows", 0, "label"), None, "rows.0.label: Input should be a valid string"),
        (("rows", 0, "varied"), 5, "rows.0.varied: Input should be an object"),
        (("rows",), [], "its rows must be there, and each once"),
        (("seeds",), [0, 0], "its seeds must be there, and each once"),
        (("threads",), 0, "threads must be at least 1"),
        (("kind",), "zzz", "threads must be at least 1, and kind sweep or table1"),
        (("stopping",), 4, "stopping: Input should be a valid string"),
    ],
)
def test_a_plan_that_no_planner_made_is_refused(
    sweep: SweepDirectory, keys: tuple[str | int, ...], value: object, words: str
) -> None:
    plan = place = json.loads(sweep.plan_file.read_text())
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    sweep.plan_file.write_text(json.dumps(plan))
    with pytest.raises(RunError) as refused:
        collect(sweep.path)
    assert str(refused.value).startswith(f"{sweep.plan_file}: no plan of a sweep: {words}")


@pytest.mark.parametrize("seconds", ["nan", float("nan"), float("inf"), -1, None, "1e999"])
def test_a_time_that_is_none_is_not_counted(sweep: SweepDirectory, seconds: object) -> None:
    sweep.status.write_text(json.dumps({"seconds": seconds}))
    assert sweep.seconds() == 0.0
