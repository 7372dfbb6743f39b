"""Finds plugins, and asks each what it offers.  A plugin that fails is recorded and skipped; the others never notice."""

import difflib
import inspect
import os
import sys
import time
import traceback
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from typing import Any

import pluggy

from lnas import __version__
from lnas.core.errors import ConfigError, LnasError, PluginError
from lnas.host import hookspecs
from lnas.host.foreign import Voice, in_one_line
from lnas.host.found import Found, argument, built_in, file, installed
from lnas.host.hookspecs import HOOKS, PLUGIN_API, PROJECT
from lnas.host.registry import BUILT_IN, TARGET, Component, PluginRecord, Registry
from lnas.host.spec import NAME, parse_options, shown
from lnas.host.switches import LOAD, Switches, canonical

__all__ = ["Host", "PluginRecord"]

SLOW = 1000.0
"""Milliseconds: a plugin that takes longer to load is warned about, for every command waits for it."""


class Host:
    """All parts that can be used: the built-in ones, those of `plugins`, of files, and of installed plugins.

    Each host has a plugin manager of its own, and nothing is global.

    Attributes:
        plugins: every plugin that was found, in the order in which they take names, also those that are not active.
        registry: the parts of those that are.
        warnings: one line for each plugin that failed, does not fit or is slow; whoever has a terminal shows it once.
    """

    def __init__(self, plugins: Iterable[object] = (), *, entry_points: bool = True, switches: Switches | None = None) -> None:
        """Find and register.

        Args:
            plugins: modules or objects with hook implementations, beside those that are installed.
            entry_points: whether to look for installed plugins.
            switches: which are loaded; those of the environment unless given.

        Raises:
            PluginError: where a plugin fails and `switches.strict`.
            ConfigError: where a file of `switches.files` is none, or an environment variable cannot be one.
        """
        self._switches = switches = Switches.of(os.environ) if switches is None else switches
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._warnings: list[str] = []
        found = [*map(argument, _listed(plugins)), *map(file, dict.fromkeys(switches.files))]
        if entry_points:
            others, trouble = installed()
            found += others
            self._warnings += trouble
            if trouble and switches.strict:
                raise PluginError(trouble[0])
        # Not isolated: where the built-in parts fail, lnas is broken.
        began = time.perf_counter()
        records = [replace(self._activated(built_in(), []), milliseconds=1000 * (time.perf_counter() - began))]
        for plugin in found:
            records.append(self._isolated(plugin, records))
        self.plugins = tuple(records)
        self.registry = Registry(records)
        self._warnings += self._unused_switches()

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for each plugin that is not as its user may expect."""
        return (*self._warnings, *(line for record in self.plugins if (line := _warning(record))))

    def _isolated(self, found: Found, others: list[PluginRecord]) -> PluginRecord:
        """Load one plugin, ask it for its parts, and record how that went, whatever it does."""
        record = found.record
        switch = self._switches.off(record.name, record.distribution, installed=record.origin == "entry point")
        if record.origin == "entry point" and not self._switches.installed:
            switch = "--no-plugins"
        if switch:
            return replace(record, status="disabled", error=f"switched off by {switch}")
        taken = next((other for other in others if other.name == record.name and other.status != "disabled"), None)
        if taken is not None:
            return replace(record, status="shadowed", error=f"the name is that of {taken}; {_way_out(taken, record)}")
        offered: list[Component] = []
        began, voice = time.perf_counter(), Voice()
        try:
            with redirect_stdout(voice):
                record = self._activated(found, offered)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # foreign code: it may even exit
            if self._switches.strict:
                raise PluginError(f"{record} failed: {in_one_line(error)}") from error
            text = "".join(traceback.format_exception(error))
            record = replace(record, status="failed", error=in_one_line(error), components=tuple(offered), traceback=text)
        if record.status == "incompatible" and self._switches.strict:
            raise PluginError(f"{record} {record.trouble}")
        return replace(record, milliseconds=1000 * (time.perf_counter() - began), printed=voice.used)

    def _activated(self, found: Found, offered: list[Component]) -> PluginRecord:
        """Register a plugin and call its hooks.  Where that fails, `offered` holds what it had registered by then."""
        record, plugin = found.record, found.load()
        if record.version is None and isinstance(version := getattr(plugin, "__version__", None), str):
            record = replace(record, version=version)
        if not NAME.fullmatch(record.name):
            raise PluginError(f'{shown(record.name)} cannot be the name of a plugin; letters, digits, "_", "-" and "." only')
        if any(plugin is other for other in self._manager.get_plugins()):
            raise PluginError(f"it is the same object as the plugin {self._manager.get_name(plugin)}")
        hash(plugin)  # pluggy keeps plugins in sets
        if (wrong := _other_api(plugin)) is not None:
            return replace(record, status="incompatible", error=wrong)
        try:
            self._manager.register(plugin, record.name)
            self._check_hooks(plugin)
            for kind, hook in HOOKS.items():
                self._call(kind, hook, plugin, record, offered)
        except BaseException:
            if self._manager.get_plugin(record.name) is plugin:
                self._manager.unregister(name=record.name)
            raise
        return replace(record, components=tuple(offered))

    def _call(self, kind: str, hook: str, plugin: object, record: PluginRecord, offered: list[Component]) -> None:
        """Call one hook of one plugin, where it has it."""
        if not any(implementation.plugin is plugin for implementation in getattr(self._manager.hook, hook).get_hookimpls()):
            return
        others = [other for other in self._manager.get_plugins() if other is not plugin]
        before = len(offered)
        self._manager.subset_hook_caller(hook, others)(register=_Collector(kind, record, offered))
        if self._switches.trace:
            names = ", ".join(part.name for part in offered[before:]) or "nothing"
            print(f"lnas: trace: {hook} of {record}: {names}", file=sys.stderr)

    def _check_hooks(self, plugin: object) -> None:
        """Refuse hooks that nothing would ever call, and a plugin without any."""
        hooks = {
            caller.name: caller.has_spec() or all(i.optionalhook for i in caller.get_hookimpls() if i.plugin is plugin)
            for caller in self._manager.get_hookcallers(plugin) or ()
        }
        for name, known in hooks.items():
            if not known:
                near = difflib.get_close_matches(name, HOOKS.values(), n=1)
                hint = f"did you mean {near[0]}?" if near else f"the hooks are {', '.join(HOOKS.values())}"
                raise PluginError(f"there is no hook {name}; {hint}")
        for caller in self._manager.get_hookcallers(plugin) or ():
            for implementation in caller.get_hookimpls():
                if implementation.plugin is plugin and _runs_later(implementation.function):
                    raise PluginError(f"its function {caller.name} is a generator or a coroutine; it must call register at once")
        for name in HOOKS.values():
            if name not in hooks and callable(getattr(plugin, name, None)):
                raise PluginError(f"its function {name} is not marked; write @lnas.hookimpl above it")
        if not hooks:
            raise PluginError(f"it implements no hook; the hooks are {', '.join(HOOKS.values())}")

    def _unused_switches(self) -> list[str]:
        """A switch that names no plugin is a slip of the finger, or of a plugin that is gone: it costs a line."""
        there = {canonical(name): name for record in self.plugins for name in (record.name, record.distribution) if name}
        lines = []
        named = {**dict.fromkeys(self._switches.only or (), LOAD), **(self._switches.disabled or {})}
        for name, switch in named.items():
            if name == BUILT_IN and switch != LOAD:
                lines.append(f"{switch}: lnas itself cannot be switched off")
            elif name not in there:
                near = difflib.get_close_matches(name, there, n=1)
                hint = f"; did you mean {there[near[0]]}?" if near else ""
                lines.append(f"{switch}: there is no plugin {name}{hint}")
        return lines


def _warning(record: PluginRecord) -> str | None:
    if record.status == "failed":
        return f"{record} cannot be used: {record.error}; see lnas plugins info {record.name}"
    if record.status in ("incompatible", "shadowed"):
        return f"{record} {record.trouble}"
    if record.printed:
        return f"{record} prints to standard output while it is loaded, which is for results; it went to standard error"
    if record.milliseconds > SLOW:
        return f"{record} took {record.milliseconds / 1000:.1f} s to load; --disable-plugin {record.name} leaves it out"
    return None


def _listed(plugins: Iterable[object]) -> list[object]:
    if isinstance(plugins, str) or not isinstance(plugins, Iterable):
        raise ConfigError(f"plugins must be a list of modules or objects, not {shown(plugins)}; write plugins=[...]")
    return list(plugins)


def _way_out(taken: PluginRecord, record: PluginRecord) -> str:
    """How to have the plugin whose name is taken."""
    if taken.distribution is not None and taken.distribution == record.distribution:
        return "its distribution uses it twice"
    if taken.origin == "built-in":
        return "give this one another"
    if taken.origin == "entry point" and taken.distribution:
        return f"to use this one, write --disable-plugin {taken.distribution}"
    return "to use this one, leave that one out"


def _runs_later(function: object) -> bool:
    kinds = (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    return any(is_one(function) for is_one in kinds)


def _other_api(plugin: Any) -> str | None:
    """What is wrong with the plugin API that a plugin was written for; None where nothing is, or it does not say."""
    wanted = getattr(plugin, "PLUGIN_API", PLUGIN_API)
    if isinstance(wanted, bool) or not isinstance(wanted, int):
        raise PluginError(f"its PLUGIN_API is {shown(wanted)}; it must be a whole number, now {PLUGIN_API}")
    if wanted in (PLUGIN_API, PLUGIN_API - 1):
        return None
    other = "a newer lnas" if wanted > PLUGIN_API else "a newer version of the plugin"
    return f"it is written for plugin API {wanted}, and lnas {__version__} has {PLUGIN_API}; install {other}"


@dataclass
class _Collector:
    """The `register` that one hook of one plugin is handed."""

    kind: str
    record: PluginRecord
    offered: list[Component] = field(repr=False)

    def __call__(self, name: str, target: str, *, summary: str = "", small: str = "") -> None:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise PluginError(f'{shown(name)} cannot be the name of a {self.kind}; letters, digits, "_", "-" and "." only')
        if not isinstance(target, str) or not TARGET.fullmatch(target):
            raise PluginError(f'{self.kind} {name}: {shown(target)} is no "module:Object"')
        if not isinstance(summary, str):
            raise PluginError(f"{self.kind} {name}: the summary must be text, not {shown(summary)}")
        if any((part.kind, part.name) == (self.kind, name) for part in self.offered):
            raise PluginError(f"{self.kind} {name} is registered twice")
        try:
            options = parse_options(small)
        except (LnasError, TypeError) as error:
            raise PluginError(f"{self.kind} {name}: small={shown(small)}: {error}") from error
        record, line = self.record, " ".join(summary.split())
        self.offered.append(Component(self.kind, name, target, line, record.name, record.distribution, record.version, options))
