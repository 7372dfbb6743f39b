"""As a plugin: what is registered, what importing costs, the README, and a run from the command line."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import lnas_schedules
import pytest

import lnas

ROOT = Path(__file__).parent.parent
PARTS = {
    ("schedule", "cubic"): "Cubic",
    ("schedule", "linear"): "Linear",
    ("schedule", "exponential"): "Exponential",
    ("target", "nm"): "NM",
}


def test_the_plugin_offers_three_schedules_and_a_target() -> None:
    host = lnas.Host([lnas_schedules], entry_points=False)
    assert host.warnings == ()
    assert {(part.kind, part.name) for part in host.plugins[-1].components} == set(PARTS)
    assert sorted(lnas_schedules.__all__) == sorted(PARTS.values())
    for (kind, name), attribute in PARTS.items():
        component = host.registry.get(kind, name)
        assert component.summary and component.load() is getattr(lnas_schedules, attribute)
    with pytest.raises(AttributeError, match="module 'lnas_schedules' has no attribute 'Cube'"):
        lnas_schedules.Cube  # noqa: B018


def test_importing_it_does_not_import_torch() -> None:
    code = "import sys, lnas_schedules; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": _path()}).returncode == 0


def test_the_distribution_names_what_there_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["lnas"] == {"schedules": "lnas_schedules"}
    assert project["tool"]["hatch"]["version"]["path"] == "lnas_schedules/__init__.py"


def test_the_readme_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def _path(*more: Path) -> str:
    """Where this Python found everything, also where nothing is installed."""
    return os.pathsep.join(map(str, [*more, *(folder for folder in sys.path if folder)]))


def test_a_run_prunes_by_curves_and_in_patterns(tmp_path: Path) -> None:
    info = tmp_path / "site" / "lnas_schedules-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lnas-schedules\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[lnas]\nschedules = lnas_schedules\n")
    arguments = [
        *("run", "--space", "cells,channels=1,layers=2,nodes=2,network_channels=4,network_layers=2"),
        *("--prune", "alpha:linear,sparsity=0.5,rounds=2"),
        *("--prune", "nm:cubic,sparsity=0.5,rounds=2,k=1it,rewind=none"),
        *("--epochs", "2it:2it", "--batch", "8", "--device", "cpu", "--json", "--out", str(tmp_path), "--name", "run"),
    ]
    environment = {**os.environ, "PYTHONPATH": _path(tmp_path / "site"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", "lnas", *arguments], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    sparsity = json.loads(done.stdout.splitlines()[-1])["sparsity"]
    assert sparsity == {"alpha": {"target": 0.5, "attained": 0.5}, "nm": {"target": 0.5, "attained": 0.5}}
    network = lnas.load_model(tmp_path / "run", host=lnas.Host([lnas_schedules], entry_points=False))
    pattern = lnas_schedules.NM(network)
    for name, weight in pattern.tensors().items():
        assert weight.movedim(1, -1).reshape(-1, 4).count_nonzero(1).unique().tolist() == [2], name
    assert pattern.dense and all(network.get_parameter(name).all() for name in pattern.dense)
