"""Which parts there are, who offers them, and how a name becomes one of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, TypeAlias

from lnas.core.errors import ConfigError, LnasError, PluginError, UnknownNameError
from lnas.host.hookspecs import HOOKS

KINDS = tuple(HOOKS)
"""strategy, space, schedule, target, importance, recipe, dataset, observer."""

BUILT_IN = "lnas"
"""The name of the plugin that holds the built-in parts: `lnas/darts` is DARTS, whatever else is called darts."""

Origin: TypeAlias = Literal["built-in", "entry point", "argument"]

_MOST_OF_AN_ERROR = 300


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
    """

    kind: str
    name: str
    target: str
    summary: str
    plugin: str
    distribution: str | None = None
    version: str | None = None

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
        name: the entry point's, or the module's or class's where it was an argument.
        distribution: the pip distribution; None where it has none.
        version: of that distribution.
        origin: where it was found.
        status: "failed" where its import or one of its hooks failed; then none of its parts can be used.
        error: one line; None unless it failed.
        components: what it registered, before it failed if it did.
    """

    name: str
    distribution: str | None
    version: str | None
    origin: Origin
    status: Literal["active", "failed"] = "active"
    error: str | None = None
    components: tuple[Component, ...] = ()

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
            UnknownNameError: with the nearest name, and the plugins that failed and may have offered it.
            ConfigError: where several plugins offer the short name; it names them.
            PluginError: where the plugin that offers it failed; it names plugin, version and error.
        """
        plugin, slash, short = name.rpartition("/")
        if slash:
            return self._of_plugin(kind, plugin, short)
        found = [part for part in self.all(kind) if part.name == name]
        built_in = [part for part in found if part.plugin == BUILT_IN]
        if len(found) > 1 and not built_in:
            ways = " or ".join(part.qualified for part in found)
            raise ConfigError(f"{kind} {name!r} is offered by {' and by '.join(part.plugin for part in found)}; write {ways}")
        if found:
            return (built_in or found)[0]
        failed = [plugin for plugin in self.plugins if plugin.status == "failed"]
        for record in failed:
            if any((part.kind, part.name) == (kind, name) for part in record.components):
                raise _unavailable(kind, name, record)
        unknown = UnknownNameError(kind, name, {part.name for part in self.all(kind)})
        if failed:
            unknown.args = ("; ".join([str(unknown), *(f"{plugin} failed: {plugin.error}" for plugin in failed)]),)
        raise unknown

    def _of_plugin(self, kind: str, plugin: str, name: str) -> Component:
        _check_kind(kind)
        records = [record for record in self.plugins if record.name == plugin]
        if not records:
            raise UnknownNameError("plugin", plugin, (record.name for record in self.plugins))
        if records[0].status == "failed":
            raise _unavailable(kind, name, records[0])
        parts = {part.name: part for part in records[0].components if part.kind == kind}
        if name not in parts:
            raise UnknownNameError(f"{kind} of plugin {plugin}", name, parts)
        return parts[name]


def described(plugin: str, distribution: str | None, version: str | None) -> str:
    """A plugin for messages: "plugin cubic (lnas-cubic 0.2)"."""
    if plugin == BUILT_IN:
        return f"lnas {version}" if version else "lnas"
    source = " ".join(word for word in (distribution, version) if word)
    return f"plugin {plugin} ({source})" if source else f"plugin {plugin}"


def in_one_line(error: BaseException) -> str:
    """The message of an error, and its type where it is foreign: one line, no control characters, not too long."""
    try:
        message = str(error)
    except Exception:  # an error whose message raises is still only an error
        message = ""
    if not isinstance(error, LnasError):
        message = f"{type(error).__name__}: {message}" if message else type(error).__name__
    text = "".join(character if character.isprintable() else "?" for character in " ".join(message.split()))
    return text if len(text) <= _MOST_OF_AN_ERROR else f"{text[: _MOST_OF_AN_ERROR - 3]}..."


def _check_kind(kind: str) -> None:
    if kind not in HOOKS:
        raise UnknownNameError("kind of component", kind, HOOKS)


def _unavailable(kind: str, name: str, plugin: PluginRecord) -> PluginError:
    return PluginError(f"{kind} {name!r} is not available: {plugin} failed: {plugin.error}")
