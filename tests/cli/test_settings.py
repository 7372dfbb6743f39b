import re
from dataclasses import fields

import click
import pytest
from click.testing import CliRunner

from lnas.cli import main
from lnas.cli.settings import FILE, SETTINGS, given, settings
from lnas.host.config import Config
from lnas.host.hookspecs import HOOKS


def test_every_key_of_a_configuration_has_its_option() -> None:
    keys = {field.name for field in fields(Config)}
    assert {setting.name for setting in SETTINGS} | {"plugins"} == {*keys, "sparsity", FILE}  # that one is for files alone


def test_the_defaults_in_the_help_are_those_of_the_configuration() -> None:
    default = Config()
    for setting in SETTINGS:
        shown = re.search(r"\[default: (?:what suits the data, else )?(.+)\]$", setting.help)
        known = getattr(default, setting.name, None)
        if shown is not None and known is not None and setting.name != "recipe":
            assert shown[1] == (str(known).lower() if isinstance(known, bool) else str(known)), setting.name


def test_the_kinds_whose_names_are_completed_exist() -> None:
    assert {setting.kind for setting in SETTINGS} - {None} <= set(HOOKS)


def test_run_and_config_share_the_options() -> None:
    names = {setting.name for setting in SETTINGS}
    for command in ("run", "config"):
        assert names <= {parameter.name for parameter in main.commands[command].params}


def test_what_was_typed_reaches_the_host_as_text() -> None:
    seen = {}

    @click.command()
    @settings
    @click.pass_context
    def command(context: click.Context) -> None:
        seen.update(given(context))

    line = ["--prune", "alpha:iterative", "--prune", "theta:never", "--batch", "many", "--sparsity", "half"]
    assert CliRunner().invoke(command, line).exit_code == 0
    assert seen == {"prune": ("alpha:iterative", "theta:never"), "batch": "many", "sparsity": "half"}


def test_the_four_lines_of_the_paper_are_examples(lnas) -> None:
    text = lnas("run", "--help").stdout
    for line in (
        "lnas run --strategy darts --prune alpha:iterative",
        "lnas run --strategy darts --prune theta:one-shot",
        "lnas run --strategy darts --prune alpha:iterative --prune theta:iterative",
        "lnas run --strategy darts",
    ):
        assert f"  {line}\n" in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("lnas run --strategy d", ["darts"]),
        ("lnas run --data fa", ["fashion_mnist"]),
        ("lnas run --prune ", ["alpha", "theta"]),
        ("lnas config --recipe v", ["variant1", "variant2"]),
        ("lnas resu", ["resume"]),
    ],
)
def test_the_shell_completes_commands_and_names(lnas, words: str, expected: list[str]) -> None:
    *before, _ = words.split(" ")
    environment = {"_LNAS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(before))}
    result = CliRunner().invoke(main, [], prog_name="lnas", env=environment)
    assert [line.partition(",")[2] for line in result.stdout.splitlines()] == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_a_shell(lnas, shell: str) -> None:
    result = lnas("completion", shell)
    assert result.exit_code == 0
    assert f"_LNAS_COMPLETE={shell}_complete" in result.stdout
