"""A stranger's distribution: a schedule of 25 lines that pip installs, and that `lnas run` uses by name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = '''\
"""lnas-cubic: prune fast early and gently late (Zhu and Gupta 2017)."""

from dataclasses import dataclass
from typing import Annotated

import lnas


@dataclass(frozen=True)
class Cubic(lnas.PruningSchedule):
    """s (1 - (1 - r/n)^3) after round r of n."""

    sparsity: Annotated[float, "fraction removed in the end, in [0, 1)"] = 0.75
    rounds: Annotated[int, "how many rounds"] = 8

    def sparsity_after(self, round: int) -> float:
        return self.sparsity * (1 - (1 - round / self.rounds) ** 3)


@lnas.hookimpl
def lnas_schedules(register: lnas.Register) -> None:
    register("my-cubic", "lnas_cubic:Cubic", summary="fast early, gently late")
'''
PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "lnas-cubic"
version = "0.1.0"
dependencies = ["lnas"]

[project.entry-points.lnas]
cubic = "lnas_cubic"
"""
SMALL = ["--epochs", "2it:9it", "--space", "cells,channels=2,layers=3,nodes=2,network_channels=2,network_layers=3"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip installed the distribution into."""
    source = tmp_path_factory.mktemp("lnas-cubic")
    (source / "lnas_cubic.py").write_text(MODULE)
    (source / "pyproject.toml").write_text(PROJECT)
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(folder), str(source)], check=True, capture_output=True)
    return folder


def lnas(installed: Path, cwd: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "lnas", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_module_is_short() -> None:
    assert len(MODULE.splitlines()) <= 25


def test_its_schedule_prunes(installed: Path, tmp_path: Path) -> None:
    line = "theta:my-cubic,sparsity=0.5,rounds=2,rewind=none"
    summary = json.loads(lnas(installed, tmp_path, "run", "--prune", line, *SMALL, "--json").splitlines()[-1])
    assert summary["recipe"] == "variant1"
    assert summary["sparsity"]["theta"]["target"] == 0.5
    rows = [json.loads(row) for row in (Path(tmp_path, summary["run"]) / "metrics.jsonl").read_text().splitlines()]
    assert [row["asked"] for row in rows if row["event"] == "prune"] == [0.5 * (1 - 0.5**3), 0.5]
    environment = json.loads((Path(tmp_path, summary["run"]) / "environment.json").read_text())
    assert {"name": "cubic", "version": "0.1.0"} in environment["plugins"]


def test_its_options_are_described(installed: Path, tmp_path: Path) -> None:
    described = lnas(installed, tmp_path, "components", "my-cubic")
    assert "lnas-cubic 0.1.0" in described
    assert "fraction removed in the end, in [0, 1)" in described
