"""Benchmarks run and print ratios; how large those are is no test's business."""

import json

from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.timing import medians


def test_the_json_is_one_object_of_ratios() -> None:
    result = CliRunner().invoke(main, ["--quick", "--json"])
    assert result.exit_code == 0, result.output
    ratios = json.loads(result.stdout.splitlines()[-1])
    assert set(ratios) == {"dead_50", "dead_875"}
    assert all(value > 0 for value in ratios.values())


def test_variants_are_interleaved_and_warmed_up() -> None:
    calls: list[str] = []
    medians({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3, warmup=1)
    assert calls == ["a", "b"] * 4
