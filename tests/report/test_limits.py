"""A report of any run is written in seconds: what is too large to look at is not drawn, and says so."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from lnas.core.errors import RunError
from lnas.report.page import render
from lnas.report.read import read


def run(place: Path, *events: dict[str, Any], **files: object) -> Path:
    (place / "config.toml").write_text("seed = 0\n")
    (place / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    for name, document in files.items():
        (place / f"{name}.json").write_text(json.dumps(document))
    return place


def search(groups: int, edges: int, operations: int) -> list[dict[str, Any]]:
    names = [f"g{number}" for number in range(groups)]
    space = {name: {"edges": [[0, 1]] * edges, "operations": [f"o{index}" for index in range(operations)]} for name in names}
    alpha = {name: [[1 / operations] * operations] * edges for name in names}
    return [
        {"event": "start", "stage": "search", "space": space},
        {"event": "epoch", "stage": "search", "epoch": 1, "alpha": alpha},
    ]


@pytest.mark.parametrize(("groups", "edges", "left_out"), [(1, 1000, 1), (8, 1, 3), (1, 20, 0)])
def test_paths_beyond_a_limit_are_not_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: int, edges: int, left_out: int
) -> None:
    monkeypatch.setattr("lnas.report.page._MOST_ROWS", 200)  # of 3000
    html = render(run(tmp_path, *search(groups, edges, 4)))
    assert html.count("Too large to draw.") == left_out
    assert html.count('aria-label="Path probabilities of') == groups - left_out


def test_many_prune_rounds_are_drawn_soon(tmp_path: Path) -> None:
    epoch = {"event": "epoch", "stage": "train", "epoch": 1, "step": 10, "validation_accuracy": 0.5}
    prune = {"event": "prune", "stage": "train", "target": "theta", "asked": 0.5, "attained": 0.5}
    began = time.process_time()
    render(run(tmp_path, epoch, *({**prune, "round": number, "step": number} for number in range(5000))))
    assert time.process_time() - began < 15  # 60 s for 20,000, each with a line of its own


def test_many_groups_and_genes_are_read_soon(tmp_path: Path) -> None:
    many = {f"g{number}": {"genes": [["a", 0, 999]], "output": [999]} for number in range(200)}
    html = render(run(tmp_path, genotype={"schema": 1, "groups": many}))
    assert html.count("Too large to draw.") == 200


HUGE = {"event": "epoch", "stage": "train", "epoch": 10**18, "step": 10**18, "seconds": 1e18, "validation_accuracy": -1e18}


def test_the_largest_numbers_are_drawn(tmp_path: Path) -> None:
    prune = {"event": "prune", "stage": "train", "round": 1, "step": 10**18, "target": "t", "asked": -1e18, "attained": 1e18}
    assert "</html>" in render(run(tmp_path, HUGE, {**prune, "layers": {"a": -1e18, "b": 1e18}}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epoch", 10**18 + 1),
        ("epoch", -1),
        ("step", 10**30),
        ("seconds", 1e19),
        ("validation_accuracy", -1e19),
        ("epoch", "x"),
        ("epoch", 1.5),
    ],
)
def test_larger_ones_are_refused(tmp_path: Path, field: str, value: object) -> None:
    with pytest.raises(RunError, match=rf"metrics\.jsonl line 1: {field}: Input should be "):
        read(run(tmp_path, {**HUGE, field: value}))
