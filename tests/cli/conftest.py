"""The command line called in this process, in an empty folder."""

import os
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lnas.cli import main

Lnas = Callable[..., Result]


@pytest.fixture(autouse=True)
def built_in_parts_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """First-party plugins that are installed stay out of sight, so that lists of names are the same everywhere."""
    installed = metadata.entry_points

    def without_ours(*, group: str) -> list[metadata.EntryPoint]:
        return [point for point in installed(group=group) if point.dist is None or point.dist.name != "lnas-channels"]

    monkeypatch.setattr("lnas.host.plugins.metadata.entry_points", without_ours)


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
