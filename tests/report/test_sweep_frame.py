"""`lnas.Sweep`: the directory of a sweep as a value."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import lnas
from lnas.core.errors import ConfigError, RunError
from lnas.core.executor import Outcome
from lnas.sweep.collect import collect
from lnas.sweep.directory import SweepDirectory
from lnas.sweep.planned import SweepPlan, Trial
from lnas.sweep.results import Row
from lnas.sweep.verdicts import verdicts

SEEDS = (0, 1, 2)
TESTS = {"baseline": (0.9, 0.91, 0.95), "variant2 p=0.5": (0.92, 0.94, 0.96)}


@pytest.fixture
def place(make_run, tmp_path: Path) -> Path:
    """A sweep of two rows and three seeds: all are finished but the last trial, which failed, and a third row waits."""
    rows = (Row("baseline", "baseline"), Row("variant2 p=0.5", "variant2", 0.5, varied={"train.lr": "0.1"}), Row("<b>", "later"))
    names = {(row.label, seed): f"{row.recipe}-{seed}" for row in rows for seed in SEEDS}
    trials = tuple(Trial(name, row, seed, config='recipe = "x"\n', epochs=10) for (row, seed), name in names.items())
    directory = SweepDirectory.create(tmp_path / "mine", SweepPlan(rows, trials, seeds=SEEDS), config="# it\n")
    for row, accuracies in TESTS.items():
        for seed, accuracy in zip(SEEDS, accuracies, strict=True):
            name = names[row, seed]
            shutil.move(make_run("baseline", name=name), directory.trials / name)
            summary = json.loads((directory.trials / name / "summary.json").read_text())
            summary |= {"accuracy": {"validation": 0.5, "test": accuracy}, "sparsity": {"alpha": {"target": 1, "attained": 0.5}}}
            (directory.trials / name / "summary.json").write_text(json.dumps(summary))
            (directory.trials / name / "config.toml").write_text(f'recipe = "x"\nseed = {seed}\n')
            directory.write_outcome(name, Outcome("done", figures={"nni_compat": 12}))
    directory.write_outcome(names["variant2 p=0.5", 2], Outcome("failed", "out of room"))
    return directory.path


def test_results_are_those_that_are_collected(place: Path) -> None:
    sweep = lnas.Sweep(str(place))
    assert sweep.results == collect(place) and sweep.results is sweep.results
    assert (sweep.name, repr(sweep)) == ("mine", f"Sweep({str(place)!r}, 3 rows, 5 of 9 trials finished)")


def test_a_record_is_a_trial(place: Path) -> None:
    records = lnas.Sweep(place).to_records()
    assert [(record["row"], record["seed"]) for record in records] == [(row, seed) for row in (*TESTS, "<b>") for seed in SEEDS]
    assert [record["test"] for record in records[:4]] == [0.9, 0.91, 0.95, 0.92]
    assert [record["state"] for record in records] == [*["finished"] * 5, "failed", *["waiting"] * 3]
    failed = records[5]
    assert (failed["reason"], failed["sparsity"], failed["varied.train.lr"]) == ("out of room", 0.5, "0.1")
    first = records[0]
    assert (first["recipe"], first["sparsity"], first["varied.train.lr"], first["sweep"]) == ("baseline", None, None, "mine")
    assert (first["attained.alpha"], first["nni_compat"], first["parameters"]) == (0.5, 12, 334_942)
    assert (first["search_seconds"], first["train_seconds"], str(first["digest"])[:12]) == (41.23, 72.9, "sha256:01234")


def test_a_frame_is_the_records(place: Path) -> None:
    pandas = pytest.importorskip("pandas")
    sweep = lnas.Sweep(place)
    found = sweep.to_dataframe()
    back = [
        {key: None if pandas.isna(value) else value for key, value in row.items()}
        for row in found.astype(object).to_dict("records")
    ]
    assert back == sweep.to_records()
    assert found[found.state == "finished"].groupby("row")["test"].mean().to_dict() == pytest.approx(
        {"baseline": 0.92, "variant2 p=0.5": 0.93}
    )
    kinds = {name: str(kind) for name, kind in found.dtypes.items()}
    assert (kinds["parameters"], kinds["exact"], kinds["test"], kinds["seed"]) == ("Int64", "boolean", "float64", "Int64")


def test_without_pandas_there_are_records_and_one_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert len(lnas.Sweep(place).to_records()) == 9
    with pytest.raises(ConfigError, match=r"^a data frame needs pandas, .* pip install pandas"):
        lnas.Sweep(place).to_dataframe()


def test_runs_are_those_that_have_begun(place: Path) -> None:
    runs = lnas.Sweep(place).runs()
    assert list(runs) == [f"{recipe}-{seed}" for recipe in ("baseline", "variant2") for seed in SEEDS]
    assert [run.seed for run in runs.values()] == [*SEEDS, *SEEDS]
    assert [record["epoch"] for record in runs["baseline-0"].to_records()][-1] == 10


def test_verdicts_are_those_of_the_results(place: Path) -> None:
    found = lnas.Sweep(place).verdicts()
    assert found == verdicts(collect(place))
    assert found and {verdict.word for verdict in found} == {"no verdict"}, "trials are waiting"


def test_a_table_for_a_notebook_has_intervals_and_verdicts(place: Path) -> None:
    sweep = lnas.Sweep(place)
    shown = sweep._repr_html_()
    assert "92.00 ± 6.57 %, n = 3" in shown, "4.3027 * 2.6458 / sqrt(3)"
    assert "Validation, last weights" in shown and "50.00 %, n = 3, all equal" in shown
    assert "Validation, best after the last prune" in shown
    assert "93.00 ± 12.71 %, n = 2" in shown and "3 of 3" in shown and "2 of 3" in shown and "0 of 3" in shown
    assert "<script" not in shown and "<b>" not in shown and "&lt;b&gt;" in shown
    assert shown.count("no verdict") >= len(sweep.verdicts())


def test_one_trial_has_no_interval(place: Path) -> None:
    sweep = lnas.Sweep(place)
    trials = [trial for trial in sweep.results.trials if trial.name == "baseline-1"]
    sweep.__dict__["results"] = replace(sweep.results, rows=sweep.results.rows[:1], trials=tuple(trials))
    assert "91.00 %, n = 1, no interval" in sweep._repr_html_() and "±" not in sweep._repr_html_().split("</table>")[0]


def test_a_sweep_that_was_stopped_early_says_why_it_has_no_verdicts(place: Path) -> None:
    sweep = lnas.Sweep(place)
    sweep.__dict__["results"] = replace(sweep.results, stopped_early="median")
    shown = sweep._repr_html_()
    assert "No verdicts: trials were stopped early (median)" in shown and "±" not in shown


def test_what_is_no_sweep_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no sweep: a sweep is a directory that `lnas sweep` made"):
        lnas.Sweep(tmp_path)
