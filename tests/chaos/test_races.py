from pathlib import Path

from benchmarks.chaos import races


def test_of_several_processes_on_one_run_one_goes_on(tmp_path: Path) -> None:
    outcome = races.measure(6, 0, tmp_path)
    assert outcome.held == outcome.tried == 6, outcome.broken
    assert not outcome.broken
    assert int(outcome.figures["resume: processes with exit status 4"]) >= 4
    assert outcome.figures["run: processes with exit status 0"] == 2
