"""lnas-schedules: how much goes in each round, and N:M patterns.

The table of contents, and the plugin itself.  torch is not imported until a part is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

import lnas

if TYPE_CHECKING:
    from lnas_schedules.curves import Cubic, Exponential, Linear
    from lnas_schedules.pattern import NM

__version__ = "0.1.0"

__all__ = ["NM", "Cubic", "Exponential", "Linear"]

_MODULE_OF = {
    "NM": "lnas_schedules.pattern",
    "Cubic": "lnas_schedules.curves",
    "Exponential": "lnas_schedules.curves",
    "Linear": "lnas_schedules.curves",
}


@lnas.hookimpl
def lnas_schedules(register: lnas.Register) -> None:
    """Three curves."""
    register("cubic", "lnas_schedules.curves:Cubic", summary="fast early and gently late, by a cube")
    register("linear", "lnas_schedules.curves:Linear", summary="the same number of entries in each round")
    register("exponential", "lnas_schedules.curves:Exponential", summary="what is left to do shrinks by one factor in each round")


@lnas.hookimpl
def lnas_targets(register: lnas.Register) -> None:
    """Weights in patterns."""
    register("nm", "lnas_schedules.pattern:NM", summary="N:M patterns: of every m inputs n weights stay, 2 of 4 by default")


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'lnas_schedules' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)
