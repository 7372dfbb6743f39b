"""The suites of a whole plugin: one for each part that it registers."""

import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

import lnas.testing as kit
from lnas.core.errors import ConfigError, PluginError
from lnas.host.foreign import aside, in_one_line
from lnas.host.found import file
from lnas.host.hookspecs import PROJECT
from lnas.host.plugins import Host
from lnas.host.registry import Component, PluginRecord
from lnas.testing.importance import ImportanceSuite
from lnas.testing.suite import Suite, require

SUITES: Mapping[str, str] = {
    "strategy": "StrategySuite",
    "space": "SpaceSuite",
    "schedule": "ScheduleSuite",
    "target": "TargetSuite",
    "importance": "ImportanceSuite",
    "recipe": "RecipeSuite",
    "dataset": "DatasetSuite",
    "observer": "ObserverSuite",
    "executor": "ExecutorSuite",
}
"""The suite of each kind that has one."""


class PlainSuite(Suite):
    """What is asked of a part whose kind has no contract of its own: a cost, a section, a command."""

    def test_it_can_be_imported(self) -> None:
        """The part's name leads to something that can be called."""
        self.loaded()


class CommandSuite(PlainSuite):
    """Of a command."""

    def test_it_is_a_command(self) -> None:
        """The part is a `click.Command`."""
        kinds = {base.__name__ for base in type(self.loaded()).__mro__}  # click belongs to the command line, and is not imported
        require("Command" in kinds, f"{self.part} is a {type(self.loaded()).__name__}; decorate it with @click.command()")


def suite_of(part: Component, plugin: str, options: Mapping[str, object]) -> type[Suite]:
    """The suite of a part, as its author would write it.

    Args:
        part: as it is registered.
        plugin: the module of the entry point.
        options: values by the names of options, over those that the plugin names as small.
    """
    if part.kind in SUITES:
        base: type[Suite] = getattr(kit, SUITES[part.kind])
    else:
        base = CommandSuite if part.kind == "command" else PlainSuite
    made = type(f"Test{part.name}", (base,), {"part": part.target, "plugin": plugin, "options": {**part.small, **options}})
    if issubclass(made, ImportanceSuite):  # its author would say what it is for; here it is asked
        with aside():
            made.targets = made.taken() or base.targets  # type: ignore[attr-defined]
    return made


def opened(path: Path) -> Iterator[tuple[PluginRecord, str]]:
    """The plugins of a file or of a folder that is not installed, each with its module.

    Args:
        path: NAME.py, or the folder of a distribution, whose pyproject.toml names the entry points.

    Raises:
        ConfigError: where it is neither.
        PluginError: where a module cannot be imported, or is no plugin.
    """
    for place, module in _modules(path):
        for folder in (place / "src", place) if path.is_dir() else ():
            if folder.is_dir() and str(folder) not in sys.path:
                sys.path.insert(0, str(folder))
        try:
            with aside():  # a file is loaded as --plugin loads it
                plugin = import_module(module) if path.is_dir() else file(path).load()
        except (KeyboardInterrupt, ConfigError):
            raise
        except BaseException as error:  # foreign code: it may even exit
            raise PluginError(f"{path}: the module {module} cannot be imported: {in_one_line(error)}") from error
        record = Host([plugin], entry_points=False).plugins[-1]
        if record.status != "active":
            raise PluginError(f"{path}: {record} {record.status}: {record.error}")
        yield record, module


def _modules(path: Path) -> list[tuple[Path, str]]:
    """Folders and the modules in them."""
    if path.is_file() and path.suffix == ".py":
        return [(path.resolve().parent, path.stem)]
    project = path / "pyproject.toml"
    if not project.is_file():
        raise ConfigError(f"{path} is neither an active plugin nor a .py file nor a folder with a pyproject.toml")
    try:
        points = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["entry-points"][PROJECT]
        return [(path.resolve(), value.partition(":")[0]) for value in points.values()]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(f"{project} names no entry point: write [project.entry-points.{PROJECT}]") from error
