from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.axes import Axes

from lnas.report.sweep_courses import Curve, Panel, _apart, draw_panel, panels
from lnas.sweep.results import Results, Row, TrialResult

BASELINE, FIRST, SECOND = (
    Row("baseline", "baseline"),
    Row("variant1 p=0.5", "variant1", 0.5),
    Row("variant2 p=0.5", "variant2", 0.5),
)


def sweep(*pairs: tuple[Row, tuple[tuple[float, ...], ...]]) -> Results:
    trials = tuple(
        TrialResult(f"{row.label}-{seed}", row.label, seed, "finished", course=course)
        for row, courses in pairs
        for seed, course in enumerate(courses)
    )
    return Results("s", tuple(row for row, _ in pairs), trials)


def test_a_curve_is_the_mean_over_the_seeds_of_the_running_best_and_of_the_epoch() -> None:
    ((curve,),) = [panel.levels for panel in panels(sweep((FIRST, ((0.5, 0.25, 0.75), (0.25, 0.5, 0.25)))))]
    assert curve.own == (0.375, 0.375, 0.5)
    assert curve.best == (0.375, 0.5, 0.625)  # of 0.5 0.5 0.75 and 0.25 0.5 0.5
    assert curve.seeds == 2


def test_a_curve_ends_with_the_shortest_of_its_seeds() -> None:
    ((curve,),) = [panel.levels for panel in panels(sweep((FIRST, ((0.5, 0.6), (0.7,), ()))))]
    assert (curve.best, curve.seeds) == ((0.6,), 2)


def test_each_recipe_has_a_panel_and_the_baseline_is_in_all() -> None:
    found = panels(sweep((BASELINE, ((0.9,),)), (FIRST, ((0.5,),)), (SECOND, ((0.6,),))))
    assert [(panel.title, len(panel.levels), len(panel.baselines)) for panel in found] == [("variant1", 1, 1), ("variant2", 1, 1)]
    assert [panel.title for panel in panels(sweep((BASELINE, ((0.9,),))))] == ["baseline"]
    assert panels(sweep((FIRST, ()))) == ()


def test_the_drawing_has_a_line_for_both_and_names_the_sparsity_at_its_end() -> None:
    (panel,) = panels(sweep((BASELINE, ((0.8, 0.9),)), (FIRST, ((0.5, 0.25),))))
    svg = draw_panel(panel, name="p")
    root = ElementTree.fromstring(svg)
    label = root.attrib["aria-label"]
    assert "baseline ends at 90.00, its highest is 90.00 (n = 1), 0.5 ends at 25.00, its highest is 50.00 (n = 1)" in label
    words = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"variant1, n = 1", "0.5", "baseline", "epoch of the training"} <= set(words)


def test_the_strong_line_is_the_course_and_the_faint_one_the_highest_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[list[float], float, float]] = []
    plot = Axes.plot

    def noted(axes: Axes, *points: Any, **looks: Any) -> Any:
        if "transform" not in looks:
            drawn.append((list(points[1]), looks["linewidth"], looks.get("alpha", 1.0)))
        return plot(axes, *points, **looks)

    monkeypatch.setattr(Axes, "plot", noted)
    (panel,) = panels(sweep((BASELINE, ((0.9, 0.8),)), (FIRST, ((0.5, 0.25),))))
    draw_panel(panel, name="p")
    baseline_best, baseline, best, course = drawn
    assert (baseline_best[0], baseline[0]) == ([0.9, 0.9], [0.9, 0.8])
    assert (best[0], course[0]) == ([0.5, 0.5], [0.5, 0.25])
    for strong, faint in ((baseline, baseline_best), (course, best)):
        assert strong[1] > faint[1] and strong[2] > faint[2]


def test_one_epoch_is_drawn_and_of_many_levels_some_are_named() -> None:
    curves = tuple(Curve(f"0.{index:03}", index / 50, (0.5,), (0.5,), 1) for index in range(50))
    root = ElementTree.fromstring(draw_panel(Panel("many", "#010101", curves, ()), name="p"))
    names = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text") if (text.text or "").startswith("0.")]
    assert 10 < len(names) <= 18


@pytest.mark.parametrize(
    ("places", "moved"),
    [([], []), ([5], [5]), ([0, 50], [0, 50]), ([0, 1, 2], [0, 10, 20]), ([98, 99, 100], [80, 90, 100]), ([50, 55], [50, 60])],
)
def test_names_are_moved_apart_and_stay_inside(places: list[float], moved: list[float]) -> None:
    assert _apart(places, 10, 100) == moved
