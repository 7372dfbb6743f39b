"""Runs with a part that are killed, and parts that do not outlive it; suites that another process makes again."""

import json
import time
import unittest
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import nn

import lnas
from lnas.builtin.darts import Darts
from lnas.builtin.targets import Theta
from lnas.testing import StrategySuite, TargetSuite, survival
from lnas.testing.elsewhere import described, found
from lnas.testing.plugin import suite_of
from lnas.testing.subjects import tiny_choices, tiny_network
from lnas.testing.suite import Violation

DONE: set[int] = set()


class OnChoices(StrategySuite):
    part = Darts

    def spaces(self) -> Mapping[str, Callable[[], lnas.SearchSpace]]:
        return {"choices": tiny_choices}


class RemembersInItsModule(Darts):
    """Its process knows which steps it has done; where the last one is unknown, it doubles alpha."""

    def step(self, train: Any, val: Any = None) -> Any:
        DONE.add(self.t)
        if self.t and self.t - 1 not in DONE:
            with torch.no_grad():
                for alpha in self.alphas().values():
                    alpha.mul_(2)
        return super().step(train, val)


class StumblesElsewhere(Darts):
    """It cannot load what another process saved."""

    def step(self, train: Any, val: Any = None) -> Any:
        DONE.add(self.t)
        return super().step(train, val)

    def load_state_dict(self, state: Any) -> None:
        if not DONE:
            raise lnas.PluginError("nothing was done here")
        super().load_state_dict(state)


class NeverWorks(Darts):
    def step(self, train: Any, val: Any = None) -> Any:
        raise lnas.PluginError("no step can be done")


class NeverEnds(Darts):
    def step(self, train: Any, val: Any = None) -> Any:
        time.sleep(1000)


class OfOneThatRemembers(OnChoices):
    part = RemembersInItsModule


class OfOneThatStumbles(OnChoices):
    part = StumblesElsewhere


class OfOneThatNeverWorks(OnChoices):
    part = NeverWorks


class OfOneThatNeverEnds(OnChoices):
    part = NeverEnds


class PrunesByMemory(Theta):
    """Its process knows how much it has pruned; one that finds more gone than it knows of doubles what is left."""

    asked = False

    def required(self, scores: Any) -> Any:
        self.asked = True
        return super().required(scores)

    @torch.no_grad()
    def apply(self) -> None:
        super().apply()
        gone = sum(int((~mask).sum()) for mask in self.masks().values())
        if self.asked:
            DONE.add(gone)
        elif gone and gone not in DONE:
            for weight in self.tensors().values():
                weight.mul_(2)


def pruner(network: nn.Module, optimizers: Any = ()) -> lnas.MaskTarget:
    return PrunesByMemory(network, optimizers)


class OfOneThatPrunesByMemory(TargetSuite):
    part = PrunesByMemory

    def modules(self) -> Mapping[str, Callable[[], nn.Module]]:
        return {"a network of layers": tiny_network}


def test_a_part_whose_state_is_whole_outlives_its_process() -> None:
    OnChoices().test_a_killed_run_ends_with_the_same_bytes()


@pytest.mark.parametrize(
    ("suite", "words"),
    [
        (OfOneThatRemembers, "is not the straight run: at epoch of step "),
        (OfOneThatStumbles, "and resumed each time in a new process, failed: nothing was done here"),
        (OfOneThatNeverWorks, "a run on choices in a process of its own failed: no step can be done"),
        (OfOneThatPrunesByMemory, "is not the straight run: at epoch of step "),
    ],
    ids=["strategy", "loading", "a step", "target"],
)
def test_a_part_that_loses_something_with_its_process_is_found_out(suite: Any, words: str) -> None:
    with pytest.raises(Violation) as broken:
        suite().test_a_killed_run_ends_with_the_same_bytes()
    assert words in str(broken.value)
    assert "\n" not in str(broken.value)


def test_one_that_takes_for_ever_is_ended_and_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survival, "LIMIT", 2)
    with pytest.raises(Violation, match="^the runs on choices, straight, killed and resumed, took more than 2 s$"):
        OfOneThatNeverEnds().test_a_killed_run_ends_with_the_same_bytes()


def test_in_one_process_all_of_that_is_invisible() -> None:
    for suite in (OfOneThatRemembers, OfOneThatStumbles):
        suite().test_a_search_resumes_bitwise_after_every_step()
        suite().test_a_pruned_search_resumes_bitwise_after_every_step()
    OfOneThatPrunesByMemory().test_pruned_learning_resumes_bitwise()


def test_a_suite_that_no_other_process_can_have_is_skipped_with_the_reason() -> None:
    class Local(StrategySuite):
        part = "lnas.builtin.darts:Darts"

        def spaces(self) -> Mapping[str, Callable[[], lnas.SearchSpace]]:
            return {"choices": tiny_choices}

    with pytest.raises(unittest.SkipTest, match=r"spaces is .*<locals>.Local.spaces, which another process cannot import"):
        Local().test_a_killed_run_ends_with_the_same_bytes()


def test_a_suite_comes_back_from_its_words() -> None:
    assert found(json.loads(json.dumps(described(OnChoices)))) is OnChoices
    options = {"include": ("*bias",), "output_rate": 0.0, "nested": [None, True, {"a": 1}]}
    made = type("Made", (OfOneThatPrunesByMemory,), {"part": staticmethod(pruner), "options": options})
    again = found(json.loads(json.dumps(described(made))))
    assert (again.__name__, again.__bases__, again.options) == ("Made", made.__bases__, options)
    assert again.loaded() is pruner


def test_the_suites_of_a_plugin_are_checked_too() -> None:
    host = lnas.Host(entry_points=False)
    suite: Any = suite_of(host.registry.get("target", "theta"), "lnas.builtin.plugin", {})
    made = found(json.loads(json.dumps(described(suite))))
    assert (made.part, made.plugin, made.__bases__) == (suite.part, suite.plugin, (TargetSuite,))
