"""Finds plugins, and asks each what it offers.  A plugin that fails is recorded and skipped; the others never notice."""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any

import pluggy

from lnas import __version__
from lnas.core.errors import PluginError
from lnas.host import hookspecs
from lnas.host.hookspecs import HOOKS, PROJECT
from lnas.host.registry import BUILT_IN, Component, PluginRecord, Registry, in_one_line
from lnas.host.spec import NAME, shown

__all__ = ["Host", "PluginRecord"]

_BUILT_IN_MODULE = "lnas.builtin.plugin"
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


class Host:
    """All parts that can be used: the built-in ones, those of installed plugins, and those of `plugins`.

    Each host has a plugin manager of its own, and nothing is global.

    Attributes:
        plugins: every plugin that was found, in that order, also those that failed.
        registry: the parts of those that did not.
        warnings: one line for each that failed; whoever has a terminal shows it once.
    """

    def __init__(self, plugins: Iterable[object] = (), *, entry_points: bool = True) -> None:
        """Find and register.

        Args:
            plugins: modules or objects with hook implementations, beside those that are installed.
            entry_points: whether to look for installed plugins.
        """
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._warnings: list[str] = []
        built_in = metadata.EntryPoint(BUILT_IN, _BUILT_IN_MODULE, PROJECT)
        records = [self._activated(PluginRecord(BUILT_IN, "lnas", __version__, "built-in"), built_in.load())]
        for entry_point in self._installed() if entry_points else ():
            records.append(self._isolated(entry_point, [record.name for record in records]))
        for plugin in plugins:
            records.append(self._isolated(plugin, [record.name for record in records]))
        self.plugins = tuple(records)
        self.registry = Registry(records)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for each plugin that failed."""
        failed = (f"{record} is switched off: {record.error}" for record in self.plugins if record.status == "failed")
        return (*self._warnings, *failed)

    def _installed(self) -> list[metadata.EntryPoint]:
        """The entry points by name, then by distribution.  Metadata that cannot be read costs the plugins, not the run."""
        try:
            return sorted(metadata.entry_points(group=PROJECT), key=lambda point: (point.name, _distribution(point)[0] or ""))
        except Exception as error:
            self._warnings.append(f"installed plugins cannot be listed: {in_one_line(error)}")
            return []

    def _isolated(self, found: object, taken: list[str]) -> PluginRecord:
        """Load one plugin, ask it for its parts, and record how that went, whatever it does."""
        record = _recorded(found, taken)
        offered: list[Component] = []
        try:
            plugin = found.load() if isinstance(found, metadata.EntryPoint) else found
            return self._activated(record, plugin, offered)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # foreign code: it may even exit
            return replace(record, status="failed", error=in_one_line(error), components=tuple(offered))

    def _activated(self, record: PluginRecord, plugin: Any, offered: list[Component] | None = None) -> PluginRecord:
        """Register a plugin and call its hooks.  Where that fails, `offered` holds what it had registered by then."""
        offered = [] if offered is None else offered
        if not NAME.fullmatch(record.name):
            raise PluginError(f'{shown(record.name)} cannot be the name of a plugin; letters, digits, "_", "-" and "." only')
        if any(plugin is other for other in self._manager.get_plugins()):
            raise PluginError(f"it is the same object as the plugin {self._manager.get_name(plugin)}")
        hash(plugin)  # pluggy keeps plugins in sets
        try:
            self._manager.register(plugin, record.name)
            self._check_hooks(plugin)
            for kind, hook in HOOKS.items():
                others = [other for other in self._manager.get_plugins() if other is not plugin]
                self._manager.subset_hook_caller(hook, others)(register=_Collector(kind, record, offered))
        except BaseException:
            if self._manager.get_plugin(record.name) is plugin:
                self._manager.unregister(name=record.name)
            raise
        return replace(record, components=tuple(offered))

    def _check_hooks(self, plugin: object) -> None:
        """Refuse hooks that nothing would ever call, and a plugin without any."""
        hooks = {
            caller.name: caller.has_spec() or all(i.optionalhook for i in caller.get_hookimpls() if i.plugin is plugin)
            for caller in self._manager.get_hookcallers(plugin) or ()
        }
        for name, known in hooks.items():
            if not known:
                near = difflib.get_close_matches(name, HOOKS.values(), n=1)
                hint = f"did you mean {near[0]}? " if near else ""
                raise PluginError(f"there is no hook {name}; {hint}the hooks are {', '.join(HOOKS.values())}")
        for name in HOOKS.values():
            if name not in hooks and callable(getattr(plugin, name, None)):
                raise PluginError(f"its function {name} is not marked; write @lnas.hookimpl above it")
        if not hooks:
            raise PluginError(f"it implements no hook; the hooks are {', '.join(HOOKS.values())}")


@dataclass
class _Collector:
    """The `register` that one hook of one plugin is handed."""

    kind: str
    record: PluginRecord
    offered: list[Component] = field(repr=False)

    def __call__(self, name: str, target: str, *, summary: str = "") -> None:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise PluginError(f'{shown(name)} cannot be the name of a {self.kind}; letters, digits, "_", "-" and "." only')
        if not isinstance(target, str) or not _TARGET.fullmatch(target):
            raise PluginError(f'{self.kind} {name}: {shown(target)} is no "module:Object"')
        if not isinstance(summary, str):
            raise PluginError(f"{self.kind} {name}: the summary must be text, not {shown(summary)}")
        if any((part.kind, part.name) == (self.kind, name) for part in self.offered):
            raise PluginError(f"{self.kind} {name} is registered twice")
        record, line = self.record, " ".join(summary.split())
        self.offered.append(Component(self.kind, name, target, line, record.name, record.distribution, record.version))


def _recorded(found: object, taken: list[str]) -> PluginRecord:
    """A plugin as it is found, under a name that is still free."""
    if isinstance(found, metadata.EntryPoint):
        distribution, version = _distribution(found)
        return PluginRecord(_free(found.name, distribution, taken), distribution, version, "entry point")
    name = getattr(found, "__name__", None)
    version = getattr(found, "__version__", None)
    name = name if isinstance(name, str) else type(found).__name__
    return PluginRecord(_free(name, None, taken), None, version if isinstance(version, str) else None, "argument")


def _free(name: str, distribution: str | None, taken: list[str]) -> str:
    """The name, or one made of it that nobody has."""
    return next(free for free in _names(name, distribution) if free not in taken)


def _names(name: str, distribution: str | None) -> Iterator[str]:
    yield name
    if distribution:
        yield distribution
    for number in range(2, 1_000_000):
        yield f"{name}-{number}"


def _distribution(point: metadata.EntryPoint) -> tuple[str | None, str | None]:
    """The name and version of the distribution that an entry point is part of, where they can be read."""
    try:
        return (point.dist.name, point.dist.version) if point.dist is not None else (None, None)
    except Exception:  # a file of another package is damaged; its plugin is tried all the same
        return None, None
