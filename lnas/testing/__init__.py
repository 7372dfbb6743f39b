"""The conformance kit: one suite for each kind of part, which a plugin's own test inherits.

    from lnas.testing import ScheduleSuite

    class TestCubic(ScheduleSuite):
        part = "lnas_cubic:Cubic"

`lnas plugins check NAME` runs the same rules.  Names are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lnas.testing.dataset import DatasetSuite
    from lnas.testing.executor import ExecutorSuite
    from lnas.testing.importance import ImportanceSuite
    from lnas.testing.observer import ObserverSuite
    from lnas.testing.recipe import RecipeSuite
    from lnas.testing.schedule import ScheduleSuite
    from lnas.testing.space import SpaceSuite
    from lnas.testing.strategy import StrategySuite
    from lnas.testing.suite import Suite, Violation, require
    from lnas.testing.target import TargetSuite
    from lnas.testing.verdict import Verdict, judge

__all__ = [
    "DatasetSuite",
    "ExecutorSuite",
    "ImportanceSuite",
    "ObserverSuite",
    "RecipeSuite",
    "ScheduleSuite",
    "SpaceSuite",
    "StrategySuite",
    "Suite",
    "TargetSuite",
    "Verdict",
    "Violation",
    "judge",
    "require",
]

_MODULE_OF = {
    "DatasetSuite": "dataset",
    "ExecutorSuite": "executor",
    "ImportanceSuite": "importance",
    "ObserverSuite": "observer",
    "RecipeSuite": "recipe",
    "ScheduleSuite": "schedule",
    "SpaceSuite": "space",
    "StrategySuite": "strategy",
    "Suite": "suite",
    "TargetSuite": "target",
    "Verdict": "verdict",
    "Violation": "suite",
    "judge": "verdict",
    "require": "suite",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'lnas.testing' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"lnas.testing.{_MODULE_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return __all__
