"""What is said of a part whose distribution is not installed is what that distribution offers."""

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from lnas.core.errors import PluginError, UnknownNameError
from lnas.host.first_party import EXTRAS
from lnas.host.plugins import Host
from lnas.host.registry import PluginRecord, Registry

ROOT = Path(__file__).parents[2]


def test_every_extra_names_the_parts_of_its_distribution() -> None:
    offered: dict[str, dict[str, tuple[str, ...]]] = {}
    for file in (ROOT / "plugins").glob("*/pyproject.toml"):
        project = tomllib.loads(file.read_text())["project"]
        modules = [import_module(place) for place in project["entry-points"]["lnas"].values()]
        parts = [part for record in Host(modules, entry_points=False).plugins[1:] for part in record.components]
        kinds = dict.fromkeys(part.kind for part in parts)
        names = {kind: tuple(sorted(part.name for part in parts if part.kind == kind)) for kind in kinds}
        offered[project["name"].removeprefix("lnas-")] = names
    assert offered == EXTRAS


def test_every_extra_installs_its_distribution() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {extra: extras[extra][0].partition(">")[0] for extra in EXTRAS} == {extra: f"lnas-{extra}" for extra in EXTRAS}


@pytest.mark.parametrize(
    ("kind", "name", "extra"),
    [("executor", "ray", "ray"), ("strategy", "pc-darts", "pcdarts"), ("importance", "snip", "importances")],
)
def test_a_part_that_is_not_installed_comes_with_a_command(kind: str, name: str, extra: str) -> None:
    registry = Host(entry_points=False).registry
    with pytest.raises(PluginError) as caught:
        registry.get(kind, name)
    command = f"it comes with lnas-{extra}; install it with: pip install 'lnas[{extra}]'"
    assert str(caught.value) == f"{kind} {name!r} is not available: {command}"
    assert registry.uninstalled(name) == registry.uninstalled(name, kind) == (kind, extra)


def test_one_that_is_installed_and_switched_off_is_not_to_be_installed() -> None:
    off = PluginRecord("ray", "lnas-ray", "0.1", "entry point", status="disabled", error="switched off by --no-plugins")
    registry = Registry([*Host(entry_points=False).plugins, off])
    with pytest.raises(PluginError, match=r"executor 'ray' is not available: plugin ray is switched off by --no-plugins; "):
        registry.get("executor", "ray")
    assert registry.uninstalled("ray") is None


def test_a_name_of_another_kind_is_unknown() -> None:
    with pytest.raises(UnknownNameError, match="unknown strategy 'ray'; there are: darts, random"):
        Host(entry_points=False).registry.get("strategy", "ray")
