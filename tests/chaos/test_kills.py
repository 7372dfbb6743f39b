import json
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chaos import kills, tiny


def test_a_run_that_is_killed_and_killed_again_ends_with_the_same_bytes(tmp_path: Path) -> None:
    outcome = kills.measure(4, 3, tmp_path, moments=False)  # by this seed few come to their end between two kills
    assert outcome.held == outcome.tried == 4, outcome.broken
    assert not outcome.broken
    assert outcome.figures["killed at a boundary"] == 4
    kills_in_all = sum(int(number) for what, number in outcome.figures.items() if what.startswith("killed"))
    assert kills_in_all >= 20, outcome.figures


def test_every_step_and_every_prune_round_is_a_boundary() -> None:
    assert {kills.BOUNDARIES.count(("after a step", step)) for step in range(1, 11)} == {1}
    assert [number for moment, number in kills.BOUNDARIES if moment == "between masks and rewind"] == [1, 2, 3, 4]


class Pretended(tiny.Program):
    """Processes that end as they are told to: the exit status and the state that the run is left in, "" for no run."""

    ends: Iterator[tuple[int, str]]

    def start(self, arguments: Sequence[str], **how: Any) -> int:
        return 2**30  # no process has this id

    def wait(self, process: int) -> int:
        status, state = next(self.ends)
        if state:
            tiny.directory(self.folder).mkdir(parents=True, exist_ok=True)
            (tiny.directory(self.folder) / "status.json").write_text(json.dumps({"state": state}))
        self.errors.write_text("Error: these were the last words\n" if status > 0 else "")
        return status


KILLED, FINISHED = (-9, "running"), (0, "finished")


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ([KILLED, FINISHED, FINISHED], ""),
        ([(-9, ""), *5 * [KILLED], FINISHED], ""),
        (
            [KILLED, (2, "running")],
            "ended with status 2 before the kill at a boundary, resuming: Error: these were the last words",
        ),
        ([KILLED, KILLED, (1, "failed")], "ended with status 1 before the kill"),
        ([KILLED, (0, "running")], "ended with status 0 before the kill .*; the run is not finished"),
        ([KILLED, (-11, "running")], "ended with status -11 before the kill"),
        ([FINISHED], "the run did not come by "),
        ([*6 * [KILLED], (2, "running")], "the last resumption ended with status 2"),
    ],
)
def test_what_ends_in_another_way_than_killed_or_finished_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: list[tuple[int, str]], words: str
) -> None:
    monkeypatch.setattr(kills, "server", nullcontext)
    monkeypatch.setattr(kills, "Program", Pretended)
    monkeypatch.setattr(kills, "traces", lambda run: {})
    monkeypatch.setattr(Pretended, "ends", iter([FINISHED, *ends]), raising=False)
    outcome = kills.measure(1, 0, tmp_path, moments=False)
    assert outcome.tried == 1 and outcome.held == (not words)
    assert list(Pretended.ends) == []
    assert len(outcome.broken) == bool(words)
    assert re.search(words, " ".join(outcome.broken))


def test_a_run_that_is_always_quicker_than_its_kill_is_broken_and_not_tried_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    monkeypatch.setattr(kills, "server", nullcontext)
    monkeypatch.setattr(kills, "Program", Pretended)
    monkeypatch.setattr(kills, "traces", lambda run: {})
    monkeypatch.setattr(kills.os, "kill", lambda process, number: killed.append(number))
    monkeypatch.setattr(
        Pretended, "ends", iter([*4 * [FINISHED], *6 * [KILLED], FINISHED, *kills.STARTS * [FINISHED]]), raising=False
    )
    outcome = kills.measure(2, 0, tmp_path)
    assert outcome.held == 1
    assert f"{kills.STARTS} processes in a row had finished the run before the kill" in outcome.broken[0]
    assert set(killed) == {signal.SIGKILL} and list(Pretended.ends) == []
