"""Whether the plugins that a run was made with are there: it cannot go on without them, nor can its network be built."""

from collections.abc import Mapping, Sequence

from lnas.core.errors import PluginError, RunError
from lnas.host import documents
from lnas.host.registry import PluginRecord, named
from lnas.host.rundir import RunDirectory


def check_present(directory: RunDirectory, plugins: Sequence[PluginRecord]) -> None:
    """Refuse to go on with a run without a plugin that took part.

    Raises:
        PluginError: naming the first that is missing, and how to have it.
        RunError: where environment.json is there and does not say which took part.
    """
    for name, version in _made_with(directory).items():
        record = named(name, plugins)
        if record is None:
            way = "install it, or where it is a single file, give it again with --plugin FILE.py"
            raise PluginError(f"{directory.path} was made with plugin {name} {version}, which is not there; {way}")
        if record.status != "active":
            raise PluginError(f"{directory.path} was made with plugin {name} {version}, which {record.trouble}")


def _made_with(directory: RunDirectory) -> Mapping[str, str]:
    """The versions of the plugins that take part, by name; none where environment.json was not yet written."""
    try:
        known = documents.read(directory.environment)["plugins"]
        return {str(plugin["name"]): str(plugin["version"]) for plugin in known}
    except FileNotFoundError:
        return {}
    except OSError as error:
        words = f"it cannot be read: {error.strerror or error}"
    except ValueError as error:
        words = f"cannot be used: {error}"
    except (KeyError, TypeError):
        words = "it does not name the plugins of the run"
    raise RunError(f"{directory.environment}: {words}; put it back, or remove it to go on with the plugins that are there")
