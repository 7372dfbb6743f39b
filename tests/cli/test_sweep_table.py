"""What `lnas show` prints of a sweep: the table, the verdicts in words, and why there are none."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lnas.cli import sweep_table
from lnas.sweep.results import Results, Row, TrialResult

ROWS = (Row("baseline", "baseline"), Row("variant1 p=0.95", "variant1", 0.95))
BEFORE, AFTER, LAST = 0.9, 0.2, 0.1
"""Of the pruned row: before the prune, the best after it, and at the end."""


def trial(row: Row, seed: int, test: float) -> TrialResult:
    pruned = row.sparsity is not None
    end = (BEFORE, AFTER, LAST) if pruned else (0.8, 0.8, 0.8)
    return TrialResult(
        *(f"{row.label}-{seed}", row.label, seed, "finished"),
        course=end,
        half=end[0],
        end=end[0],
        ticket=end[1],
        validation=end[2],
        test=test,
        parameters=1000 + seed,
        search_seconds=61.0,
        config={"seed": str(seed), "recipe": row.recipe, "prune": "theta:one-shot,sparsity=0.95" if pruned else ""},
    )


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> Results:
    """A row whose ticket is as good as nothing, beside the baseline, three seeds each; `tell` reads it."""
    tests = ((0.8, 0.81, 0.82), (0.10, 0.12, 0.11))
    trials = [trial(row, seed, test) for row, several in zip(ROWS, tests, strict=True) for seed, test in enumerate(several)]
    made = Results("s", ROWS, tuple(trials), seeds=(0, 1, 2))
    monkeypatch.setattr("lnas.sweep.collect.collect", lambda path: made)
    return made


def test_the_table_shows_what_the_ticket_had_and_not_what_was_pruned(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep_table.tell(Path("s"), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    head, pruned = lines[0], next(line for line in lines if line.startswith("variant1 p=0.95 "))
    assert [part.strip() for part in head.split("  ") if part.strip()] == list(sweep_table.HEAD)
    # 0.1, 0.12, 0.11: deviation 0.01, half width 4.3027 * 0.01 / sqrt(3)
    assert [part.strip() for part in pruned.split("  ") if part.strip()] == [
        *("variant1 p=0.95", "3", "20.00 %, all equal", "10.00 %, all equal", "11.00 ± 2.48 %", "1,001", "1 min 1 s"),
    ]
    assert "90.00" not in "".join(lines)


def test_a_table_1_stands_beside_the_printed_one(
    results: Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    control = replace(ROWS[1], label="variant1 p=0.95 reinit", control="reinit", of="variant1 p=0.95")
    made = replace(results, kind="table1", rows=(*ROWS, control))
    monkeypatch.setattr("lnas.sweep.collect.collect", lambda path: made)
    sweep_table.tell(Path("s"), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    parts = [[part.strip() for part in line.split("  ") if part.strip()] for line in lines]
    assert parts[0] == list(sweep_table.HEAD_OF_TABLE1)
    assert parts[2][:6] == ["baseline", "3", "80.00, all equal", "74.04", "80.00, all equal", "78.90"]
    assert parts[3] == [
        *("variant1 p=0.95", "3", "90.00, all equal", "66.58", "90.00, all equal", "46.43", "20.00, all equal", "11.00 ± 2.48"),
        "1,001",
    ]
    assert parts[4] == ["variant1 p=0.95 reinit", "0"]  # the paper has no controls
    assert sweep_table.WHAT_TABLE1_HAS in " ".join(lines)
    sweep_table.tell(Path("s"), as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["printed"][1] == {
        "recipe": "variant1",
        "sparsity": 0.125,
        "half": 0.6803,
        "end": 0.7005,
        "cost": 549_204_000,
        "search_hours": 2.0,
    }


def test_a_verdict_is_one_line_behind_its_claim(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    sweep_table.tell(Path("s"), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    begin = (
        "variant1 p=0.95 is a winning ticket (at most 1 percentage point below baseline): does not hold:"
        " variant1 p=0.95 minus baseline is -70.00 points (n = 3 seeds), 95 % interval "
    )
    assert any(line.startswith(begin) for line in lines)


def test_why_there_are_no_verdicts_is_printed(
    results: Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep_table.tell(Path("s"), as_json=True)
    assert json.loads(capsys.readouterr().out)["no_verdicts"] is None
    monkeypatch.setattr("lnas.sweep.collect.collect", lambda path: replace(results, stopped_early="median"))
    sweep_table.tell(Path("s"), as_json=False)
    shown = capsys.readouterr().out
    assert "No verdicts: trials were stopped early (median)" in shown and "±" not in shown
    sweep_table.tell(Path("s"), as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["verdicts"] == [] and document["no_verdicts"].startswith("No verdicts: trials were stopped early (median)")
