"""A built wheel is whole: installed where the checkout cannot be seen, and started from an empty folder, it works."""

import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import lnas

ROOT = Path(__file__).parent.parent


def distributions() -> set[str]:
    """The names of this checkout's distributions, as their folders of metadata spell them."""
    files = [ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")]
    return {re.sub(r"[-_.]+", "_", tomllib.loads(file.read_text())["project"]["name"]).lower() for file in files}


def run(*command: str | Path, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a new environment that holds the wheel and sees the dependencies, but nothing of the checkout.

    The dependencies are linked one by one: a whole site-packages would bring the entry points of what is installed
    from the checkout.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder / "venv", with_pip=False, symlinks=os.name != "nt")
    programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python = programs / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    dependencies = folder / "dependencies"
    dependencies.mkdir()
    ours = re.compile(rf"({'|'.join(distributions())})(-.*)?|.*\.pth|__pycache__", re.I)
    for place in (Path(place) for place in sys.path if place.endswith(("site-packages", "dist-packages"))):
        for item in place.iterdir():
            if not ours.fullmatch(item.name) and not (dependencies / item.name).exists():
                (dependencies / item.name).symlink_to(item)
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    return programs


def test_the_wheel_holds_the_package_and_its_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(f"lnas-{lnas.__version__}.dist-info/METADATA").decode()
    assert {name.split("/")[0] for name in names} == {"lnas", f"lnas-{lnas.__version__}.dist-info"}
    tracked = {path.relative_to(ROOT).as_posix() for path in (ROOT / "lnas").rglob("*") if path.is_file()}
    assert {name for name in names if name.startswith("lnas/")} == {name for name in tracked if "__pycache__" not in name}
    assert "lnas/py.typed" in names
    assert any(name.startswith("lnas/builtin/digits/") and not name.endswith(".py") for name in names)
    assert any(name.startswith("lnas/report/") and name.endswith((".html", ".j2", ".jinja")) for name in names)
    assert f"lnas-{lnas.__version__}.dist-info/licenses/LICENSE" in names
    assert "Requires-Python: >=3.11" in metadata
    assert "License-Expression: Apache-2.0" in metadata


def test_the_installed_wheel_is_not_the_checkout(programs: Path, tmp_path: Path) -> None:
    place = run(programs / "python", "-c", "import lnas; print(lnas.__file__)", cwd=tmp_path).strip()
    assert Path(place).resolve().is_relative_to(programs.parent.resolve())


def test_the_installed_wheel_answers(programs: Path, tmp_path: Path) -> None:
    assert lnas.__version__ in run(programs / "lnas", "--version", cwd=tmp_path)
    assert "darts" in run(programs / "lnas", "components", cwd=tmp_path)


def test_the_installed_wheel_plans_a_run_on_its_own_data(programs: Path, tmp_path: Path) -> None:
    plan = run(programs / "lnas", "run", "--space", "cells,channels=4,layers=3", "--dry-run", cwd=tmp_path)
    assert "digits" in plan
    assert list(tmp_path.iterdir()) == []
