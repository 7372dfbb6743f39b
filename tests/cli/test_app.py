import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import Result

import lnas as package

ROOT = Path(__file__).parents[2]

WITHOUT_TORCH = """
import sys, time
from lnas.cli import main
code = main(sys.argv[1:], standalone_mode=False)
assert not code, code
assert "torch" not in sys.modules
assert time.process_time() < 1, time.process_time()
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["config", "--help"],
        ["cost", "--help"],
        ["components"],
        ["components", "--json"],
        ["components", "--kind", "strategy"],
        ["plugins", "list"],
        ["completion", "zsh"],
        ["verify", "--help"],
        ["import-weights", "--help"],
        ["runs", "list", "--out", "."],
    ],
    ids=" ".join,
)
def test_what_needs_no_torch_imports_none_and_is_quick(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_version_is_that_of_the_package(lnas) -> None:
    assert lnas("--version").stdout == f"lnas {package.__version__}\n"


def test_no_command_shows_the_help(lnas) -> None:
    assert lnas().stdout == lnas("--help").stdout
    assert lnas("plugins").stdout == lnas("plugins", "--help").stdout


def test_the_help_lists_every_command(lnas) -> None:
    text = lnas("--help").stdout
    for name in (
        "run",
        "resume",
        "show",
        "eval",
        "report",
        "verify",
        "runs",
        "import-weights",
        "cost",
        "components",
        "plugins",
        "config",
        "completion",
    ):
        assert f"\n  {name} " in text


def one_line(result: Result, code: int = 2) -> str:
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1), result.output
    return result.stderr.removeprefix("lnas: error: ").rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "no such command 'rnu'; did you mean run?; see lnas --help"),
        (["--bogus"], "no such option '--bogus'"),
        (["run", "--stratgy", "darts"], "run: no such option '--stratgy'; did you mean --strategy?; see lnas run --help"),
        (["run", "--seed"], "run: option '--seed' requires an argument; see lnas run --help"),
        (["run", "extra"], "run: got unexpected extra argument (extra); see lnas run --help"),
        (["show"], "show: missing argument 'RUN'; see lnas show --help"),
        (["plugins", "lits"], "plugins: no such command 'lits'; did you mean list?; see lnas plugins --help"),
    ],
)
def test_a_slip_in_the_command_line_is_one_line(lnas, arguments: list[str], message: str) -> None:
    assert one_line(lnas(*arguments)).startswith(message)


def test_an_error_of_ours_shows_a_traceback_only_with_debug(lnas) -> None:
    assert one_line(lnas("show", "nothing")).startswith("nothing is no run")
    for arguments in (["--debug", "show", "nothing"], ["show", "nothing", "--debug"]):
        result = lnas(*arguments)
        assert result.exit_code == 2
        assert result.stderr.startswith("Traceback (most recent call last):")
        assert result.stderr.splitlines()[-1].startswith("lnas: error: nothing is no run")


def test_a_bug_is_one_line_and_exit_code_1(lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise KeyError("boom\nbang")

    monkeypatch.setattr("lnas.host.plugins.Host.__init__", broken)
    line = one_line(lnas("components"), code=1)
    assert line.startswith("KeyError: ")
    assert line.endswith("; this is a bug of lnas; run again with --debug for the traceback")
    debugged = lnas("components", "--debug")
    assert debugged.exit_code == 1
    assert "Traceback" in debugged.stderr and "run again" not in debugged.stderr


def test_an_interrupt_is_exit_code_130(lnas, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lnas.host.plugins.Host.__init__", interrupted)
    result = lnas("components")
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "lnas: interrupted\n")


@pytest.mark.parametrize("arguments", [["components"], ["components", "--json"], ["--help"]], ids=" ".join)
def test_a_reader_that_went_away_is_no_error(arguments: list[str], tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "lnas", *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT)},
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_the_module_is_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lnas", "rnu"], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "lnas: error: no such command 'rnu'; did you mean run?; see lnas --help\n"


def test_the_entry_point_is_the_group() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"lnas": "lnas.cli:main"}
