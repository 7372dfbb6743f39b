import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lnas.report.accuracy import curves, draw_accuracy
from lnas.report.read import read

MakeRun = Callable[..., Path]


def journal(run: Path, *events: dict[str, object]) -> Path:
    (run / "config.toml").touch()
    (run / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return run


def epoch(number: int, step: int, accuracy: float | None, stage: str = "train") -> dict[str, object]:
    return {"event": "epoch", "stage": stage, "epoch": number, "step": step, "validation_accuracy": accuracy}


def prune(round_: int, step: int, attained: float, stage: str = "train") -> dict[str, object]:
    return {"event": "prune", "stage": stage, "round": round_, "step": step, "target": "t", "asked": 0.5, "attained": attained}


def test_both_stages_and_their_rounds(make_run: MakeRun) -> None:
    search, train = curves(read(make_run("generalized")))
    assert (search.stage, train.stage) == ("search", "train")
    assert search.epochs == train.epochs == tuple(range(1, 11))
    assert search.rounds == tuple(range(1, 11))
    assert train.rounds == pytest.approx([step / 20 for step in (33, 66, 100, 133, 166)])
    assert train.sparsities == pytest.approx([1 - 0.5 ** (r / 5) for r in range(1, 6)])


def test_a_round_stands_at_its_step_over_steps_per_whole_epoch(tmp_path: Path) -> None:
    run = journal(tmp_path, prune(1, 0, 0.1), epoch(1, 40, 0.5), prune(2, 60, 0.2), epoch(2, 80, 0.6), epoch(3, 90, 0.7))
    (curve,) = curves(read(run))
    assert curve.rounds == (0.0, 1.5)
    assert (curve.epochs, curve.accuracies, curve.end) == ((1, 2, 3), (0.5, 0.6, 0.7), 3)


def test_an_accuracy_that_was_not_measured_is_no_point(tmp_path: Path) -> None:
    run = journal(tmp_path, epoch(1, 40, None, "search"), epoch(1, 40, None), epoch(2, 80, 0.6))
    assert [(curve.stage, curve.epochs) for curve in curves(read(run))] == [("train", (2,))]


def test_nothing_measured_is_no_curve(tmp_path: Path) -> None:
    assert curves(read(journal(tmp_path))) == ()


@pytest.mark.parametrize("width", [368, 720])
def test_the_drawing_marks_each_round_in_each_row(make_run: MakeRun, width: int) -> None:
    svg = draw_accuracy(read(make_run("generalized")), width=width, name="a")
    root = ElementTree.fromstring(svg)
    assert root.attrib["width"] == str(width)
    dashed = [
        path for path in root.iter("{http://www.w3.org/2000/svg}path") if "stroke-dasharray" in path.attrib.get("style", "")
    ]
    assert len(dashed) == 2 * (10 + 5)
    assert all("var(--pruned)" in path.attrib["style"] for path in dashed)
    words = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any(re.fullmatch(r"search: \d+\.\d %", word or "") for word in words)
    assert words.count("epoch") == 2


def test_where_nothing_was_pruned_there_is_no_row_for_sparsity(make_run: MakeRun) -> None:
    svg = draw_accuracy(read(make_run("baseline")), width=720, name="a")
    assert "stroke-dasharray" not in svg and "100 %" not in svg
    assert "0 prune rounds" in svg


def test_one_epoch_is_drawn(tmp_path: Path) -> None:
    assert "train: 50.0 %" in draw_accuracy(read(journal(tmp_path, epoch(1, 3, 0.5))), width=368, name="a")
