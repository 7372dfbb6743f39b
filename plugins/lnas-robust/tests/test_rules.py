"""The rules, on series that one can read."""

import pytest
import torch
from lnas_robust.rules import before_the_rise, ranking, skip_connections
from lnas_robust.series import Series

import lnas

SERIES = [1.0, 1.1, 0.9, 1.0, 1.0, 1.0, 1.2, 1.3, 1.4, 1.5, 2.0, 3.0, 5.0]


def first_stop(series: list[float], window: int, ratio: float) -> tuple[int, int] | None:
    """The number of measurements at which the rule stops, and the measurement that it goes back to."""
    for count in range(1, len(series) + 1):
        back = before_the_rise(series[:count], window, ratio)
        if back is not None:
            return count, back
    return None


def test_the_rule_on_a_written_down_series() -> None:
    """With a window of 3: means of 3 around each measurement, from measurement 1 on, are

    1.0, 1.0, 0.967, 1.0, 1.067, 1.167, 1.3, 1.4, 1.633, 2.167, 3.333.  Three apart, 1.167 / 1.633 = 0.714 is the first ratio
    below 0.75: m(6) against m(9), which is known with measurement 10.  1.3 / 1.633 would be another pair.
    """
    assert first_stop(SERIES, 3, 0.75) == (11, 6)
    assert first_stop(SERIES, 3, 0.7) == (12, 7), "1.3 / 2.167 = 0.6"
    assert first_stop(SERIES, 3, 0.5) == (13, 8), "1.4 / 3.333 = 0.42"
    assert first_stop(SERIES, 3, 0.4) is None
    assert first_stop(SERIES, 3, 0.0) is None


def test_the_rule_of_the_paper_waits_for_ten_measurements() -> None:
    """Five flat, five at 1.3 of them: 1 / 1.3 = 0.769 goes on; at 1.4, 0.714 stops, at the middle of the first five."""
    assert first_stop([1.0] * 5 + [1.3] * 5, 5, 0.75) is None
    assert first_stop([1.0] * 5 + [1.4] * 5, 5, 0.75) == (10, 2)
    assert first_stop([1.0] * 9 + [1e9], 5, 0.75) == (10, 2)
    assert first_stop([1.0] * 4 + [1e9] * 5, 5, 0.75) is None, "nine say nothing"


def test_windows_of_any_length() -> None:
    assert first_stop([1.0, 1.2, 2.0], 1, 0.75) == (3, 1)
    assert first_stop([1.0, 1.0, 1.0, 1.5, 1.5], 2, 0.75) == (5, 2), "m = 1, 1, 1.25, 1.5; two apart, 1 / 1.5"


def test_magnitudes_are_compared() -> None:
    assert first_stop([-1.0, -1.2, -2.0], 1, 0.75) == (3, 1)
    assert first_stop([-1.0, 1.0, -1.0, 1.0], 1, 0.75) is None
    assert first_stop([-2.0, -1.5, -1.0, -0.5], 1, 0.75) is None
    assert first_stop([0.0, 0.0, 0.0], 1, 0.75) is None


def test_skip_connections_of_one_cell() -> None:
    genes = (lnas.Gene("skip_connect", 0, 2), lnas.Gene("sep_conv_3x3", 1, 2), lnas.Gene("skip_connect", 2, 3))
    genotype = lnas.Genotype({"normal": genes, "reduce": genes[:2]})
    assert skip_connections(genotype, "normal") == 2
    assert skip_connections(genotype, "reduce") == 1


def test_the_ranking_is_of_live_paths() -> None:
    alpha = {"cell": torch.tensor([[0.1, 0.3, 0.2], [0.0, 0.0, 0.0], [-1.0, -2.0, -3.0]])}
    alive = {"cell": torch.tensor([[True, True, True], [False, False, False], [False, True, True]])}
    assert ranking(alpha, alive) == [[[1, 2, 0], [], [1, 2]]]


def test_a_series_counts_how_long_a_ranking_holds_and_begins_anew_when_a_path_dies() -> None:
    series = Series(4)
    alive = {"cell": torch.ones(1, 3, dtype=torch.bool)}
    rows = [[0.1, 0.2, 0.3], [0.0, 0.2, 0.9], [0.0, 0.3, 0.4], [0.5, 0.1, 0.2], [0.5, 0.1, 0.3]]
    counts = []
    for index, row in enumerate(rows):
        series.add(float(index), {"cell": torch.tensor([row])}, alive)
        counts.append(series.unchanged)
    assert counts == [0, 1, 2, 0, 1]
    assert series.eigenvalues == [1.0, 2.0, 3.0, 4.0], "four are kept"
    assert [alpha["cell"][0].tolist() for alpha in series.alphas] == [pytest.approx(row) for row in rows[1:]]
    alive["cell"][0, 1] = False
    series.add(9.0, {"cell": torch.tensor([[0.5, 0.0, 0.3]])}, alive)
    assert series.eigenvalues == [9.0]
    assert series.unchanged == 0
    assert len(series.alphas) == 1
