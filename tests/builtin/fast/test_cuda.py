"""The fast cell on a GPU: the same numbers, and no step that waits for it."""

import pytest
import torch

from lnas.builtin.cells import CellSpace
from lnas.builtin.classification import cross_entropy
from lnas.builtin.darts import Darts
from lnas.builtin.fast.pooling import average_pool
from lnas.builtin.genotypes import genotype
from lnas.builtin.network import CellNetwork
from lnas.builtin.operations import AveragePool
from lnas.builtin.weights import WeightTraining
from lnas.core.learner import Learner
from lnas.core.types import Task
from lnas.testing.device import no_waiting

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
TASK = Task((3, 16, 16), 4)


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
def test_a_step_does_not_wait_for_the_gpu(index: int) -> None:
    learner, given = learners()[index], batch()
    learner.step(given, given)  # libraries wait while they set themselves up
    torch.cuda.synchronize()
    with no_waiting():
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


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_gradient_of_average_pooling_is_that_of_the_cpu(stride: int, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64)
    grad = torch.randn(2, 3, -(-7 // stride), -(-6 // stride), dtype=torch.float64)
    found = []
    for pool in (AveragePool(stride), lambda x: average_pool(x, stride)):
        for device in ("cpu", "cuda"):
            leaf = x.to(device).to(memory_format=layout).requires_grad_()
            y = pool(leaf)
            found += [y.cpu(), torch.autograd.grad(y, leaf, grad.to(device).to(memory_format=layout))[0].cpu()]
    for index in range(2, len(found)):
        torch.testing.assert_close(found[index], found[index % 2], rtol=1e-12, atol=1e-14)
