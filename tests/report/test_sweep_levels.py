import re
from xml.etree import ElementTree

import pytest

from lnas.report.sweep_levels import draw_levels, has_levels, not_drawn
from lnas.report.sweep_numbers import Quantity, accuracy
from lnas.sweep.results import Results, Row, TrialResult

SVG = "{http://www.w3.org/2000/svg}"
BASELINE = Row("baseline", "baseline")
LEVELS = tuple(Row(f"v p={p}", "v", p) for p in (0.25, 0.5, 0.75))


def sweep(*measured: tuple[Row, tuple[float, ...]]) -> Results:
    trials = tuple(
        TrialResult(f"{row.label}-{seed}", row.label, seed, "finished", test=value)
        for row, values in measured
        for seed, value in enumerate(values)
    )
    return Results("s", tuple(row for row, _ in measured), trials)


def drawn(results: Results, width: int = 720) -> tuple[str, ElementTree.Element]:
    svg = draw_levels(results, accuracy(results), width=width, name="l")
    return svg, ElementTree.fromstring(svg)


@pytest.mark.parametrize("width", [368, 720])
def test_every_seed_is_a_dot_and_the_words_are_the_means(width: int) -> None:
    levels = zip(LEVELS, ((0.8, 0.9), (0.7, 0.8), (0.5, 0.7)), strict=True)
    _, root = drawn(sweep((BASELINE, (0.9, 0.92)), *levels), width)
    assert root.attrib["width"] == str(width)
    assert "v: 85.00 (n = 2) at 0.25, 75.00 (n = 2) at 0.5, 60.00 (n = 2) at 0.75" in root.attrib["aria-label"]
    assert "baseline: 91.00 (n = 2) without pruning" in root.attrib["aria-label"]
    faint = [use for use in root.iter(f"{SVG}use") if "opacity: 0.4" in use.attrib.get("style", "")]
    assert len(faint) == 6
    assert {"baseline", "v", "sparsity: part that is removed", "0.25", "0.75"} <= {text.text for text in root.iter(f"{SVG}text")}


def test_a_row_of_one_seed_has_no_band() -> None:
    one, _ = drawn(sweep((BASELINE, (0.9,)), *((row, (0.8,)) for row in LEVELS)))
    two, _ = drawn(sweep((BASELINE, (0.9, 0.8)), *((row, (0.8, 0.7)) for row in LEVELS)))
    assert "opacity: 0.15" not in one and "opacity: 0.2" not in one
    assert two.count("opacity: 0.15") == 2  # one along the line, one across


def test_a_band_has_a_gap_where_a_row_has_one_seed() -> None:
    five = (*LEVELS, Row("v p=0.9", "v", 0.9), Row("v p=0.95", "v", 0.95))
    whole, gap = (
        drawn(sweep(*((row, (0.8, 0.7) if row.sparsity != alone else (0.8,)) for row in five)))[1] for alone in (None, 0.75)
    )
    assert [sum("opacity: 0.15" in path.attrib.get("style", "") for path in root.iter()) for root in (whole, gap)] == [1, 2]


def test_no_tick_of_accuracies_is_below_0_or_above_100() -> None:
    _, root = drawn(sweep((LEVELS[0], (0.98, 0.97, 0.98)), (LEVELS[1], (0.12, 0.21, 0.76))))  # Student's: 0.36 ± 0.86
    ticks = [float(word.removesuffix(" %")) for text in root.iter(f"{SVG}text") if (word := text.text or "").endswith(" %")]
    assert (min(ticks), max(ticks)) == (0, 100)


def test_a_wide_interval_does_not_make_the_dots_too_small() -> None:
    _, root = drawn(sweep((LEVELS[0], (0.80, 0.82)), (LEVELS[1], (0.8, 0.8))))  # Student's: 0.81 ± 0.127
    ticks = [float(word.removesuffix(" %")) for text in root.iter(f"{SVG}text") if (word := text.text or "").endswith(" %")]
    assert min(ticks) >= 77 and max(ticks) <= 85


def test_controls_are_in_no_line_and_rows_without_one_sparsity_are_told() -> None:
    control = Row("v p=0.25 reinit", "v", 0.25, "reinit", "v p=0.25")
    free = Row("w", "w")
    results = sweep((LEVELS[0], (0.8,)), (control, (0.1,)), (free, (0.7,)))
    svg, _ = drawn(results)
    assert "10.00" not in svg
    assert not_drawn(results, accuracy(results)) == (free,)


def test_there_is_nothing_to_draw_without_a_sparsity_or_a_value() -> None:
    quantity = Quantity("time", lambda trial: trial.search_seconds, str, str)
    baseline, level = sweep((BASELINE, (0.9,))), sweep((LEVELS[0], (0.9,)))
    assert not has_levels(baseline, accuracy(baseline))
    assert not has_levels(level, quantity) and has_levels(level, accuracy(level))


def test_many_recipes_are_drawn_and_twelve_are_named() -> None:
    results = sweep(*((Row(f"r{index} p=0.5", f"r{index}", 0.5), (0.5,)) for index in range(30)))
    svg, _ = drawn(results, 368)
    assert len(re.findall(r">r\d+</text>", svg)) == 12
