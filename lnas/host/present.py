"""Whether the plugins that a run was made with are there: it cannot go on without them, nor can its network be built."""

import json
from collections.abc import Mapping, Sequence

from lnas.core.errors import PluginError
from lnas.host.registry import PluginRecord, named
from lnas.host.rundir import RunDirectory


def check_present(directory: RunDirectory, plugins: Sequence[PluginRecord]) -> None:
    """Refuse to go on with a run without a plugin that took part.

    Raises:
        PluginError: naming the first that is missing, and how to have it.
    """
    for name, version in _made_with(directory).items():
        record = named(name, plugins)
        if record is None:
            way = "install it, or where it is a single file, give it again with --plugin FILE.py"
            raise PluginError(f"{directory.path} was made with plugin {name} {version}, which is not there; {way}")
        if record.status != "active":
            raise PluginError(f"{directory.path} was made with plugin {name} {version}, which {record.trouble}")


def _made_with(directory: RunDirectory) -> Mapping[str, str]:
    """The versions of the plugins that take part, by name; none where environment.json does not say."""
    try:
        known = json.loads(directory.environment.read_text(encoding="utf-8"))["plugins"]
        return {str(plugin["name"]): str(plugin["version"]) for plugin in known}
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return {}
