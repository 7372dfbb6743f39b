"""The plugins that come with lnas keep their contract as `lnas plugins check` asks for it, which knows nothing of their tests.

Those whose check takes longest (importances, nasbench201, tensorboard, mlflow, ray, slurm) run the same suites in their own tests
alone.
So does the rule that kills a run, for all but one.
"""

import sys
import tomllib
import unittest
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from lnas.host.plugins import Host
from lnas.host.registry import Component
from lnas.testing import judge
from lnas.testing.elsewhere import described
from lnas.testing.plugin import suite_of
from lnas.testing.suite import Suite
from lnas.testing.survival import Survival

PLUGINS = Path(__file__).parents[1] / "plugins"
CHECKED = ("channels", "drnas", "gdas", "pcdarts", "robust", "schedules")
RECORDS = {record.name: record for record in Host().plugins if record.name in CHECKED}
PARTS = [part for record in RECORDS.values() for part in record.components]
KILLED = "gdas"
"""The plugin that is killed here, too."""


def test_every_first_party_plugin_is_installed_and_active() -> None:
    names = {tomllib.loads(file.read_text())["project"]["name"] for file in PLUGINS.glob("*/pyproject.toml")}
    assert {record.distribution for record in Host().plugins if record.status == "active"} >= names
    assert names == {folder.name for folder in PLUGINS.iterdir()} and len(names) == 12
    assert set(RECORDS) == set(CHECKED)


def left_out(suite: Suite) -> None:
    """A run that is killed: see the suite in the plugin's tests."""
    raise unittest.SkipTest("left to the plugin's own tests")


@pytest.mark.filterwarnings("ignore:the search is over at step")
@pytest.mark.parametrize("part", PARTS, ids=[part.qualified for part in PARTS])
def test_a_part_keeps_every_rule(part: Component) -> None:
    suite = suite_of(part, RECORDS[part.plugin].place, {})
    if issubclass(suite, Survival) and part.plugin != KILLED:
        suite.test_a_killed_run_ends_with_the_same_bytes = left_out  # type: ignore[assignment, method-assign]
    verdicts = list(judge(suite))
    assert len(verdicts) > 10
    assert [f"{verdict.says} {verdict.message}" for verdict in verdicts if verdict.outcome == "broken"] == []
    if part.plugin == KILLED:
        assert {verdict.rule: verdict.outcome for verdict in verdicts}["a_killed_run_ends_with_the_same_bytes"] == "kept"


LEARNING = [(record, part) for record in Host().plugins for part in record.components if part.kind in ("strategy", "target")]
OWN = [pair for pair in LEARNING if (PLUGINS / f"{pair[0].distribution}").is_dir()]


@pytest.mark.parametrize("part", [part for _, part in OWN], ids=[part.qualified for _, part in OWN])
def test_the_own_suite_of_a_part_kills_a_run_and_is_not_skipped(part: Component, monkeypatch: pytest.MonkeyPatch) -> None:
    [folder] = [PLUGINS / str(record.distribution) for record, other in OWN if other is part]
    name = f"{folder.name.replace('-', '_')}_suite"
    spec = spec_from_file_location(name, folder / "tests" / "test_suite.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    suites = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Survival)]
    mine = [suite for suite in suites if getattr(suite, "part", None) == part.target]
    assert mine
    for suite in mine:
        assert suite.test_a_killed_run_ends_with_the_same_bytes is Survival.test_a_killed_run_ends_with_the_same_bytes
        assert list(suite().subjects())
        described(suite)  # raises SkipTest where another process cannot import it
