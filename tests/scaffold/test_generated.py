"""A plugin of every kind as it is generated: it installs, is found, keeps its rules, and is clean."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lnas.host.plugins import Host
from lnas.scaffold.distribution import USES, write
from lnas.scaffold.names import KINDS, Names, names_of


def run(*command: str | Path, cwd: Path, site: Path | None = None) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **({} if site is None else {"PYTHONPATH": str(site)})}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Names, Path]]:
    """One distribution of each kind, under one folder."""
    folder, host = tmp_path_factory.mktemp("generated"), Host(entry_points=False)
    names = {kind: names_of(f"lnas-wave-{kind}", kind, host) for kind in KINDS}
    return {kind: (names[kind], write(names[kind], folder)[0]) for kind in KINDS}


@pytest.fixture(scope="module")
def site(made: dict[str, tuple[Names, Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip installed all of them into."""
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    run(*pip, "--target", folder, *(place for _, place in made.values()), cwd=folder)
    return folder


def test_they_keep_the_rules_of_their_kinds(made: dict[str, tuple[Names, Path]], site: Path, tmp_path: Path) -> None:
    tests = [place / "tests" for _, place in made.values()]
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--import-mode=importlib"]
    said = run(*pytest_, "--rootdir", tmp_path, *tests, cwd=tmp_path, site=site)
    passed = int(said.splitlines()[-1].split(" passed")[0].split()[-1])
    assert passed > 20 * len(KINDS)


def test_they_are_found_and_used_by_name(made: dict[str, tuple[Names, Path]], site: Path, tmp_path: Path) -> None:
    program = """
import sys
from lnas.cli import main
for line in sys.stdin.read().splitlines():
    print("$", line)
    try:
        main(line.split()[1:], prog_name="lnas")
    except SystemExit as stop:
        assert not stop.code, line
"""
    lines = ["lnas plugins list"]
    lines += [f"{USES[kind].format(names.part)} --dry-run" for kind, (names, _) in made.items()]
    lines += [f"lnas components {names.part}" for names, _ in made.values()]
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        input="\n".join(lines), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for kind, (names, _) in made.items():
        assert f"{names.distribution} 0.1.0" in done.stdout
        assert f"{kind} {names.part}" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_they_are_clean(made: dict[str, tuple[Names, Path]], tmp_path: Path) -> None:
    folder = next(iter(made.values()))[1].parent
    ruff = [sys.executable, "-m", "ruff"]
    run(*ruff, "check", "--no-cache", "--select", "E,F,I,UP,B,SIM,RUF", folder, cwd=folder)
    run(*ruff, "format", "--no-cache", "--check", folder, cwd=folder)
    packages = [place / names.package for names, place in made.values()]
    run(sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path, *packages, cwd=folder)
