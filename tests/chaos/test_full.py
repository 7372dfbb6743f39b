"""A disk that is full or gone: the short form of the experiment, and what the journal of a run notices."""

from pathlib import Path

import pytest

from benchmarks.chaos import full
from lnas import RunError
from lnas.host.rundir import RunDirectory


def test_nothing_is_lost_when_the_disk_is_full_or_gone(tmp_path: Path) -> None:
    tries = [
        *(("write", 20), ("event", 8), ("once", 62), ("size", 30_000)),
        *(("read-only", 40), ("removed", 120), ("no checkpoints", 62), ("no journal", 130)),
    ]
    with full.ForkServer(full.MODULES) as server:
        straight = full.Straight(server, tmp_path / "straight")
        outcome = full.tried(server, straight, tries, tmp_path)
    assert outcome.held == outcome.tried == 8 and not outcome.broken, outcome.broken
    assert all(outcome.figures[f"{kind}: exit 2"] == 1 for kind, _ in tries), "each happened in the middle of the run"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory.create(tmp_path, name="run", recipe="toy", data="dots", seed=0, config="")
    run.cut_metrics(0)
    run.append({"event": "start"})
    return run


def test_a_journal_that_went_away_is_not_begun_again(run: RunDirectory) -> None:
    run.metrics.rename(run.path / "kept")
    for write in (lambda: run.append({"event": "epoch"}), run.keep_metrics):
        with pytest.raises(RunError, match="metrics.jsonl is gone; put it back, and go on with: lnas resume .*run"):
            write()
    with pytest.raises(RunError, match="has 0 bytes, but the checkpoint was made after 18; put the whole file back"):
        RunDirectory(run.path).cut_metrics(18)
    assert not run.metrics.exists()
    (run.path / "kept").rename(run.metrics)
    run.append({"event": "epoch"})
    assert run.rows() == [{"event": "start"}, {"event": "epoch"}]


@pytest.mark.parametrize("other", ["", '{"event":"start"}\n{"event":"epoch"}\n'])
def test_a_journal_that_another_wrote_is_not_gone_on_with(run: RunDirectory, other: str) -> None:
    run.metrics.write_text(other)
    for write in (lambda: run.append({"event": "epoch"}), run.keep_metrics):
        with pytest.raises(RunError, match=f"has {len(other)} bytes, but 18 were written; put the whole file back"):
            write()
    assert run.metrics.read_text() == other
    RunDirectory(run.path).cut_metrics(0)  # a run that goes on makes of it what its checkpoint says
    assert run.metrics.read_text() == ""
