"""Whether the plugins that a run was made with are there: it cannot go on without them, nor can its network be built."""

from collections.abc import Sequence

from lnas.core.errors import PluginError
from lnas.host.registry import PluginRecord, named
from lnas.host.rundir import RunDirectory


def check_present(directory: RunDirectory, plugins: Sequence[PluginRecord]) -> None:
    """Refuse to go on with a run without a plugin that took part.

    Raises:
        PluginError: naming the first that is missing, and how to have it.
    """
    for name, version in directory.plugins().items():
        record = named(name, plugins)
        if record is None:
            way = "install it, or where it is a single file, give it again with --plugin FILE.py"
            raise PluginError(f"{directory.path} was made with plugin {name} {version}, which is not there; {way}")
        if record.status != "active":
            raise PluginError(f"{directory.path} was made with plugin {name} {version}, which {record.trouble}")
