"""The built-in strategies, spaces and targets keep the rules that are asked of a stranger's."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

import lnas
from lnas.testing import SpaceSuite, StrategySuite, TargetSuite
from lnas.testing.subjects import OPERATIONS, derived_network, tiny_choices, tiny_network

PLUGIN = "lnas.builtin.plugin"
TINY = {"channels": 2, "layers": 3, "nodes": 2, "network_channels": 2, "network_layers": 3, "operations": OPERATIONS}


class OnChoices(StrategySuite):
    """Only where a step is quick: on the choices within a network."""

    part = "lnas.builtin.darts:Darts"

    def spaces(self) -> Mapping[str, Callable[[], lnas.SearchSpace]]:
        return {"choices": tiny_choices}


class TestDarts(StrategySuite):
    part = "lnas.builtin.darts:Darts"
    plugin = PLUGIN


class TestDartsExact(OnChoices):
    options = {"unrolled": "exact"}


class TestDartsFinite(OnChoices):
    options = {"unrolled": "finite"}


class TestDartsInTurns(OnChoices):
    options = {"alternate": 2}


class TestDartsBySgd(OnChoices):
    options = {"alpha_optimizer": "sgd", "momentum": 0.0, "clip": 0.0}


class TestRandomSearch(StrategySuite):
    part = "lnas.builtin.random_search:RandomSearch"
    plugin = PLUGIN
    options = {"candidates": 2}


class TestCells(SpaceSuite):
    part = "lnas.builtin.cells:CellSpace"
    plugin = PLUGIN
    options = TINY


class TestReadableCells(SpaceSuite):
    part = "lnas.builtin.cells:CellSpace"
    options = {**TINY, "mixed": "reference", "policy": "gated", "auxiliary": True, "drop_path": 0.2}


class TestCheckpointedCells(SpaceSuite):
    part = "lnas.builtin.cells:CellSpace"
    options = {**TINY, "activation_checkpointing": True, "policy": "argmax"}


class TestChoices(SpaceSuite):
    part = "lnas.builtin.choices:ChoiceSpace"

    def given(self) -> tuple[Any, ...]:
        return (tiny_choices().model,)


class TestAlpha(TargetSuite):
    part = "lnas.builtin.targets:Alpha"
    plugin = PLUGIN


class TestAlphaOfAGroup(TargetSuite):
    part = "lnas.builtin.targets:Alpha"
    options = {"scope": "global"}


class TestAlphaOfATable(TargetSuite):
    """alpha is no parameter: random search computes it."""

    part = "lnas.builtin.targets:Alpha"

    def modules(self) -> Mapping[str, Callable[[], nn.Module]]:
        return {"choices": tiny_choices}

    def learner(self, module: nn.Module) -> lnas.Learner:
        return lnas.RandomSearch(module, self.loss)  # type: ignore[arg-type]


class TestTheta(TargetSuite):
    part = "lnas.builtin.targets:Theta"
    plugin = PLUGIN


class TestThetaAllTogether(TargetSuite):
    part = "lnas.builtin.targets:Theta"
    options = {"scope": "global", "output_rate": 0.5}

    def modules(self) -> Mapping[str, Callable[[], nn.Module]]:
        return {"a network of layers": tiny_network}


class TestThetaOfBiases(TargetSuite):
    part = "lnas.builtin.targets:Theta"
    options = {"include": ("*bias",), "exclude": ("*classifier*",), "output_rate": 0.0}

    def modules(self) -> Mapping[str, Callable[[], nn.Module]]:
        return {"a network of cells": derived_network}
