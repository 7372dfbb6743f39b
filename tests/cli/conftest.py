"""The command line called in this process, in an empty folder."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lnas.cli import main

Lnas = Callable[..., Result]


@pytest.fixture(autouse=True)
def names_of_the_built_in_parts(built_in_parts_only: None) -> None:
    """The command line is tested as it is without plugins."""


@pytest.fixture
def lnas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lnas:
    """`lnas("run", "--dry-run")` in `tmp_path`, without LNAS_* variables; an exception that gets out is a failure."""
    monkeypatch.chdir(tmp_path)
    for variable in [name for name in os.environ if name.startswith("LNAS_")]:
        monkeypatch.delenv(variable)

    def call(*arguments: str) -> Result:
        result = CliRunner().invoke(main, arguments, prog_name="lnas")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result

    return call
