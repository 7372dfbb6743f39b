"""A part under the name "under-test", beside the built-in ones: for rules on what the rest of lnas makes of it."""

import unittest
from typing import Any

from lnas.host.hookspecs import HOOKS, Register, hookimpl
from lnas.host.plugins import Host
from lnas.host.registry import Registry

NAME = "under-test"


def registry_with(kind: str, part: Any) -> Registry:
    """The built-in parts and this one.

    Args:
        kind: of the part.
        part: "module:Object", or the object where it can be found by its module and name.

    Raises:
        unittest.SkipTest: where it cannot: it was made within a function.
    """
    target = part if isinstance(part, str) else f"{part.__module__}:{part.__qualname__}"
    if "<" in target:
        raise unittest.SkipTest(f"{target} was made within a function, where nobody else finds it")

    def offer(self: object, register: Register) -> None:
        register(NAME, target, summary="the part that is checked")

    offer.__name__ = HOOKS[kind]
    plugin = type("Conformance", (), {HOOKS[kind]: hookimpl(offer)})
    return Host([plugin()], entry_points=False).registry
