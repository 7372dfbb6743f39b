"""The plugins that come with lnas keep their contract as `lnas plugins check` asks for it, which knows nothing of their tests.

Those whose check takes longest (importances, nasbench201, tensorboard, mlflow) run the same suites in their own tests alone.
"""

import tomllib
from pathlib import Path

import pytest

from lnas.host.plugins import Host
from lnas.host.registry import Component
from lnas.testing import judge
from lnas.testing.plugin import suite_of

PLUGINS = Path(__file__).parents[1] / "plugins"
CHECKED = ("channels", "drnas", "gdas", "pcdarts", "robust", "schedules")
RECORDS = {record.name: record for record in Host().plugins if record.name in CHECKED}
PARTS = [part for record in RECORDS.values() for part in record.components]


def test_every_first_party_plugin_is_installed_and_active() -> None:
    names = {tomllib.loads(file.read_text())["project"]["name"] for file in PLUGINS.glob("*/pyproject.toml")}
    assert {record.distribution for record in Host().plugins if record.status == "active"} >= names
    assert names == {folder.name for folder in PLUGINS.iterdir()} and len(names) == 10
    assert set(RECORDS) == set(CHECKED)


@pytest.mark.filterwarnings("ignore:the search is over at step")
@pytest.mark.parametrize("part", PARTS, ids=[part.qualified for part in PARTS])
def test_a_part_keeps_every_rule(part: Component) -> None:
    verdicts = list(judge(suite_of(part, RECORDS[part.plugin].place, {})))
    assert len(verdicts) > 10
    assert [f"{verdict.says} {verdict.message}" for verdict in verdicts if verdict.outcome == "broken"] == []
