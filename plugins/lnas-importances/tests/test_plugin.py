"""As a plugin: what is registered, what importing costs, the README, and a run from the command line."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import lnas_importances
import pytest

import lnas

ROOT = Path(__file__).parent.parent
NAMES = ["grasp", "perturbation", "snip", "synflow", "taylor"]


def test_the_plugin_offers_five_importances() -> None:
    host = lnas.Host([lnas_importances], entry_points=False)
    assert host.warnings == ()
    assert sorted((part.kind, part.name) for part in host.plugins[-1].components) == [("importance", name) for name in NAMES]
    assert lnas_importances.__all__ == NAMES
    for name in NAMES:
        component = host.registry.get("importance", name)
        assert component.summary and component.load() is getattr(lnas_importances, name)
    with pytest.raises(AttributeError, match="module 'lnas_importances' has no attribute 'snap'"):
        lnas_importances.snap  # noqa: B018


def test_importing_it_does_not_import_torch() -> None:
    code = "import sys, lnas_importances; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": _path()}).returncode == 0


def test_the_distribution_names_what_there_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["lnas"] == {"importances": "lnas_importances"}
    assert project["tool"]["hatch"]["version"]["path"] == "lnas_importances/__init__.py"


def test_the_readme_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def _path(*more: Path) -> str:
    """Where this Python found everything, also where nothing is installed."""
    return os.pathsep.join(map(str, [*more, *(folder for folder in sys.path if folder)]))


def test_a_run_prunes_paths_and_weights_with_them(tmp_path: Path) -> None:
    info = tmp_path / "site" / "lnas_importances-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lnas-importances\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[lnas]\nimportances = lnas_importances\n")
    arguments = [
        *("run", "--space", "cells,channels=1,layers=2,nodes=2,network_channels=2,network_layers=2"),
        *("--prune", "alpha:one-shot,sparsity=0.5,importance=perturbation"),
        *("--prune", "theta:iterative,sparsity=0.9,rounds=5,scope=global,k=0,importance=synflow"),
        *("--epochs", "2it:2it", "--batch", "8", "--device", "cpu", "--json", "--out", str(tmp_path), "--name", "run"),
    ]
    environment = {**os.environ, "PYTHONPATH": _path(tmp_path / "site"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", "lnas", *arguments], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    sparsity = json.loads(done.stdout.splitlines()[-1])["sparsity"]
    assert sparsity["alpha"] == {"target": 0.5, "attained": 0.5}
    assert sparsity["theta"]["attained"] == pytest.approx(0.9, abs=1e-3)
