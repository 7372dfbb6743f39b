import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lnas.report.pace import Pace, draw_pace, medians, paces
from lnas.report.read import read

MakeRun = Callable[..., Path]

SPACE = {
    "normal": {"edges": [[0, 2], [1, 2]], "operations": ["none", "skip_connect", "sep_conv_3x3"]},
    "reduce": {"edges": [[0, 1]], "operations": ["none", "skip_connect"]},
}  # 2 * 3 + 1 * 2 = 8 paths
START = {"event": "start", "stage": "search", "space": SPACE}


def journal(run: Path, *events: dict[str, object]) -> Path:
    (run / "config.toml").touch()
    (run / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return run


def epoch(number: int, seconds: float | None, live_paths: int | None, **others: object) -> dict[str, object]:
    row = {"event": "epoch", "stage": "search", "epoch": number, "step": 10 * number, "seconds": seconds}
    return {**row, "live_paths": live_paths, **others}


def prune(round_: int, step: int, stage: str = "search") -> dict[str, object]:
    return {"event": "prune", "stage": stage, "round": round_, "step": step, "target": "alpha", "asked": 0.5, "attained": 0.5}


def test_an_epoch_has_its_own_seconds_and_the_paths_it_began_with(tmp_path: Path) -> None:
    train = epoch(1, 100.0, None, stage="train")
    run = journal(tmp_path, START, epoch(1, 4.0, 6), epoch(2, 7.0, 3), epoch(3, 8.5, 3), train)
    assert paces(read(run)) == (Pace(1, 4.0, 8), Pace(2, 3.0, 6), Pace(3, 1.5, 3))


def test_rounds_before_the_first_step_leave_the_first_epoch_fewer_paths(tmp_path: Path) -> None:
    run = journal(tmp_path, START, prune(1, 0), epoch(1, 4.0, 6), epoch(2, 7.0, 6))
    assert paces(read(run)) == (Pace(1, 4.0, 6), Pace(2, 3.0, 6))


def test_of_a_space_that_is_not_known_the_first_epoch_is_left_out(tmp_path: Path) -> None:
    assert paces(read(journal(tmp_path, epoch(1, 4.0, 6), epoch(2, 7.0, 3)))) == (Pace(2, 3.0, 6),)


def test_an_epoch_after_a_missing_one_is_left_out(tmp_path: Path) -> None:
    run = journal(tmp_path, START, epoch(1, 4.0, 6), epoch(3, 8.0, 3), epoch(4, 9.0, 3))
    assert paces(read(run)) == (Pace(1, 4.0, 8), Pace(4, 1.0, 3))
    assert paces(read(journal(tmp_path, START, epoch(2, 7.0, 3)))) == ()


@pytest.mark.parametrize(
    ("second", "left"),
    [
        (epoch(2, None, 6), [1, 4]),
        (epoch(2, 1.0, 6), [1, 3, 4]),  # before the first ended
        (epoch(2, 4.0, 6), [1, 2, 3, 4]),  # in no time
        (epoch(2, 5.0, None), [1, 2, 4]),
    ],
)
def test_what_makes_no_sense_is_left_out(tmp_path: Path, second: dict[str, object], left: list[int]) -> None:
    run = journal(tmp_path, START, epoch(1, 4.0, 6), second, epoch(3, 8.0, 3), epoch(4, 9.0, 3))
    assert [pace.epoch for pace in paces(read(run))] == left


def test_an_epoch_of_fewer_steps_than_the_one_before_is_left_out(tmp_path: Path) -> None:
    run = journal(tmp_path, START, epoch(1, 4.0, 6), epoch(2, 7.0, 3), epoch(3, 7.5, 3, step=25))
    assert [pace.epoch for pace in paces(read(run))] == [1, 2]
    # steps that are not known are no fewer
    run = journal(tmp_path, START, *(epoch(number, 4.0 * number, 6, step=None) for number in (1, 2, 3)))
    assert [pace.epoch for pace in paces(read(run))] == [1, 2, 3]


def test_nothing_is_told_of_a_run_without_a_search(tmp_path: Path) -> None:
    assert paces(read(journal(tmp_path))) == ()
    assert paces(read(journal(tmp_path, epoch(1, 4.0, None, stage="train"), epoch(2, 5.0, None, stage="train")))) == ()


def test_medians_are_of_the_most_and_of_the_fewest_paths() -> None:
    found = [Pace(1, 9.0, 8), Pace(2, 4.0, 8), Pace(3, 5.0, 8), Pace(4, 100.0, 4), Pace(5, 1.0, 3), Pace(6, 2.0, 3)]
    assert medians(found) == ((8, 5.0), (3, 1.5))
    assert medians(found[:2]) == ((8, 6.5),)
    assert medians([]) == ()


@pytest.mark.parametrize("width", [368, 720])
def test_bars_end_at_their_epochs_and_rounds_are_dashed(tmp_path: Path, width: int) -> None:
    events = [START, epoch(1, 4.0, 4), prune(1, 10), epoch(2, 6.0, 4), prune(2, 15), prune(1, 5, "train")]
    svg = draw_pace(read(journal(tmp_path, *events)), width=width, name="a")
    root = ElementTree.fromstring(svg)
    assert (root.attrib["width"], root.attrib["height"]) == (str(width), "200")
    assert "4 seconds with 8 live paths, 2 seconds with 4 live paths. 2 epochs, 2 prune rounds." in root.attrib["aria-label"]
    first, second = (outline(path) for path in styled(root, "fill: var(--search)"))
    assert first[1][0] - first[0][0] == pytest.approx(second[1][0] - second[0][0])  # an epoch wide
    assert first[1][0] == pytest.approx(second[0][0])
    assert first[0][1] - first[2][1] == pytest.approx(2 * (second[0][1] - second[2][1]))  # 4 s and 2 s high
    dashed = [outline(path)[0][0] for path in styled(root, "stroke-dasharray")]
    assert dashed == pytest.approx([first[1][0], (second[0][0] + second[1][0]) / 2])  # after 1 and 1.5 epochs


@pytest.mark.parametrize(
    ("seconds", "unit"),
    [(0.0, "seconds"), (119.0, "seconds"), (120.0, "minutes"), (7199.0, "minutes"), (7200.0, "hours")],
)
def test_the_unit_fits_the_longest_epoch(tmp_path: Path, seconds: float, unit: str) -> None:
    svg = draw_pace(read(journal(tmp_path, START, epoch(1, seconds, 8))), width=368, name="a")
    assert f">search: {unit} per epoch<" in svg


def test_the_table_can_tell_without_matplotlib() -> None:
    code = "import sys, lnas.report.table; assert 'lnas.report.pace' in sys.modules and 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)


def styled(root: ElementTree.Element, style: str) -> list[ElementTree.Element]:
    return [path for path in root.iter("{http://www.w3.org/2000/svg}path") if style in path.attrib.get("style", "")]


def outline(path: ElementTree.Element) -> list[tuple[float, float]]:
    """The corners of a path: for a bar from its lower left one on, to the right."""
    numbers = [float(word) for word in path.attrib["d"].split() if word not in "MLz"]
    return list(zip(numbers[::2], numbers[1::2], strict=True))
