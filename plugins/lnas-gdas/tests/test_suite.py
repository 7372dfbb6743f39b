"""GDAS keeps the rules of every strategy; of the copy of alpha that a step waits for it tells, and nothing else is read."""

import unittest
from unittest import mock

import pytest
import torch
from lnas_gdas import Gdas
from lnas_gdas.mirror import Mirror
from torch import Tensor

from lnas.testing import StrategySuite


def known(mirror: Mirror) -> dict[str, Tensor]:
    """Values that are on the CPU already."""
    return {name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in mirror.tensors.items()}


class TestGdas(StrategySuite):
    part = "lnas_gdas.strategy:Gdas"
    plugin = "lnas_gdas"


def test_a_step_waits_for_the_copy_of_alpha_alone() -> None:
    with mock.patch.object(Gdas, "waits", ""):
        with pytest.raises(AssertionError, match="step on"):
            TestGdas().test_a_step_waits_for_nothing()
        with mock.patch.object(Mirror, "read", known):
            TestGdas().test_a_step_waits_for_nothing()
    with pytest.raises(unittest.SkipTest, match="it says that a step waits: which paths are launched"):
        TestGdas().test_a_step_waits_for_nothing()
