"""What every search strategy keeps."""

from lnas.testing.strategy_paths import StrategyPaths
from lnas.testing.strategy_processes import StrategyProcesses
from lnas.testing.strategy_runs import StrategyRuns
from lnas.testing.strategy_states import StrategyStates
from lnas.testing.strategy_steps import StrategySteps


class StrategySuite(StrategyRuns, StrategyProcesses, StrategyPaths, StrategyStates, StrategySteps):
    """The rules of search strategies.

        class TestJoint(StrategySuite):
            part = "lnas_joint:Joint"
            plugin = "lnas_joint"

    The strategy searches tiny cells and a tiny network with two choices; `spaces`, `pairs` and `loss` may be overridden, where
    it needs others.
    """
