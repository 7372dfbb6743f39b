import re
from xml.etree import ElementTree

from lnas.report.sweep_front import Point, draw_front, front, placed
from lnas.report.sweep_numbers import accuracy
from lnas.report.sweep_table import COST_QUANTITIES
from lnas.sweep.results import Results, Row, TrialResult

PARAMETERS = COST_QUANTITIES[0]


def point(cost: float, height: float, *, control: bool = False) -> Point:
    return Point(f"{cost} {height}", "", cost, height, 1, "#010101", "o", control)


def trial(row: str, seed: int, test: float | None, parameters: int | None) -> TrialResult:
    return TrialResult(f"{row}-{seed}", row, seed, "finished", test=test, parameters=parameters)


def sweep(*rows: Row, trials: tuple[TrialResult, ...]) -> Results:
    return Results("s", rows, trials)


def test_the_front_is_what_nothing_beats() -> None:
    found = [point(cost, height) for cost, height in ((3, 0.7), (1, 0.5), (2, 0.4), (4, 0.7), (5, 0.9), (1, 0.3))]
    assert [(one.cost, one.accuracy) for one in front(found)] == [(1, 0.5), (3, 0.7), (5, 0.9)]


def test_the_front_is_that_of_the_definition_whatever_the_points() -> None:
    grid = [(cost, (7 * cost + 3 * index) % 5) for index, cost in enumerate((1, 2, 2, 3, 3, 4, 5, 5, 6))]
    found = [point(*pair) for pair in grid]

    def beaten(one: Point) -> bool:
        return any(
            other.cost <= one.cost and other.accuracy >= one.accuracy and (other.cost, other.accuracy) != (one.cost, one.accuracy)
            for other in found
        )

    assert sorted(map(repr, front(found))) == sorted(repr(one) for one in found if not beaten(one))


def test_two_rows_that_are_equal_are_both_on_the_front_and_a_control_never_is() -> None:
    assert len(front([point(1, 0.5), point(1, 0.5)])) == 2
    assert front([point(1, 0.9, control=True)]) == ()


def test_a_point_is_the_mean_of_the_seeds_that_have_both() -> None:
    rows = (Row("baseline", "baseline"), Row("v p=0.5", "v", 0.5), Row("v p=0.5 reinit", "v", 0.5, "reinit", "v p=0.5"))
    trials = (
        *(trial("baseline", 0, 0.8, 100), trial("baseline", 1, 0.9, 200), trial("baseline", 2, None, 600)),
        *(trial("v p=0.5", 0, 0.7, 50), trial("v p=0.5", 1, float("nan"), 70)),
        trial("v p=0.5 reinit", 0, 0.6, 50),
    )
    results = sweep(*rows, trials=trials)
    found = placed(results, accuracy(results), PARAMETERS)
    assert [(one.name, one.cost, round(one.accuracy, 12), one.n, one.control) for one in found] == [
        ("baseline", 150, 0.85, 2, False),
        ("0.5", 50, 0.7, 1, False),
        ("reinit", 50, 0.6, 1, True),
    ]


def test_the_drawing_names_its_points_and_tells_the_front_in_words() -> None:
    rows = tuple(Row(f"v p={p}", "v", p) for p in (0.25, 0.5, 0.75))
    measured = ((0.5, 900), (0.8, 100), (0.7, 50))
    results = sweep(*rows, trials=tuple(trial(row.label, 0, *pair) for row, pair in zip(rows, measured, strict=True)))
    root = ElementTree.fromstring(draw_front(results, accuracy(results), PARAMETERS, name="f"))
    label = root.attrib["aria-label"]
    assert label.endswith("On the Pareto front: v p=0.75 (70.00 at 50, n = 1), v p=0.5 (80.00 at 100, n = 1).")
    words = [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"0.25", "0.5", "0.75"} <= set(words)
    assert {"100", "200", "500"} <= set(words)  # 18 times as much at one end: the axis is logarithmic


def test_names_that_have_no_place_are_left_out_and_those_of_the_front_come_first() -> None:
    rows = tuple(Row(f"v p=0.{index:02}", "v", index / 100) for index in range(1, 61))
    trials = tuple(trial(row.label, 0, 0.9 - 0.0001 * index, 1000 + index) for index, row in enumerate(rows))
    results = sweep(*rows, trials=trials)
    svg = draw_front(results, accuracy(results), PARAMETERS, name="f")
    names = re.findall(r">(0\.\d+)</text>", svg)
    assert "0.01" in names and len(names) < 60 and len(names) == len(set(names))


def test_any_scale_is_drawn() -> None:
    for first, second in ((0, 10**15), (1, 10**15), (1, 1)):
        rows = (Row("a", "a", 0.5), Row("b", "b", 0.5))
        results = sweep(*rows, trials=(trial("a", 0, 0.0, first), trial("b", 0, 0.0, second)))
        assert draw_front(results, accuracy(results), PARAMETERS, name="f").startswith("<svg")
