"""Where plugins come from: each is found under its name, and loaded by whoever asks for it."""

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from lnas import __version__
from lnas.core.errors import ConfigError, PluginError
from lnas.host.foreign import in_one_line
from lnas.host.hookspecs import PROJECT
from lnas.host.registry import BUILT_IN, PluginRecord

_LOADING = threading.RLock()
_BUILT_IN_MODULE = "lnas.builtin.plugin"


@dataclass(frozen=True)
class Found:
    """A plugin that is not loaded yet.

    Attributes:
        record: its name, distribution, version and origin.
        load: gives the module or object; it may do anything, for it is foreign code.
    """

    record: PluginRecord
    load: Callable[[], object]


def built_in() -> Found:
    """The built-in parts, which come through the hooks that strangers use."""
    entry_point = metadata.EntryPoint(BUILT_IN, _BUILT_IN_MODULE, PROJECT)
    return Found(PluginRecord(BUILT_IN, "lnas", __version__, "built-in", _BUILT_IN_MODULE), entry_point.load)


def argument(plugin: object) -> Found:
    """A module or an object that was handed over; its name is its `__name__` or that of its class."""
    try:
        name = getattr(plugin, "__name__", None)
    except Exception:  # foreign code; loading it will say more
        name = None
    name = name if isinstance(name, str) else type(plugin).__name__
    return Found(PluginRecord(name, None, None, "argument", type(plugin).__name__), lambda: plugin)


def file(path: Path) -> Found:
    """A single Python file, as a module that has the file's name.

    Raises:
        ConfigError: where there is no such file, or its name is none for a module, or that of another module.
    """
    given = path
    try:
        path = path.expanduser().resolve(strict=False)
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"--plugin {given!s:.200}: there is no such file: {in_one_line(error)}") from None
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise ConfigError(f"--plugin {given}: a plugin of one file is a module, NAME.py, and NAME letters, digits and _")
    if not _is_file(path):
        raise ConfigError(f"--plugin {given!s:.200}: there is no such file")
    if _other_module(path, sys.modules.get(path.stem)):
        raise ConfigError(f"--plugin {given}: there is a module {path.stem} already, which this file would hide; rename the file")

    def load() -> ModuleType:
        with _LOADING:  # several hosts, in several threads, load it once
            return sys.modules.get(path.stem) or execute()

    def execute() -> ModuleType:
        spec = spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise PluginError(f"{path} cannot be imported")
        module = sys.modules[path.stem] = module_from_spec(spec)  # where "NAME:Part" is found
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(path.stem, None)
            raise
        return module

    return Found(PluginRecord(path.stem, None, None, "file", str(path)), load)


def installed() -> tuple[list[Found], list[str]]:
    """The entry points by name, then by distribution, and a line where they cannot be listed: that costs no run."""
    trouble: list[str] = []
    try:
        points = list(metadata.entry_points(group=PROJECT))
    except Exception:  # one distribution's files are damaged: each is read by itself
        points = []
        for distribution in metadata.distributions():
            try:
                points += distribution.entry_points.select(group=PROJECT)
            except Exception as error:
                place = getattr(distribution, "_path", "a distribution")
                trouble.append(f"the entry points of {place} cannot be read: {in_one_line(error)}")
    points.sort(key=lambda point: (point.name, _distribution(point)[0] or ""))
    return [Found(PluginRecord(p.name, *_distribution(p), "entry point", p.value), p.load) for p in points], trouble


def _distribution(point: metadata.EntryPoint) -> tuple[str | None, str | None]:
    """The name and version of the distribution that an entry point is part of, where they can be read."""
    try:
        return (point.dist.name, point.dist.version) if point.dist is not None else (None, None)
    except Exception:  # a file of another package is damaged; its plugin is tried all the same
        return None, None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a loop of links
        return False


def _other_module(path: Path, loaded: ModuleType | None) -> bool:
    """Whether the name of the file is that of a module of another place."""
    if loaded is not None:
        return Path(getattr(loaded, "__file__", None) or "").resolve() != path
    spec = find_spec(path.stem)
    return spec is not None and (spec.origin is None or Path(spec.origin).resolve() != path)
