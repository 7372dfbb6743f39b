"""Which parts there are, who offers them, and how a name becomes one of them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, TypeAlias

from lnas.core.errors import ConfigError, PluginError, UnknownNameError
from lnas.host.first_party import missing as not_installed
from lnas.host.first_party import offered_by
from lnas.host.foreign import aside, in_one_line
from lnas.host.hookspecs import HOOKS

KINDS = tuple(HOOKS)
"""strategy, space, schedule, target, importance, recipe, dataset, observer, executor, cost, section, command."""

BUILT_IN = "lnas"
"""The name of the plugin that holds the built-in parts: `lnas/darts` is DARTS, whatever else is called darts."""

Origin: TypeAlias = Literal["built-in", "entry point", "file", "argument"]
Status: TypeAlias = Literal["active", "disabled", "failed", "incompatible", "shadowed"]

TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
"""What the place of a part looks like: "module:Object"."""

_MOST_TROUBLES = 4


@dataclass(frozen=True)
class Component:
    """A part that is registered but perhaps not imported yet.

    Attributes:
        kind: one of `KINDS`.
        name: the word a user types.
        target: "module:Object".
        summary: one line for a list.
        plugin: the name of the plugin that offers it.
        distribution: the pip distribution of that plugin; None where it has none.
        version: of that distribution.
        small: options that make it quick to check.
    """

    kind: str
    name: str
    target: str
    summary: str
    plugin: str
    distribution: str | None = None
    version: str | None = None
    small: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def qualified(self) -> str:
        """The name that no other plugin can take: "plugin/name"."""
        return f"{self.plugin}/{self.name}"

    def load(self) -> Callable[..., Any]:
        """Import the part.

        Raises:
            PluginError: naming plugin and version, where that fails in whatever way or gives nothing that can be called.
        """
        module, _, path = self.target.partition(":")
        try:
            with aside():
                part: object = import_module(module)
                for attribute in path.split("."):
                    part = getattr(part, attribute)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # foreign code: it may even exit
            raise PluginError(f"{self} ({self.target}) cannot be loaded: {in_one_line(error)}") from error
        if not callable(part):
            raise PluginError(f"{self} ({self.target}) is a {type(part).__name__} and cannot be called")
        return part

    def __str__(self) -> str:
        """For messages: the part, its plugin and its version."""
        return f"{self.kind} {self.name} of {described(self.plugin, self.distribution, self.version)}"


@dataclass(frozen=True)
class PluginRecord:
    """One plugin, and what became of it.

    Attributes:
        name: the entry point's, the file's without .py, or the module's or class's where it was an argument.
        distribution: the pip distribution; None where it has none.
        version: of that distribution.
        origin: how it was found.
        place: where it is: the entry point's module, the file, or the type of an argument.
        status: "active"; else none of its parts can be used: "disabled" by a switch, "failed" where its import or one of its
            hooks failed, "incompatible" where it is written for another plugin API, "shadowed" where its name is taken.
        error: why it is not active, in one line.
        components: what it registered, before it failed if it did.
        milliseconds: that loading it and calling its hooks took.
        traceback: of the failure; empty where there was none.
        printed: whether it wrote to standard output meanwhile; that went to standard error.
    """

    name: str
    distribution: str | None
    version: str | None
    origin: Origin
    place: str = ""
    status: Status = "active"
    error: str | None = None
    components: tuple[Component, ...] = ()
    milliseconds: float = 0.0
    traceback: str = field(default="", repr=False)
    printed: bool = False

    @property
    def trouble(self) -> str:
        """Why it is not active, in words that follow its name: "failed: ValueError: ..."."""
        if self.status == "failed":
            return f"failed: {self.error}; see lnas plugins info {self.name}"
        return f"is {self.status}: {self.error}"

    def __str__(self) -> str:
        """For messages: name, distribution and version."""
        return described(self.name, self.distribution, self.version)


class Registry:
    """Kind -> name -> component.

    A short name is the built-in part's where there is one, else that of the only plugin that offers it; "plugin/name"
    always works.  A clash between plugins is an error when the name is used, not before.
    """

    def __init__(self, plugins: Iterable[PluginRecord]) -> None:
        self.plugins = tuple(plugins)

    def all(self, kind: str) -> tuple[Component, ...]:
        """Every usable component of a kind, by name, then by plugin.

        Raises:
            UnknownNameError: where the kind is none.
        """
        _check_kind(kind)
        found = [part for plugin in self.plugins if plugin.status == "active" for part in plugin.components if part.kind == kind]
        return tuple(sorted(found, key=lambda part: (part.name, part.plugin != BUILT_IN, part.plugin)))

    def get(self, kind: str, name: str) -> Component:
        """The component that a name means.

        Args:
            kind: one of `KINDS`.
            name: "name" or "plugin/name".

        Raises:
            UnknownNameError: with the nearest name.
            ConfigError: where several plugins offer the short name; it names them with their versions.
            PluginError: where a plugin that is not active offers it, or may offer it; it names plugin, version and why.
        """
        plugin, slash, short = name.rpartition("/")
        if slash:
            return self._of_plugin(kind, plugin, short)
        found = [part for part in self.all(kind) if part.name == name]
        built_in = [part for part in found if part.plugin == BUILT_IN]
        if len(found) > 1 and not built_in:
            offers = " and by ".join(described(part.plugin, part.distribution, part.version) for part in found)
            raise ConfigError(f"{kind} {name!r} is offered by {offers}; write {' or '.join(p.qualified for p in found)}")
        if found:
            return (built_in or found)[0]
        missing = [record for record in self.plugins if record.status != "active"]
        for record in missing:
            if any((part.kind, part.name) == (kind, name) for part in record.components):
                raise _unavailable(kind, name, record)
        extra = self.uninstalled(name, kind)
        if extra is not None and not missing:
            raise PluginError(not_installed(kind, name, extra[1]))
        nowhere = self._nowhere(kind, name, missing)
        if extra is not None:  # a plugin that is missing may have it, and so has one of ours
            raise PluginError(f"{nowhere}; or install it with: pip install 'lnas[{extra[1]}]'")
        raise nowhere

    def uninstalled(self, name: str, kind: str | None = None) -> tuple[str, str] | None:
        """Kind and extra of a first-party part whose distribution is not installed; None where there is no such part."""
        offered = offered_by(name, kind)
        installed = offered is not None and any(record.distribution == f"lnas-{offered[1]}" for record in self.plugins)
        return None if installed else offered

    def _of_plugin(self, kind: str, plugin: str, name: str) -> Component:
        _check_kind(kind)
        record = named(plugin, self.plugins)
        if record is None:
            raise UnknownNameError("plugin", plugin, (record.name for record in self.plugins))
        if record.status != "active":
            raise _unavailable(kind, name, record)
        parts = {part.name: part for part in record.components if part.kind == kind}
        if name not in parts:
            raise UnknownNameError(f"{kind} of plugin {plugin}", name, parts)
        return parts[name]

    def _nowhere(self, kind: str, name: str, missing: Sequence[PluginRecord]) -> ConfigError | PluginError:
        """The error for a name that no active plugin offers: it is not unknown where a plugin that is missing may have it."""
        unknown = UnknownNameError(kind, name, {part.name for part in self.all(kind)})
        if not missing:
            return unknown
        _, _, known = str(unknown).partition("; ")
        lines = [f"{record} {record.trouble}" for record in missing if record.status != "disabled"]
        off: dict[str | None, list[str]] = {}
        for record in missing:
            if record.status == "disabled":
                off.setdefault(record.error, []).append(record.name)
        lines += [
            f"plugin{'s' * (len(names) > 1)} {', '.join(names)} {'are' if len(names) > 1 else 'is'} {error}"
            for error, names in off.items()
        ]
        more = [f"and {len(lines) - _MOST_TROUBLES} more; see lnas plugins list"] if len(lines) > _MOST_TROUBLES else []
        troubles = "; ".join([*lines[:_MOST_TROUBLES], *more])
        return PluginError(f"{kind} {name!r} is not available: {troubles}; {known}")


def named(name: str, plugins: Sequence[PluginRecord]) -> PluginRecord | None:
    """The plugin of that name, or of the distribution of that name; of several, the one that is active, else the first."""
    found = [record for record in plugins if record.name == name] or [r for r in plugins if r.distribution == name]
    return next((record for record in found if record.status == "active"), found[0] if found else None)


def described(plugin: str, distribution: str | None, version: str | None) -> str:
    """A plugin for messages: "plugin cubic (lnas-cubic 0.2)"."""
    if plugin == BUILT_IN and distribution in (None, "lnas"):
        return f"lnas {version}" if version else "lnas"
    source = " ".join(word for word in (distribution, version) if word)
    return f"plugin {plugin} ({source})" if source else f"plugin {plugin}"


def _check_kind(kind: str) -> None:
    if kind not in HOOKS:
        raise UnknownNameError("kind of component", kind, HOOKS)


def _unavailable(kind: str, name: str, plugin: PluginRecord) -> PluginError:
    return PluginError(f"{kind} {name!r} is not available: {plugin} {plugin.trouble}")
