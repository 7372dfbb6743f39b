"""It keeps the rules of every strategy, whether it measures at every step or not within a search."""

import unittest
from unittest import mock

import pytest
from lnas_robust import RobustDarts

from lnas.testing import StrategySuite

pytestmark = pytest.mark.filterwarnings("ignore:the search is over at step")


class TestBetweenMeasurements(StrategySuite):
    part = "lnas_robust.strategy:RobustDarts"
    plugin = "lnas_robust"
    options = {"every": 1000.0}


class TestMeasuringAtEveryStep(StrategySuite):
    part = "lnas_robust.strategy:RobustDarts"
    plugin = "lnas_robust"
    options = {"every": 1.0, "window": 1, "ratio": 0.5, "iterations": 3}


def test_a_step_waits_where_a_measurement_is_due_and_nowhere_else() -> None:
    with mock.patch.object(RobustDarts, "waits", ""):
        TestBetweenMeasurements().test_a_step_waits_for_nothing()
        with pytest.raises(AssertionError, match="step on"):
            TestMeasuringAtEveryStep().test_a_step_waits_for_nothing()
    with pytest.raises(unittest.SkipTest, match="it says that a step waits: where a measurement is due"):
        TestMeasuringAtEveryStep().test_a_step_waits_for_nothing()
