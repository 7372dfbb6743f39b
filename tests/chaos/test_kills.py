from pathlib import Path

from benchmarks.chaos import kills


def test_a_run_that_is_killed_and_killed_again_ends_with_the_same_bytes(tmp_path: Path) -> None:
    outcome = kills.measure(6, 0, tmp_path)
    assert outcome.held == outcome.tried == 6, outcome.broken
    assert not outcome.broken
    assert outcome.figures["killed at a boundary"] == outcome.figures["killed at a random moment"] == 3
    kills_in_all = sum(int(number) for what, number in outcome.figures.items() if what.startswith("killed"))
    assert kills_in_all >= 20, outcome.figures


def test_every_step_and_every_prune_round_is_a_boundary() -> None:
    assert {kills.BOUNDARIES.count(("after a step", step)) for step in range(1, 11)} == {1}
    assert [number for moment, number in kills.BOUNDARIES if moment == "between masks and rewind"] == [1, 2, 3, 4]
