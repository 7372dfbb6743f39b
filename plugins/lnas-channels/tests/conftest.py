from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn

import lnas

# DARTS_V2 as it was published (Liu, Simonyan and Yang 2019).
NORMAL = (
    "sep_conv_3x3 0, sep_conv_3x3 1; sep_conv_3x3 0, sep_conv_3x3 1; "
    "sep_conv_3x3 1, skip_connect 0; skip_connect 0, dil_conv_3x3 2"
)
REDUCE = (
    "max_pool_3x3 0, max_pool_3x3 1; skip_connect 2, max_pool_3x3 1; "
    "max_pool_3x3 0, skip_connect 2; skip_connect 2, max_pool_3x3 1"
)


def genes(text: str) -> tuple[lnas.Gene, ...]:
    pairs = [(node, gene.split()) for node, row in enumerate(text.split(";"), 2) for gene in row.split(",")]
    return tuple(lnas.Gene(operation, int(source), node) for node, (operation, source) in pairs)


def genotype(normal: str, reduce: str, outputs: tuple[int, ...] = (2, 3, 4, 5)) -> lnas.Genotype:
    return lnas.Genotype({"normal": genes(normal), "reduce": genes(reduce)}, {"normal": outputs, "reduce": outputs})


DARTS_V2 = genotype(NORMAL, REDUCE)
# Operations that DARTS_V2 lacks; node 3 sums a `none`; input 1 of a cell is prepared and never read.
OTHERS = genotype(
    "conv_7x1_1x7 0, dil_conv_5x5 0; none 0, sep_conv_5x5 2; avg_pool_3x3 2, skip_connect 0; sep_conv_7x7 3, none 2",
    "skip_connect 0, max_pool_3x3 0; skip_connect 0, none 2; conv_7x1_1x7 0, dil_conv_3x3 2; avg_pool_3x3 4, sep_conv_3x3 0",
)


def darts(**options: object) -> nn.Module:
    return lnas.CellNetwork(DARTS_V2, lnas.Task((3, 16, 16), 5), channels=4, layers=3, **options)


def others() -> nn.Module:
    return lnas.CellNetwork(OTHERS, lnas.Task((1, 9, 9), 5), channels=10, layers=3)


def vgg() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(3, 10, 3, padding=1), nn.BatchNorm2d(10), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(10, 20, 3, padding=1, bias=False), nn.BatchNorm2d(20), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(20 * 4, 30), nn.ReLU(), nn.Dropout(0.5), nn.Linear(30, 5)),
    )


def example_of(network: nn.Module) -> Tensor:
    if isinstance(network, lnas.CellNetwork):
        return torch.zeros(1, *network.task.shape)
    return torch.zeros(1, 3, 8, 8) if isinstance(network, nn.Sequential) else torch.zeros(1, 3, 32, 32)


def step(network: nn.Module, *optimizers: torch.optim.Optimizer, size: int = 4) -> None:
    """One training step on random pictures."""
    shape, dtype = example_of(network).shape[1:], next(network.parameters()).dtype
    answers = network.train()(torch.randn(size, *shape, dtype=dtype))
    classes = torch.arange(size) % 5
    loss = sum(nn.functional.cross_entropy(a, classes) for a in (answers if isinstance(answers, tuple) else (answers,)))
    network.zero_grad()
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()


NETWORKS = {
    "vgg": vgg,
    "darts": darts,
    "auxiliary": lambda: darts(auxiliary=True),
    "others": others,
    "resnet18": lambda: torchvision.models.resnet18(num_classes=5),
}


@pytest.fixture(name="build")
def _build() -> Callable[[str], nn.Module]:
    """`build(name)`: a network whose every tensor was trained a little, so that none is 0 or 1."""

    def made(name: str) -> nn.Module:
        with lnas.seeded(0, name):
            network = NETWORKS[name]()
            optimizer = torch.optim.SGD(network.parameters(), lr=0.02)
            for _ in range(2):
                step(network, optimizer)
        network.zero_grad()
        return network

    return made


@pytest.fixture(name="example_of")
def _example_of() -> Callable[[nn.Module], Tensor]:
    return example_of


@pytest.fixture(name="step")
def _step() -> Callable[..., None]:
    return step


@pytest.fixture
def darts_v2() -> lnas.Genotype:
    return DARTS_V2


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
