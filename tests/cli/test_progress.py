import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from lnas.cli.progress import Bars, Lengths, Lines, bars, line_of
from lnas.core.pipeline import Progress
from lnas.host.events import EpochDone, Event, Finished, Pruned, Resumed, StageStarted, StepDone


def at(step: int, round: int = 0, rounds: int = 2) -> Progress:
    """Of a search of 4 epochs of 5 steps, with prune rounds of 10 steps."""
    return Progress("search", "pairs", step, 20, round, rounds)


def epoch(step: int, *, round: int = 0, rounds: int = 2, live_paths: int | None = 156, loss: float | None = 1.25) -> EpochDone:
    return EpochDone(
        progress=at(step, round, rounds),
        epoch=step // 5,
        epochs=4,
        metrics={"loss": loss},
        validation_accuracy=0.71,
        sparsity=0.3,
        live_paths=live_paths,
        seconds=30.0,
    )


def pruned(rewind: int | None = None) -> Pruned:
    return Pruned(at(10, 1), target="alpha", asked=0.3, attained=0.304, layers={"normal": 0.304}, rewind=rewind)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (StageStarted(at(0), 4), "search: 4 epochs, 20 steps, 2 prune rounds"),
        (StageStarted(Progress("train", "all", 0, 1, 0, 0), 1), "train: 1 epoch, 1 step"),
        (StageStarted(Progress("train", "all", 0, 9, 0, 1), 1), "train: 1 epoch, 9 steps, 1 prune round"),
        (Resumed(at(7), ()), "search goes on at step 7 of 20"),
        (
            Resumed(at(7), ("torch (2.10, now 2.11)", "threads (1, now 2)")),
            "search goes on at step 7 of 20; not the same as before: torch (2.10, now 2.11), threads (1, now 2)",
        ),
        (
            epoch(15),
            "search epoch 3/4: loss 1.2500, validation 71.00 %, sparsity 0.3000, 156 live paths, 30.0 s, 10.0 s left",
        ),
        (epoch(20, rounds=0, live_paths=None), "search epoch 4/4: loss 1.2500, validation 71.00 %, 30.0 s"),
        (epoch(20, rounds=0, live_paths=None, loss=None), "search epoch 4/4: validation 71.00 %, 30.0 s"),
        (pruned(), "search round 1/2: alpha sparsity 0.3040, 0.3000 asked"),
        (pruned(rewind=0), "search round 1/2: alpha sparsity 0.3040, 0.3000 asked, rewound to step 0"),
        (StepDone(at(3), 3, 60), None),
        (Finished(Path("runs/x"), 0.9, 0.9, "sha256:0"), None),
    ],
)
def test_an_event_is_a_line(event: Event, line: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert line_of(event) == line
    Lines().notify(event)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"{line}\n" if line else "")


def drawn(*events: Event, width: int) -> tuple[list[str], str]:
    """The rows after the events, and all that the terminal was sent."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, legacy_windows=False)
    with bars(console) as progress:
        observer = Bars(progress, {"search": Lengths(5, 10), "train": Lengths(8, 0)})
        for event in events:
            observer.notify(event)
    paper = Console(file=io.StringIO(), width=width)
    paper.print(progress.get_renderable())
    return [row.rstrip() for row in paper.file.getvalue().splitlines()], console.file.getvalue()


STEPS = [event for step in range(1, 8) for event in (StepDone(at(step), step, 60), *([epoch(5)] if step == 5 else []))]


@pytest.mark.parametrize("width", [60, 120])
def test_there_are_bars_for_stage_round_and_epoch(width: int) -> None:
    (stage, round_, epoch_), _ = drawn(StageStarted(at(0), 4), *STEPS, width=width)
    assert stage.startswith("search ") and "7/20 steps" in stage
    assert round_.startswith("round 1/2 ") and round_.endswith("sparsity 0.3000  156 live paths")
    assert epoch_.startswith("epoch 2/4 ") and epoch_.endswith("loss 1.2500  validation 71.00 %")


@pytest.mark.parametrize("width", [60, 120])
def test_a_row_does_not_reach_the_edge_of_the_terminal(width: int) -> None:
    rows, _ = drawn(StageStarted(at(0), 4), *STEPS, width=width)
    assert max(len(row) for row in rows) <= width - 2


def test_a_round_begins_after_the_prune() -> None:
    before = [StageStarted(at(0), 4), StepDone(at(9), 9, 60)]
    rows, _ = drawn(*before, Pruned(at(10, 1), "alpha", 0.3, 0.304, {}, None), StepDone(at(10, 1), 10, 60), width=80)
    assert rows[1].startswith("round 2/2") and rows[1].endswith("sparsity 0.3040")
    rows, _ = drawn(*before, StepDone(at(20, 2), 20, 60), width=80)
    assert rows[1].startswith("round 2/2")


def test_a_stage_without_rounds_has_no_bar_for_them_and_an_old_stage_stays() -> None:
    train = Progress("train", "all", 0, 8, 0, 0)
    done = [StageStarted(at(0), 4), StepDone(at(20, 2), 20, 28), StageStarted(train, 1)]
    rows, _ = drawn(*done, width=80)
    assert [row.split()[0] for row in rows] == ["search", "train", "epoch"]
    rows, _ = drawn(
        *done, StepDone(Progress("train", "all", 8, 8, 0, 0), 28, 28), Finished(Path("x"), 1, 1, "sha256:0"), width=80
    )
    assert [row.split()[0] for row in rows] == ["search", "train"]
    assert "8/8 steps" in rows[1]


def test_a_note_stands_above_the_bars(capsys: pytest.CaptureFixture[str]) -> None:
    note = Resumed(at(7), ())
    sent = drawn(StageStarted(at(7), 4), note, StepDone(at(8), 8, 60), width=80)[1]
    assert "\x1b[2Ksearch goes on at step 7 of 20\n" in sent  # the row is cleared first
    assert capsys.readouterr().err == ""


def test_no_colour_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [StageStarted(at(0), 4), *STEPS]
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    colour = re.compile(r"\x1b\[[0-9;]*(?:3[0-9]|9[0-7])[;m]")
    assert colour.search(drawn(*events, width=80)[1])
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colour.search(drawn(*events, width=80)[1])


def collapsed(step: int, *groups: str) -> EpochDone:
    figures = {f"{group}/edges_without_weights": 4.0 for group in groups}
    return EpochDone(at(step), step // 5, 4, {"loss": 1.0}, 0.71, 0.3, 156, 30.0, figures, groups)


WARNING = (
    "lnas: warning: the search has collapsed: 4 edges of normal learn nothing after search epoch 2; search for fewer epochs,"
    " with --strategy darts,unrolled=finite, or with robust-darts (lnas-robust)\n"
)


def test_a_collapse_is_a_warning_after_the_line_of_its_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.notify(collapsed(10, "normal"))
    lines.notify(collapsed(15))
    first, warning, second = capsys.readouterr().err.splitlines(keepends=True)
    assert (first[:16], warning, second[:16]) == ("search epoch 2/4", WARNING, "search epoch 3/4")


def test_a_collapse_stands_above_the_bars(capsys: pytest.CaptureFixture[str]) -> None:
    rows, sent = drawn(StageStarted(at(0), 4), StepDone(at(10), 10, 60), collapsed(10, "normal"), width=200)
    assert sent.count(WARNING) == 1 and [row.split()[0] for row in rows] == ["search", "round", "epoch"]
    assert capsys.readouterr().err == ""


def test_the_name_of_a_group_that_collapsed_sends_the_terminal_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Lines().notify(collapsed(10, "[/x]\x1b[2J\n<b>"))
    assert "4 edges of [/x] <b> learn nothing" in (words := capsys.readouterr().err) and "\x1b" not in words
    sent = drawn(StageStarted(at(0), 4), collapsed(10, "[/x]\x1b]0;title\x07"), width=200)[1]
    assert "4 edges of [/x] learn nothing" in sent and "title" not in sent
