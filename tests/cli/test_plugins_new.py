"""`lnas plugins new`: what it writes and says, and what it refuses before anything is written."""

import os
from pathlib import Path

import pytest

from lnas import __version__


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_plugin_is_begun(lnas, tmp_path: Path) -> None:
    result = lnas("plugins", "new", "lnas-wave", "--kind", "schedule")
    assert (result.exit_code, result.stderr) == (0, "")
    names = [".gitignore", "README.md", "lnas_wave/__init__.py", "lnas_wave/py.typed", "lnas_wave/schedule.py"]
    assert files(tmp_path / "lnas-wave") == [*names, "pyproject.toml", "tests/test_lnas_wave.py"]
    assert [path.name for path in tmp_path.iterdir()] == ["lnas-wave"]
    assert 'wave = "lnas_wave"' in (tmp_path / "lnas-wave/pyproject.toml").read_text()
    said = result.stdout
    for command in ("cd lnas-wave", "pip install --editable .", "lnas plugins check wave", "lnas run --prune theta:wave"):
        assert f"  {command}" in said
    assert said.splitlines()[-1] == "The example to replace is lnas_wave/schedule.py."


def test_the_folder_may_lie_elsewhere(lnas, tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    result = lnas("plugins", "new", "lnas-wave", "--kind", "observer", "--into", "plugins")
    assert result.exit_code == 0
    assert "  cd plugins/lnas-wave" in result.stdout
    assert (tmp_path / "plugins/lnas-wave/lnas_wave/observer.py").is_file()
    mode = (tmp_path / "plugins/lnas-wave").stat().st_mode
    assert mode == (tmp_path / "plugins").stat().st_mode  # not that of a temporary folder, which is its owner's alone


REFUSED = {
    "": "cannot be the name of a distribution",
    "..": "cannot be the name of a distribution",
    "a/b": "cannot be the name of a distribution",
    "/tmp/x": "cannot be the name of a distribution",
    "wave-": "cannot be the name of a distribution",
    "lnas-wellé": "cannot be the name of a distribution",
    "lnas\nwave": "cannot be the name of a distribution",
    "w" * 41: "cannot be the name of a distribution",
    "3d": "Python can import none of that name; try lnas-3d",
    "class": "Python can import none of that name; try lnas-class",
    "lnas": "is lnas itself",
    "LNAS": "is lnas itself",
    "json": "would hide the module json of Python's standard library; try lnas-json",
    "lnas-lnas": f"lnas {__version__} is there already",
    "Torch": "would hide the package torch, which is installed",
    "pytest": "would hide the package pytest, which is installed",
    "lnas-iterative": f"schedule iterative of lnas {__version__} is there already; choose another name than lnas-",
    "lnas-Iterative": f"schedule iterative of lnas {__version__} is there already; choose another name than lnas-",
}


@pytest.mark.parametrize("name", REFUSED, ids=ascii)
def test_a_name_that_cannot_be_is_refused_in_one_line(lnas, tmp_path: Path, name: str) -> None:
    result = lnas("plugins", "new", "--kind", "schedule", "--", name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("lnas: error: ") and result.stderr.count("\n") == 1
    assert REFUSED[name] in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_another_kind_may_have_the_name(lnas) -> None:
    assert lnas("plugins", "new", "lnas-iterative", "--kind", "target").exit_code == 0


@pytest.mark.parametrize("name", ["lnas-broken", "LNAS_Broken", "lnas-cracked", "cracked"])
def test_the_name_of_an_installed_plugin_is_refused(lnas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    metadata = tmp_path / "site" / "lnas_broken-1.5.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: lnas-broken\nVersion: 1.5\n")
    (metadata / "entry_points.txt").write_text("[lnas]\ncracked = lnas_broken_module\n")
    (tmp_path / "site/lnas_broken_module.py").write_text("raise RuntimeError\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    result = lnas("plugins", "new", name, "--kind", "schedule")
    assert result.exit_code == 2
    assert f"plugin cracked (lnas-broken 1.5) is there already; choose another name than {name}" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_kind_that_does_not_exist_is_refused(lnas, tmp_path: Path) -> None:
    result = lnas("plugins", "new", "lnas-wave", "--kind", "schedul")
    assert result.exit_code == 2
    assert "unknown kind of part 'schedul'; did you mean 'schedule'?" in result.stderr
    assert lnas("plugins", "new", "lnas-wave").exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["folder", "file", "link"])
def test_what_is_there_is_left_alone(lnas, tmp_path: Path, what: str) -> None:
    place = tmp_path / "lnas-wave"
    {"folder": place.mkdir, "file": place.touch, "link": lambda: place.symlink_to("nowhere")}[what]()
    result = lnas("plugins", "new", "lnas-wave", "--kind", "space")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "lnas-wave is there already; choose another name, or another folder with --into" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["lnas-wave"]
    assert not (place / "pyproject.toml").exists()


def test_a_folder_that_is_not_there_is_refused(lnas, tmp_path: Path) -> None:
    result = lnas("plugins", "new", "lnas-wave", "--kind", "space", "--into", "nowhere")
    assert result.exit_code == 2
    assert "--into nowhere: there is no such folder" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["write_text", "rename"])
def test_a_disk_that_is_full_leaves_nothing(lnas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    done, real = [], getattr(Path, call)

    def full(self: Path, *arguments: object, **more: object) -> object:
        done.append(self)
        if call == "rename" or len(done) > 3:
            raise OSError(28, os.strerror(28))
        return real(self, *arguments, **more)

    monkeypatch.setattr(Path, call, full)
    result = lnas("plugins", "new", "lnas-wave", "--kind", "space")
    assert done
    assert result.exit_code == 2
    assert result.stderr == "lnas: error: lnas-wave cannot be written: No space left on device\n"
    assert list(tmp_path.iterdir()) == []
