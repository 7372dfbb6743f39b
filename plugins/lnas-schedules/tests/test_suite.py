"""The conformance suites of lnas."""

from typing import ClassVar

from lnas.testing import ScheduleSuite, TargetSuite


class TestCubic(ScheduleSuite):
    part = "lnas_schedules.curves:Cubic"
    plugin = "lnas_schedules"


class TestLinear(ScheduleSuite):
    part = "lnas_schedules.curves:Linear"
    plugin = "lnas_schedules"


class TestExponential(ScheduleSuite):
    part = "lnas_schedules.curves:Exponential"
    plugin = "lnas_schedules"


class TestPattern(TargetSuite):
    part = "lnas_schedules.pattern:NM"
    plugin = "lnas_schedules"
    options: ClassVar[dict[str, object]] = {"n": "1", "m": "2"}
