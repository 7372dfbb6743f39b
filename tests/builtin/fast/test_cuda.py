"""The fast cell on a GPU: the same numbers, and no step that waits for it."""

from collections.abc import Iterator

import pytest
import torch

from lnas.builtin.cells import CellSpace
from lnas.builtin.classification import cross_entropy
from lnas.builtin.darts import Darts
from lnas.builtin.genotypes import genotype
from lnas.builtin.network import CellNetwork
from lnas.builtin.weights import WeightTraining
from lnas.core.learner import Learner
from lnas.core.types import Task

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
TASK = Task((3, 16, 16), 4)


@pytest.fixture
def no_waiting() -> Iterator[None]:
    yield
    torch.cuda.set_sync_debug_mode("default")


def batch(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 3, 16, 16, generator=generator, dtype=dtype)
    return x.cuda(), torch.arange(8, device="cuda") % 4


def search(*, mixed: str = "fast", unrolled: str = "no", dtype: torch.dtype = torch.float32) -> Darts:
    torch.manual_seed(0)
    space = CellSpace(TASK, channels=4, layers=3, mixed=mixed).to("cuda", dtype)  # type: ignore[arg-type]
    return Darts(space, cross_entropy, 10, alpha_lr=0.1, unrolled=unrolled)  # type: ignore[arg-type]


@pytest.mark.parametrize("unrolled", ["no", "exact", "finite"])
def test_the_steps_are_those_of_the_reference(unrolled: str) -> None:
    alphas = []
    for mixed in ("fast", "reference"):
        strategy = search(mixed=mixed, unrolled=unrolled, dtype=torch.float64)
        for _ in range(2):
            strategy.step(batch(torch.float64), batch(torch.float64))
        alphas.append(torch.cat([alpha.detach().flatten() for alpha in strategy.alpha.values()]))
    assert (alphas[0] - alphas[1]).abs().max() < (1e-7 if unrolled == "finite" else 1e-10)


def learners() -> list[Learner]:
    network = CellNetwork(genotype("DARTS_V2"), TASK, channels=4, layers=3).cuda()
    return [search(), search(unrolled="finite"), search(mixed="reference"), WeightTraining(network, cross_entropy, 10)]


@pytest.mark.parametrize("index", range(4))
@pytest.mark.usefixtures("no_waiting")
def test_a_step_does_not_wait_for_the_gpu(index: int) -> None:
    learner, given = learners()[index], batch()
    learner.step(given, given)  # libraries wait while they set themselves up
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    for _ in range(2):
        learner.step(given, given)


def test_bf16_learns_as_the_reference_under_bf16() -> None:
    losses = {}
    for mixed in ("fast", "reference"):
        strategy = search(mixed=mixed)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            losses[mixed] = [strategy.step(batch(), batch())["loss"].item() for _ in range(5)]
    exact = [search(dtype=torch.float64).step(batch(torch.float64), batch(torch.float64))["loss"].item()]
    assert abs(losses["fast"][0] - exact[0]) < 0.05
    assert losses["fast"][-1] < losses["fast"][0] and losses["reference"][-1] < losses["reference"][0]
