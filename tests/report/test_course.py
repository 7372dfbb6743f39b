import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lnas.core.errors import RunError
from lnas.report.course import courses, draw_course
from lnas.report.page import render
from lnas.report.read import read

MakeRun = Callable[..., Path]
OPERATIONS = ["none", "skip_connect", "sep_conv_3x3", "dil_conv_3x3"]
CELL = {"edges": [[0, 2], [1, 2]], "operations": OPERATIONS}
CHOICE = {"edges": [[0, 1]], "operations": OPERATIONS[:3]}


def diagnosis(
    free: int, *entropy: float, still: list[int | None], architecture: int, collapsed: bool = False
) -> dict[str, object]:
    return {
        **{"operations": 4, "parameter_free": free, "edges": 2, "without_weights": [[0, 2]] * free, "collapsed": collapsed},
        **{"architecture_still": architecture, "entropy": list(entropy), "normalised_entropy": [None], "ranking_still": still},
    }


def journal(run: Path, *diagnoses: dict[str, object], space: dict[str, object] | None = None, prune: int = 0) -> Path:
    rows: list[dict[str, object]] = [{"event": "start", "stage": "search", "space": space or {"normal": CELL}}]
    for number, found in enumerate(diagnoses, 1):
        rows.append({"event": "epoch", "stage": "search", "epoch": number, "step": 10 * number, "diagnosis": found})
        if prune == number:
            what = {"round": 1, "step": 10 * number - 5, "target": "alpha", "asked": 0.5, "attained": 0.5}
            rows.append({"event": "prune", "stage": "search", **what})
    run.mkdir(exist_ok=True)
    (run / "config.toml").touch()
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


THREE = [
    {"normal": diagnosis(1, 1.2, 0.8, still=[0, 0], architecture=0)},
    {"normal": diagnosis(3, 1.0, 0.5, still=[1, 0], architecture=0, collapsed=True)},
    {"normal": diagnosis(2, 0.9, 0.0, still=[2, None], architecture=1, collapsed=True)},
]


def test_a_group_is_told_in_words(tmp_path: Path) -> None:
    (course,) = courses(read(journal(tmp_path, *THREE, prune=2)))
    assert course.entropies == ((1.0, 0.8, 1.2), (0.75, 0.5, 1.0), (0.45, 0.0, 0.9))
    assert (course.free, course.most, course.rounds) == (((1, 4), (3, 4), (2, 4)), math.log(4), (1.5,))
    assert (course.since, course.collapsed_epochs) == (2, 2)
    assert course.sentences() == (
        "Entropy of an edge: 1.000 nats on the average after the first epoch, 0.450 at the end (from 0.000 to 0.900);"
        " an even choice of all operations would have 1.386.",
        "Parameter-free: 2 of 4 operations at the end; the most were 3, after epoch 2.",
        "The architecture has stood still for 1 epoch.",
        "The ranking of the operations on its edges has stood still for 2 epochs.",
    )


def test_single_choices_are_told_together(tmp_path: Path) -> None:
    def choice(free: int, entropy: float, architecture: int) -> dict[str, object]:
        return {**diagnosis(free, entropy, still=[architecture], architecture=architecture), "operations": 1, "edges": 1}

    space: dict[str, object] = {"normal": CELL, "a.0": CHOICE, "a.1": CHOICE}
    run = journal(tmp_path, {**THREE[0], "a.0": choice(1, 1.0, 5), "a.1": choice(0, 0.5, 0)}, space=space)
    normal, together = courses(read(run))
    assert (normal.name, together.name, together.most) == ("normal", "2 choices", math.log(3))
    assert (together.entropies, together.free) == (((0.75, 0.5, 1.0),), ((1, 2),))
    assert together.sentences()[-2:] == (
        "The architecture changed in the last epoch.",
        "The ranking of the operations on its edges changed in the last epoch.",
    )
    (alone,) = courses(read(journal(tmp_path / "one", {"a.0": choice(1, 1.0, 5)}, space={"a.0": CHOICE})))
    assert alone.name == "a.0"


def test_the_drawing_has_a_bar_an_epoch_and_a_line_where_alpha_is_learned(tmp_path: Path) -> None:
    (course,) = courses(read(journal(tmp_path, *THREE, prune=2)))
    drawing = draw_course(course, name="c")
    root = ElementTree.fromstring(drawing)
    assert root.attrib["aria-label"].startswith("normal: Entropy of an edge: 1.000 nats")
    assert drawing.count("var(--free)") == 1 and len(re.findall(r"fill: var\(--pruned\)", drawing)) == 2  # a bar, two collapsed
    assert "var(--search)" in drawing and float(root.attrib["height"]) == 250

    bare = [{"normal": {k: v for k, v in found["normal"].items() if k not in ("entropy", "ranking_still")}} for found in THREE]  # type: ignore[attr-defined]
    (random,) = courses(read(journal(tmp_path, *bare)))
    assert len(random.sentences()) == 2
    lower = draw_course(random, name="c")
    assert "var(--search)" not in lower and float(ElementTree.fromstring(lower).attrib["height"]) == 130


def test_a_run_of_before_is_shown_without_it(make_run: MakeRun) -> None:
    assert courses(read(make_run("generalized"))) == ()
    assert 'id="course"' not in render(make_run("generalized", name="again"))


def test_the_page_says_that_a_search_has_collapsed_and_what_to_do(tmp_path: Path) -> None:
    page = render(journal(tmp_path, *THREE))
    assert page.count("The search has collapsed in normal:") == 1 and "--strategy robust-darts" in page
    assert "from epoch 2 on" in page and "How the search went" in page
    assert "has collapsed" not in render(journal(tmp_path, THREE[0]))
    assert "has collapsed" not in render(journal(tmp_path, *THREE, THREE[0]))  # it went by


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "[/x]", "\x1b[31mred", "$x$ & y", "a\u202eb", "é" * 300])
def test_the_name_of_a_group_is_escaped(tmp_path: Path, name: str) -> None:
    found = [{name: epoch["normal"]} for epoch in THREE]
    page = render(journal(tmp_path, *found, space={name: CELL}))
    assert "<script" not in page and "\x1b" not in page and "\u202e" not in page
    ElementTree.fromstring(draw_course(courses(read(tmp_path))[0], name="c"))
    assert "The search has collapsed in " in page


@pytest.mark.parametrize(
    ("field", "value"), [("entropy", ["x"]), ("ranking_still", [1.5]), ("parameter_free", []), ("without_weights", [[1]])]
)
def test_a_diagnosis_that_is_none_is_refused_by_line(tmp_path: Path, field: str, value: object) -> None:
    broken = {"normal": {**diagnosis(1, 1.0, still=[0], architecture=0), field: value}}
    with pytest.raises(RunError, match=rf"metrics.jsonl line 2: diagnosis.normal.{field}"):
        courses(read(journal(tmp_path, broken)))


def test_numbers_that_say_nothing(tmp_path: Path) -> None:
    (course,) = courses(read(journal(tmp_path, {"normal": diagnosis(1, 1e18, 0.0, still=[0], architecture=0)})))
    draw_course(course, name="c")
    run = journal(tmp_path, {"normal": {"entropy": [], "ranking_still": []}})
    assert courses(read(run)) == ()
