import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from lnas.core.errors import RunError
from lnas.report.pace import Pace
from lnas.report.table import duration, rich_table, rows

SUMMARY = {
    "schema": 1,
    "run": "runs/a",
    "recipe": "generalized",
    "accuracy": {"validation": 0.98125, "test": 0.9744},
    "baseline": {"validation": 0.9833, "what": "the same network before pruning, after 200 steps"},
    "sparsity": {"alpha": {"target": 0.95, "attained": 0.875}, "theta": {"target": 0.5, "attained": 0.50000012}},
    "parameters": {"total": 334942, "nonzero": 167471},
    "macs": {"dense": 4_000_000, "nonzero": 1_000_000, "structural": 3_000_000},
    "latency": {"ms": 3.4567, "device": "cpu", "threads": 1, "batch": 1, "repeats": 20},
    "seconds": {"search": 41.23, "train": 3725.0},
    "costs": {"energy,unit=J": 1234.5678, "broken": None},
    "strategy": "gdas,temperature=5",
    "space": "cells,channels=8",
    "digest": "sha256:0123456789abcdef",
}


def printed(summary: dict[str, object], paces: Sequence[Pace] = ()) -> str:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system="truecolor")
    console.print(rich_table(summary, paces))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_figure_has_its_row() -> None:
    assert rows(SUMMARY) == (
        ("Accuracy, test", "97.44 %"),
        ("Accuracy, validation", "98.12 %"),
        ("Baseline, validation", "98.33 % (the same network before pruning, after 200 steps)"),
        ("Sparsity of alpha", "0.95 asked, 0.875 attained"),
        ("Sparsity of theta", "0.5 asked, 0.5 attained"),
        ("Parameters, total", "334,942"),
        ("Parameters, non-zero", "167,471 (50.00 %)"),
        ("Multiply-adds, dense", "4,000,000"),
        ("Multiply-adds, non-zero", "1,000,000 (25.00 %)"),
        ("Multiply-adds, structural", "3,000,000 (75.00 %)"),
        ("Latency", "3.46 ms (batch of 1, cpu, 1 thread, median of 20)"),
        ("Cost, energy,unit=J", "1,234.57"),
        ("Cost, broken", "could not be measured"),
        ("Time, search", "41.2 s"),
        ("Time, train", "1 h 2 min"),
        ("Strategy", "gdas,temperature=5"),
        ("Space", "cells,channels=8"),
        ("Digest", "sha256:0123456789ab"),
    )


def test_what_is_not_known_has_no_row() -> None:
    assert rows({}) == ()
    assert rows({"baseline": None, "accuracy": {"test": 1.0}, "seconds": {"train": 1}}) == (
        ("Accuracy, test", "100.00 %"),
        ("Time, train", "1.0 s"),
    )


@pytest.mark.parametrize(
    ("paces", "words"),
    [
        ([(8.0, 224), (8.1, 224), (9.9, 224), (5.0, 112), (1.9, 28)], "8.1 s with 224 live paths, 1.9 s with 28"),
        ([(61.0, 1120), (0.0123, 1120), (0.0123, 1)], "30.5 s with 1,120 live paths, 0.012 s with 1"),
        ([(125.0, 1)], "2 min 5 s with 1 live path"),
    ],
)
def test_the_time_per_epoch_stands_below_that_of_the_search(paces: list[tuple[float, int]], words: str) -> None:
    epochs = [Pace(epoch, seconds, live_paths) for epoch, (seconds, live_paths) in enumerate(paces, start=1)]
    before = rows(SUMMARY)
    row = ("Time per epoch, search", words)
    below = 1 + [label for label, _ in before].index("Time, search")
    assert rows(SUMMARY, epochs) == (*before[:below], row, *before[below:])
    assert rows({}, epochs) == (row,)
    assert words in printed(SUMMARY, epochs)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 0 s"), (3599.6, "1 h 0 min"), (18720, "5 h 12 min")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_terminal_shows_the_same_rows() -> None:
    text = printed(SUMMARY)
    assert "runs/a · generalized" in text
    assert all(label in text and value in text for label, value in rows(SUMMARY))


def test_nothing_of_a_run_is_markup_on_the_terminal() -> None:
    words = "[/x] [bold]b[/bold] \x1b[31mred :smile:"
    shown = "[/x] [bold]b[/bold] red :smile:"
    summary = {
        "run": words,
        "recipe": words,
        "sparsity": {words: {"target": 0.5, "attained": 0.5}},
        "latency": {"ms": 1, "device": words},
    }
    text = printed(summary)
    assert text.count(shown) == 4
    assert "\x1b[31m" not in text


def test_a_mapping_that_is_no_summary_is_refused() -> None:
    with pytest.raises(RunError, match=r"summary: macs\.structural: Field required"):
        rows({"macs": {"dense": 1, "nonzero": 1}})


COLLAPSE = {"operations": 8, "parameter_free": 6, "edges": 8, "edges_without_weights": 6, "share": 0.75}


def test_a_collapsed_search_has_a_row_in_red() -> None:
    summary: dict[str, object] = {"collapse": {"normal": {**COLLAPSE, "since": 7}, "[/x]\x1b[2J": {**COLLAPSE, "since": None}}}
    assert rows(summary) == (
        ("Warning, collapsed", "normal: 6 of 8 edges have no weights, since search epoch 7"),
        ("Parameter-free operations", "6 of 8 in normal, 6 of 8 in [/x]"),
    )
    (red,) = (line for line in printed(summary).splitlines() if "Warning, collapsed" in line)
    assert "\x1b[1;31mWarning, collapsed" in red and "\x1b[1;31m" not in printed(summary).replace(red, "")


def test_a_search_that_has_not_collapsed_has_a_row_of_its_operations_alone() -> None:
    assert rows({"collapse": {"normal": {**COLLAPSE, "since": None}}}) == (("Parameter-free operations", "6 of 8 in normal"),)
    assert rows({"collapse": {}}) == rows({"collapse": None}) == ()


def test_a_run_that_is_not_exact_has_a_row_in_yellow() -> None:
    row = ("Not exact", "resumed on another torch, device or number of threads or processes")
    assert rows({"exact": False}) == (row,)
    assert rows({"exact": True}) == rows({"exact": None}) == ()
    assert "\x1b[33mNot exact" in printed({"exact": False})
