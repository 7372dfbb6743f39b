import json
import re
import sys

import pytest

SOURCE = """
    import lnas

    @lnas.hookimpl
    def lnas_commands(register):
        register("hello", "lnas_greet_parts:hello", summary="Greet somebody.")
        register("run", "lnas_greet_parts:hello", summary="Never seen.")
        register("thing", "lnas_greet_parts:thing")
        register("lost", "lnas_greet_parts:lost")
        register("leave", "lnas_greet_parts:leave")
        register("many", "lnas_greet_parts:many")
"""
PARTS = """
import click

@click.command()
@click.argument("name")
@click.option("--crash", is_flag=True)
def hello(name, crash):
    "Greet NAME."
    if crash:
        raise ValueError(name)
    click.echo(f"hello {name}")

@click.command()
@click.option("--code", type=int)
def leave(code):
    raise SystemExit(code)

@click.group()
def many():
    "Several."

@many.command()
def one():
    click.echo("one")

def thing():
    "No command."
"""


@pytest.fixture(autouse=True)
def greet(install) -> None:
    path = install("greet", SOURCE)
    path.with_name("lnas_greet_parts.py").write_text(PARTS)


def test_a_command_is_in_the_help_and_is_not_imported_for_it(lnas) -> None:
    result = lnas("--help")
    assert re.search(r"^  hello +Greet somebody\.$", result.stdout, re.MULTILINE) and result.stderr == ""
    assert "Never seen" not in result.stdout
    assert "lnas_greet_parts" not in sys.modules


def test_a_command_works_with_the_switches_before_and_its_own_help(lnas) -> None:
    assert lnas("hello", "you").stdout == "hello you\n"
    assert "Greet NAME." in lnas("hello", "--help").stdout
    assert lnas("hello", "--help").stdout.startswith("Usage: lnas hello ")
    result = lnas("--disable-plugin", "greet", "hello", "you")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("lnas: error: no such command 'hello'")
    assert "hello" not in lnas("--disable-plugin", "greet", "--help").stdout
    assert "hello" not in lnas("--no-plugins", "--help").stdout


def test_a_command_that_fails_is_its_plugins(lnas) -> None:
    result = lnas("hello", "you", "--crash")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "lnas: error: command hello of plugin greet (lnas-greet 0.3) raised ValueError: you;"
        " run again with --debug for the traceback\n"
    )
    result = lnas("hello")
    assert (result.exit_code, result.stderr) == (2, "lnas: error: hello: missing argument 'NAME'; see lnas hello --help\n")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("thing", "command thing of plugin greet (lnas-greet 0.3) is a function, not a click.Command"),
        ("lost", "command lost of plugin greet (lnas-greet 0.3) (lnas_greet_parts:lost) cannot be loaded: AttributeError: "),
    ],
)
def test_what_is_no_command(lnas, name: str, message: str) -> None:
    result = lnas(name)
    assert result.exit_code == 2 and result.stderr.startswith(f"lnas: error: {message}")


def test_the_parts_are_listed_like_all_others(lnas) -> None:
    parts = json.loads(lnas("components", "--kind", "command", "--json").stdout)["components"]
    assert [part["name"] for part in parts] == ["hello", "leave", "lost", "many", "run", "thing"]


def test_a_command_may_leave_with_its_own_code(lnas) -> None:
    assert [lnas("leave", "--code", str(code)).exit_code for code in (0, 7)] == [0, 7]


def test_a_group_works_as_one_of_ours(lnas) -> None:
    assert lnas("many", "one").stdout == "one\n"
    result = lnas("many")
    assert (result.exit_code, result.stderr) == (0, "") and "Usage: lnas many" in result.stdout


def test_commands_are_listed_by_name_and_suggested(lnas) -> None:
    listed = [line.split()[0] for line in lnas("--help").stdout.partition("Commands:\n")[2].splitlines()]
    assert listed[-5:] == ["hello", "leave", "lost", "many", "thing"]
    assert lnas("helo", "you").stderr == "lnas: error: no such command 'helo'; did you mean hello?; see lnas --help\n"


def test_the_switches_work_behind_a_command_of_a_plugin_too(lnas) -> None:
    assert "Traceback" in lnas("hello", "you", "--crash", "--debug").stderr
