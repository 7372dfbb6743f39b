import json
from pathlib import Path
from textwrap import dedent

import pytest

KEPT = '''
from dataclasses import dataclass
from typing import Annotated

import lnas


@dataclass(frozen=True)
class Cubic(lnas.PruningSchedule):
    """Fast early, gently late."""

    sparsity: Annotated[float, "fraction removed in the end, in [0, 1)"] = 0.75
    rounds: Annotated[int, "how many rounds, at least 1"] = 8

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise lnas.ConfigError(f"sparsity must be in [0, 1), not {self.sparsity!r}")
        if self.rounds < 1:
            raise lnas.ConfigError(f"rounds must be at least 1, not {self.rounds!r}")

    def sparsity_after(self, round: int) -> float:
        return self.sparsity * (1 - (1 - round / self.rounds) ** 3)


@lnas.hookimpl
def lnas_schedules(register):
    register("cubic", f"{__name__}:Cubic", summary="fast early, gently late")


@lnas.hookimpl
def lnas_costs(register):
    register("length", "builtins:len", summary="a kind without a suite")
'''
BROKEN = KEPT.replace("(1 - (1 - round", "(1.5 - (1 - round")


def test_a_file_that_keeps_its_contract(lnas, tmp_path: Path) -> None:
    (tmp_path / "my_cubic.py").write_text(KEPT)
    result = lnas("plugins", "check", "my_cubic.py")
    assert result.exit_code == 0, result.output
    first, *_, last = result.stdout.splitlines()
    assert first.startswith("schedule cubic (my_cubic:Cubic): ") and "broken" not in result.stdout
    assert "cost length (builtins:len): 1 of 1 rules kept" in result.stdout
    assert last.startswith("my_cubic.py keeps its contract: ")
    shown = lnas("plugins", "check", "my_cubic.py", "--all").stdout
    assert "  kept     Every option has a type and a help text.\n" in shown


def test_a_rule_that_is_broken_is_said_with_its_reason(lnas, tmp_path: Path) -> None:
    (tmp_path / "my_cubic.py").write_text(BROKEN)
    result = lnas("plugins", "check", "my_cubic.py")
    assert result.exit_code == 3
    assert "  broken   " in result.stdout and "sparsity" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("my_cubic.py does not keep its contract: ")
    document = json.loads(lnas("plugins", "check", "my_cubic.py", "--json").stdout)
    rules = document["parts"][0]["rules"]
    assert document["kept"] is False
    assert {rule["outcome"] for rule in rules} >= {"kept", "broken"}
    assert all(rule["message"] for rule in rules if rule["outcome"] == "broken")


def test_a_cause_is_said_once_and_a_name_of_lnas_in_full(lnas, tmp_path: Path) -> None:
    source = KEPT.replace('register("cubic"', 'register("iterative"').replace(
        "return self.sparsity *", "return self.sparsity * 1 / 0 *"
    )
    (tmp_path / "my_cubic.py").write_text(source)
    result = lnas("plugins", "check", "my_cubic.py")
    assert result.exit_code == 3
    assert result.stdout.startswith("schedule my_cubic/iterative, in full, for lnas has one of that name, (my_cubic:Cubic): ")
    lines = result.stdout.splitlines()
    assert sum(line.strip() == "ZeroDivisionError: float division by zero" for line in lines) <= 1
    assert sum(line.strip() == "the same" for line in lines) >= 3


def test_a_folder_that_is_not_installed(lnas, tmp_path: Path) -> None:
    folder = tmp_path / "lnas-cubic"
    (folder / "src/lnas_cubic").mkdir(parents=True)
    (folder / "src/lnas_cubic/__init__.py").write_text(KEPT)
    (folder / "pyproject.toml").write_text('[project.entry-points.lnas]\ncubic = "lnas_cubic"\n')
    result = lnas("plugins", "check", "lnas-cubic")
    assert result.exit_code == 0 and "schedule cubic (lnas_cubic:Cubic): " in result.stdout


def test_an_installed_plugin_by_its_name_or_that_of_its_distribution(lnas, install) -> None:
    install("cubic", KEPT)
    for name in ("cubic", "lnas-cubic"):
        result = lnas("plugins", "check", name, "--with", "cubic,sparsity=0.5,rounds=3")
        assert result.exit_code == 0, result.output


def test_a_part_is_checked_with_the_options_that_make_it_small(lnas, tmp_path: Path) -> None:
    words = 'summary="fast early, gently late"'
    (tmp_path / "my_cubic.py").write_text(KEPT.replace(words, words + ', small="sparsity=2"'))
    assert lnas("plugins", "check", "my_cubic.py").exit_code == 3  # made as it says, which cannot be
    assert lnas("plugins", "check", "my_cubic.py", "--with", "cubic,sparsity=0.5").exit_code == 0


PATHS = """
import lnas

def paths(tensors, masks, loss):
    if not isinstance(loss.module, lnas.SearchSpace):
        raise lnas.ConfigError("it scores paths")
    return {name: tensor.detach().abs() for name, tensor in tensors.items()}

@lnas.hookimpl
def lnas_importances(register):
    register("paths", "my_paths:paths", summary="paths alone")
"""


COMMANDS = """
import sys
import click
import lnas

@lnas.hookimpl
def lnas_commands(register):
    register("good", "my_commands:good")
    register("bad", "my_commands:bad")
    register("lost", "my_commands:lost")

@lnas.hookimpl
def lnas_importances(register):
    register("leaves", "my_commands:leaves", summary="never comes back")

good = click.Command("good")
bad = print

def leaves(tensors, masks, loss):
    print("leaving")
    sys.exit(0)
"""


def test_what_has_no_suite_is_imported_and_an_exit_breaks_a_rule(lnas, tmp_path: Path) -> None:
    (tmp_path / "my_commands.py").write_text(COMMANDS)
    result = lnas("plugins", "check", "my_commands.py", "--json")
    assert result.exit_code == 3 and result.stdout.count("\n") == 1
    parts = {part["part"]: part["rules"] for part in json.loads(result.stdout)["parts"]}
    outcomes = {name: [rule["outcome"] for rule in rules] for name, rules in parts.items()}
    assert outcomes["command good (my_commands:good)"] == ["kept", "kept"]
    assert outcomes["command bad (my_commands:bad)"] == ["kept", "broken"]
    assert outcomes["command lost (my_commands:lost)"] == ["broken", "broken"]
    assert any(rule["message"] == "SystemExit: 0" for rule in parts["importance leaves (my_commands:leaves)"])


def test_an_importance_is_checked_on_the_targets_that_it_takes(lnas, tmp_path: Path) -> None:
    (tmp_path / "my_paths.py").write_text(PATHS)
    assert lnas("plugins", "check", "my_paths.py").exit_code == 0
    (tmp_path / "my_none.py").write_text(
        PATHS.replace("if not isinstance(loss.module, lnas.SearchSpace)", "if 1").replace("my_paths", "my_none")
    )
    result = lnas("plugins", "check", "my_none.py")
    assert result.exit_code == 3 and "it scores paths" in result.stdout


BAD = {
    "nowhere": (["nowhere"], "nowhere is neither an active plugin nor a .py file nor a folder with a pyproject.toml"),
    "no entry point": (["empty"], "empty/pyproject.toml names no entry point: write [project.entry-points.lnas]"),
    "an import that fails": (["wrong.py"], "wrong.py: the module wrong cannot be imported: ZeroDivisionError: division by zero"),
    "an exit": (["leaves.py"], "leaves.py: the module leaves cannot be imported: SystemExit: 0"),
    "no plugin": (["none.py"], "none.py: plugin none failed: it implements no hook"),
    "a part it has not": (
        ["my_cubic.py", "--with", "cubi,rounds=3"],
        "unknown part of my_cubic.py 'cubi'; did you mean 'cubic'",
    ),
    "failed": (["fails"], "plugin fails (lnas-fails 0.3) failed: ZeroDivisionError"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_checked(lnas, install, tmp_path: Path, arguments: list[str], message: str) -> None:
    install("fails", "1 / 0")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/pyproject.toml").write_text(dedent("[project]\nname = 'x'\n"))
    (tmp_path / "wrong.py").write_text("1 / 0")
    (tmp_path / "none.py").write_text("x = 1")
    (tmp_path / "leaves.py").write_text("print('hello')\nraise SystemExit(0)")
    (tmp_path / "my_cubic.py").write_text(KEPT)
    result = lnas("plugins", "check", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.removeprefix("hello\n").startswith(f"lnas: error: {message}")
