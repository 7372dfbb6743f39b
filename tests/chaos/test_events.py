from pathlib import Path

from benchmarks.chaos import events


def test_killed_before_a_file_event_there_is_a_whole_checkpoint_and_the_run_goes_on(tmp_path: Path) -> None:
    outcome = events.measure(8, 3, tmp_path)
    assert outcome.held == outcome.tried == 8, outcome.broken
    assert not outcome.broken
    assert int(outcome.figures["events of the quiet run"]) > 200
    for kind in ("fsync", "mkdir", "rename", "open", "remove", "rmdir", "flock", "pwrite"):
        assert int(outcome.figures[f"events of the quiet run: {kind}"]) > 0
