"""`[plugins] require = ["lnas-cubic>=0.2"]`: a configuration says which plugins it was written for."""

from collections.abc import Iterable

from packaging.requirements import InvalidRequirement, Requirement

from lnas.core.errors import ConfigError, PluginError
from lnas.host.registry import PluginRecord
from lnas.host.spec import shown
from lnas.host.switches import canonical


def requirement(text: str) -> str:
    """The text, where it is a requirement as pip reads it: a name and perhaps versions.

    Raises:
        ConfigError: where it is none.
    """
    try:
        read = Requirement(text)
    except InvalidRequirement as error:
        reason = shown(str(error).splitlines()[0])[1:-1]  # it quotes the text, however long
        raise ConfigError(f"{shown(text)} is no requirement: {reason}; write lnas-cubic>=0.2") from None
    if read.url or read.extras or read.marker:
        raise ConfigError(f"{shown(text)} is no requirement: a name and versions only, as in lnas-cubic>=0.2")
    return str(read)


def check(requirements: Iterable[str], plugins: Iterable[PluginRecord]) -> None:
    """Compare requirements with what there is; a name is that of a distribution or of a plugin.

    Raises:
        PluginError: naming the first that is not met, and how to meet it.
    """
    plugins = tuple(plugins)
    for text in requirements:
        wanted = Requirement(text)
        name = canonical(wanted.name)
        found = [record for record in plugins if name in {canonical(n) for n in (record.name, record.distribution) if n}]
        if not found:
            raise PluginError(f"plugins.require: {text} is not installed; pip install {str(wanted)!r}")
        record = next((record for record in found if record.status == "active"), found[0])
        if record.status != "active":
            raise PluginError(f"plugins.require: {text} is not available: {record} {record.trouble}")
        if wanted.specifier and not (record.version and wanted.specifier.contains(record.version, prereleases=True)):
            there = f"is {record.version}" if record.version else "has no version"
            raise PluginError(f"plugins.require: {text} is needed, and {record.distribution or record.name} {there}")
