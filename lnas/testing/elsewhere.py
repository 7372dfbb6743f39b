"""A suite in words of JSON, and the suite again from them, in a process that has not imported it."""

import sys
import unittest
from collections.abc import Mapping
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, TypeAlias

from lnas.testing.suite import Suite

Words: TypeAlias = Any
"""JSON."""

_MADE_BY_PYTHON = ("__abstractmethods__", "__dict__", "__doc__", "__module__", "__weakref__", "_abc_impl", "__parameters__")


def described(suite: type[Suite]) -> Words:
    """Where the suite, or what it is made of, is found.

    Raises:
        unittest.SkipTest: where it is nowhere that another process could import it from.
    """
    return {"suite": _value(suite, suite.__qualname__), "part": _module(suite.part) if isinstance(suite.part, str) else None}


def found(words: Words) -> type[Suite]:
    """The suite of which `described` gave the words."""
    if words["part"] is not None:
        _imported(words["part"])
    suite: type[Suite] = _made(words["suite"])
    return suite


def _value(value: Any, where: str) -> Words:
    if value is None or isinstance(value, bool | int | float | str):
        return {"is": value}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_value(entry, where) for entry in value]}
    if isinstance(value, Mapping):
        return {"mapping": {key: _value(entry, where) for key, entry in value.items()}}
    if isinstance(value, staticmethod):
        return {"static": _value(value.__func__, where)}
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", "<no name>")
    if module in sys.modules and _is_found(module) and _inside(sys.modules[module], name) is value:
        return {"module": _module(module), "name": name}
    if isinstance(value, type) and issubclass(value, Suite):  # as `lnas plugins check` makes them, and scripts
        own = {key: entry for key, entry in vars(value).items() if key not in _MADE_BY_PYTHON}
        values = {key: _value(entry, f"{where}.{key}") for key, entry in own.items()}
        return {"class": value.__name__, "bases": [_value(base, where) for base in value.__bases__], "values": values}
    raise unittest.SkipTest(
        f"{where} is {name}, which another process cannot import: define the suite, and all that it names, at the top of a module"
    )


def _made(words: Words) -> Any:
    if "is" in words:
        return words["is"]
    if "module" in words:
        return _inside(_imported(words["module"]), words["name"])
    if "class" in words:
        values = {key: _made(entry) for key, entry in words["values"].items()}
        return type(words["class"], tuple(_made(base) for base in words["bases"]), values)
    if "mapping" in words:
        return {key: _made(entry) for key, entry in words["mapping"].items()}
    if "static" in words:
        return staticmethod(_made(words["static"]))
    [(kind, entries)] = words.items()
    return {"list": list, "tuple": tuple}[kind](map(_made, entries))


def _module(name: str) -> Words:
    """The module of "module:Object", with the file that it was imported from, for a name may lead elsewhere there."""
    name = name.partition(":")[0]
    return {"import": name, "file": getattr(sys.modules.get(name), "__file__", None)}


def _imported(words: Words) -> Any:
    """The module from its file, whether or not the path of imports leads to it."""
    name, file = words["import"], words["file"]
    if name not in sys.modules and file is not None and not _leads_to(name, file):
        spec = spec_from_file_location(name, file)
        assert spec is not None and spec.loader is not None
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return import_module(name)


def _is_found(module: str) -> bool:
    """Whether another process can import a module that is here: not what runs as the program, nor what was made by hand."""
    made = getattr(sys.modules[module], "__file__", None) is None and module not in sys.builtin_module_names
    return module != "__main__" and not made


def _leads_to(name: str, file: str) -> bool:
    """Whether an import of that name would read that file."""
    ends = (f"{name.replace('.', '/')}.py", f"{name.replace('.', '/')}/__init__.py")
    return Path(file).resolve() in {(Path(place) / end).resolve() for place in sys.path for end in ends}


def _inside(module: Any, name: str) -> Any:
    """What stands under a qualified name, or None."""
    value = module
    for part in name.split("."):
        value = getattr(value, part, None)
    return value
